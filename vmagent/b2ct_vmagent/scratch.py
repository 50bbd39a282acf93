"""Makes the scratch disk usable at boot; only a blank disk is ever formatted."""

import json
import os
import time
from typing import BinaryIO, Tuple

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.settings import Settings

LABEL = "b2ct-scratch"
"""A file system of this label was made here and is mounted again; any other is left alone."""
WAIT_S = 10.0
MKFS_S = 300.0
EDGE_BYTES = 1 << 20
NOTHING_FOUND = 2
"""Exit code of blkid(8) when it knows nothing about a device, which alone does not mean that it is blank."""


def prepare_scratch(paths: Paths, settings: Settings, run: Runner) -> Check:
    """Mount the scratch disk, after formatting it if it is blank; the result is kept for the agent.

    Raises:
        AgentError: the result cannot be written.
    """
    check = _prepare(paths, settings.scratch, run)
    make_folder(paths.run)
    text = json.dumps({"device": settings.scratch, "state": check.state.value, "detail": check.detail})
    write_file(paths.scratch_result, text.encode("utf-8"), 0o644)
    return check


def check_scratch(paths: Paths, settings: Settings) -> Check:
    """Return what :func:`prepare_scratch` said about the disk that the settings name."""
    if not settings.scratch:
        return Check("scratch", State.SKIPPED, "no scratch disk is asked for")
    try:
        result = json.loads(read_text(paths.scratch_result) or "{}")
        if result.get("device") == settings.scratch:
            return Check("scratch", State(result["state"]), str(result["detail"]))
    except (AgentError, ValueError, KeyError, AttributeError):
        return Check("scratch", State.FAILED, "{} is damaged".format(paths.scratch_result))
    return Check("scratch", State.FAILED, "b2ct-vm-scratch.service has not prepared {}".format(settings.scratch))


def _prepare(paths: Paths, device: str, run: Runner) -> Check:
    if not device:
        return Check("scratch", State.SKIPPED, "no scratch disk is asked for")
    if os.path.ismount(paths.scratch):
        return Check("scratch", State.OK, "{} is mounted already".format(paths.scratch))
    node = paths.at(device)
    if not _wait_for(node):
        return Check("scratch", State.FAILED, "{} is not there".format(device))
    try:
        made = _make_file_system(node, device, run)
        _mount(node, paths.scratch, run)
    except AgentError as error:
        return Check("scratch", State.FAILED, str(error))
    return Check("scratch", State.OK, "{} is mounted at {}{}".format(device, paths.scratch, made))


def _wait_for(node: str) -> bool:
    deadline_s = time.monotonic() + WAIT_S
    while not os.path.exists(node):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.2)
    return True


def _make_file_system(node: str, device: str, run: Runner) -> str:
    """Format a blank disk; pass over one of ours; refuse every other."""
    found = run(["blkid", "-p", "-o", "export", node], 30)
    if found.code == 0:
        if "LABEL={}".format(LABEL) in found.output.splitlines():
            return ""
        kinds = [line for line in found.output.splitlines() if line.startswith(("TYPE=", "PTTYPE=", "LABEL="))]
        raise AgentError("{} is not blank ({}) and is left as it is".format(device, " ".join(kinds) or "unknown"))
    blank, why = _is_blank(node)
    if found.code != NOTHING_FOUND or not blank:
        raise AgentError("{} is not blank ({}) and is left as it is".format(device, why or found.output))
    done = run(["mkfs.ext4", "-q", "-F", "-m", "0", "-L", LABEL, node], MKFS_S)
    if done.code != 0:
        raise AgentError("{} could not be formatted: {}".format(device, done.output))
    return ", newly formatted"


def _is_blank(node: str) -> Tuple[bool, str]:
    """Return whether first and last MiB hold nothing but zeros, and if not, why."""
    try:
        with open(node, "rb") as disk:
            size = disk.seek(0, os.SEEK_END)
            blank = size > 0 and not any(_edge(disk, start) for start in (0, max(0, size - EDGE_BYTES)))
    except OSError as error:
        return False, str(error)
    return blank, "" if blank else "there is data on it"


def _edge(disk: BinaryIO, start: int) -> bytes:
    disk.seek(start)
    return disk.read(EDGE_BYTES).strip(b"\0")


def _mount(node: str, place: str, run: Runner) -> None:
    make_folder(place)
    done = run(["mount", "-t", "ext4", "-o", "nodev,nosuid,noatime", node, place], 60)
    if done.code != 0:
        raise AgentError("{} could not be mounted: {}".format(node, done.output))
