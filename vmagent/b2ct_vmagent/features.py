"""Machine and job features: tells payloads what they have and when it ends, one file a value (HSF-TN-2016-02)."""

import os
from typing import Dict, NamedTuple, Optional

from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import Settings

JUMP_S = 60
"""The moment of a shutdown is written anew when it has moved by more: when the clock was set, or the plan changed."""


class Share(NamedTuple):
    """What one pilot has of the machine."""

    job_id: str
    cores: int
    start_s: int
    """When it began, seconds since 1970."""
    end_s: Optional[int]
    """When it has to be over, seconds since 1970; None without an end."""
    rss_bytes: int
    scratch_bytes: int


def write_machine_features(paths: Paths, settings: Settings, cores: int, end_s: Optional[int]) -> None:
    """Write the machine's features; ``end_s`` is when it shuts down, seconds since 1970, None when it does not.

    Raises:
        AgentError: a file cannot be written.
    """
    values = {"total_cpu": str(cores), "grace_secs": str(settings.grace_s), "shutdowntime": _moment(end_s)}
    values["hs06"] = "{:g}".format(settings.hs06) if settings.hs06 else ""
    _write(paths.machine_features, values)


def write_job_features(paths: Paths, settings: Settings, number: int, share: Share) -> None:
    """Write the features of one pilot's slot.

    Raises:
        AgentError: a file cannot be written.
    """
    wall_s = None if share.end_s is None else max(0, share.end_s - share.start_s)
    values = {
        "allocated_cpu": str(share.cores),
        "jobstart_secs": str(share.start_s),
        "job_id": share.job_id,
        "wall_limit_secs": _moment(wall_s),
        "cpu_limit_secs": _moment(None if wall_s is None else wall_s * share.cores),
        "max_rss_bytes": str(share.rss_bytes),
        "scratch_limit_bytes": str(share.scratch_bytes),
        "shutdowntime_job": _moment(share.end_s),
        "grace_secs_job": str(settings.grace_s),
    }
    _write(paths.job_features(number), values)


def move_shutdown(paths: Paths, end_s: Optional[int]) -> None:
    """Tell all payloads another moment of the shutdown, if it has moved.

    Raises:
        AgentError: a file cannot be written.
    """
    jobs = os.path.dirname(paths.job_features(0))
    folders = [os.path.join(jobs, name) for name in sorted(os.listdir(jobs))] if os.path.isdir(jobs) else []
    places = [os.path.join(paths.machine_features, "shutdowntime")]
    places += [os.path.join(folder, "shutdowntime_job") for folder in folders]
    for place in places:
        told = (read_text(place) or "").strip()
        if end_s is None or (told.isdigit() and abs(int(told) - end_s) <= JUMP_S) or not _is_folder_of(place):
            continue
        write_file(place, _moment(end_s).encode("ascii") + b"\n", 0o644)


def _is_folder_of(place: str) -> bool:
    return os.path.isdir(os.path.dirname(place))


def _moment(value: Optional[int]) -> str:
    return "" if value is None else str(value)


def _write(folder: str, values: Dict[str, str]) -> None:
    """Write a file for each value; what has no value has no file."""
    make_folder(folder)
    for name, value in values.items():
        place = os.path.join(folder, name)
        if value:
            write_file(place, (value + "\n").encode("utf-8"), 0o644)
        elif os.path.exists(place):
            os.unlink(place)
