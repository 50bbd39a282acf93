"""One pilot: what its unit runs, under a user of its own, and how it ended."""

import contextlib
import json
import os
import re
import shlex
import stat
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from b2ct_vmagent import dirac_pilot, htcondor
from b2ct_vmagent.credentials import pilot_ca_path
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.features import Share, write_job_features
from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.life import Life, load_uid
from b2ct_vmagent.monitor import total_memory_mib
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot_files import PilotFiles, Slot
from b2ct_vmagent.policies import BAD_PILOT, COMPLETED, NO_WORK
from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import MOST_PILOTS, Settings

LONGEST_MESSAGE_BYTES = 256
HTCONDOR_UNIT = "b2ct-vm-htcondor.service"


class Ended(NamedTuple):
    """How a pilot ended: systemd's words (systemd.exec(5), SERVICE_RESULT and EXIT_STATUS) and its own."""

    result: str
    status: str
    message: str
    """What the pilot wrote into ``shutdown_message``, ``300 No more work available``; empty without."""
    at_s: float
    """By the monotonic clock."""


def pilot_count(settings: Settings, cores: int) -> int:
    """Return how many pilots this machine runs: one in HTCondor's case, which divides the machine itself."""
    if not settings.has_pilot:
        return 0
    if settings.pilots == "node" or settings.pilot_kind == "htcondor":
        return 1
    return min(cores, MOST_PILOTS) if settings.pilots == "core" else int(settings.pilots)


def unit_name(settings: Settings, number: int) -> str:
    """Return the unit of a pilot."""
    return HTCONDOR_UNIT if settings.pilot_kind == "htcondor" else "b2ct-vm-pilot@{}.service".format(number)


def make_slot(paths: Paths, settings: Settings, number: int, uid: str) -> Slot:
    """Return the part of the machine that a pilot has."""
    cores = os.cpu_count() or 1
    count = max(1, pilot_count(settings, cores))
    return Slot(
        number=number,
        cores=max(1, cores // count),
        memory_mib=total_memory_mib(paths) // count,
        folder=paths.pilot_work(number, scratch=bool(settings.scratch)),
        machine_features=paths.machine_features,
        job_features=paths.job_features(number),
        name=os.uname().nodename,
        uid=uid,
    )


def make_pilot(settings: Settings, slot: Slot) -> PilotFiles:
    """Return what the unit of a pilot runs."""
    if settings.pilot_kind == "dirac":
        return dirac_pilot.make_pilot(settings._replace(ca_path=pilot_ca_path(settings)), slot)
    if settings.pilot_kind == "htcondor":
        return htcondor.make_pilot(settings, slot)
    drain = ': >"$B2CT_STOP_FILE"\n' + settings.pilot_drain + "\n"
    return PilotFiles(start=settings.pilot + "\n", drain=drain, files={}, payloads="")


def prepare_pilot(paths: Paths, settings: Settings, number: int) -> str:
    """Write what the unit of a pilot runs, and return the folder that it runs in; done as root before it starts.

    That folder is on the scratch disk, if there is one, and belongs to the user that systemd made for the unit, who is
    the owner of its StateDirectory (systemd.exec(5)). The written ``start`` also tells that the pilot was started.

    Raises:
        AgentError: there is no such pilot to start, or the folder or a file cannot be made.
    """
    cores = os.cpu_count() or 1
    if not 0 <= number < pilot_count(settings, cores):
        raise AgentError("no pilot {} is asked for".format(number))
    if Life.load(paths).ending is not None:
        raise AgentError("no pilot starts any more: this machine is about to go")
    slot = make_slot(paths, settings, number, load_uid(paths, settings.site, settings.vmid))
    try:
        owner = os.stat(paths.pilot_state(number))
        if settings.scratch:
            _give_folder(slot.folder, owner)
    except OSError as error:
        raise AgentError("{}: {}".format(error.filename or slot.folder, error.strerror))
    folder = paths.pilot(number)
    make_folder(folder)
    _forget_result(folder)
    _forget_words(slot.folder)
    write_job_features(paths, settings, number, _share(settings, slot))
    pilot = make_pilot(settings, slot)
    for name, (text, mode) in pilot.files.items():
        write_file(os.path.join(folder, name), text.encode("utf-8"), mode)
    _copy_secrets(paths, settings, number, (owner.st_uid, owner.st_gid))
    before = _environment(settings, slot)
    write_file(os.path.join(folder, "drain"), (before + pilot.drain).encode("utf-8"), 0o644)
    write_file(os.path.join(folder, "start"), (before + pilot.start).encode("utf-8"), 0o644)
    return slot.folder


def renew_secrets(paths: Paths, settings: Settings, number: int) -> None:
    """Give a pilot that runs what it shows to its centre anew, for its own user alone; done as root.

    The user is that of the first copies: outside of the pilot's unit, its StateDirectory may belong to nobody
    (systemd 257, id-mapped mounts).

    Raises:
        AgentError: there is nothing to copy, or it cannot be copied.
    """
    for target, _ in _copies(paths, settings, number):
        try:
            owner = os.stat(target)
        except OSError as error:
            raise AgentError("{}: {}".format(error.filename, error.strerror))
        _copy_secrets(paths, settings, number, (owner.st_uid, owner.st_gid))
        return


def _copy_secrets(paths: Paths, settings: Settings, number: int, owner: Tuple[int, int]) -> None:
    try:
        for target, source in _copies(paths, settings, number):
            moment_ns = os.stat(source).st_mtime_ns if os.path.exists(source) else None
            text = read_text(source)
            if text is None or moment_ns is None:
                raise AgentError("{} is not there".format(source))
            write_file(target, text.encode("utf-8"), 0o600, owner)
            os.utime(target, ns=(moment_ns, moment_ns))  # of the original: the clock may be set back before the next
    except OSError as error:
        raise AgentError("{}: {}".format(error.filename, error.strerror))


def has_old_secrets(paths: Paths, settings: Settings, number: int) -> bool:
    """Return whether what a pilot shows to its centre was renewed since it was copied."""
    try:
        copies = _copies(paths, settings, number)
        return any(os.stat(source).st_mtime_ns != os.stat(target).st_mtime_ns for target, source in copies)
    except (OSError, AgentError):
        return False


def _copies(paths: Paths, settings: Settings, number: int) -> List[Tuple[str, str]]:
    """Return target and source of each file that only root reads and the pilot needs."""
    pilot = make_pilot(settings, make_slot(paths, settings, number, ""))
    folder = paths.pilot(number)
    return [(os.path.join(folder, name), paths.at(source)) for name, source in pilot.copies]


def _give_folder(folder: str, owner: os.stat_result) -> None:
    """Make the folder, if it is not there, and give it away; what only looks like one is left alone."""
    if not os.path.lexists(folder):
        os.mkdir(folder, 0o700)
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise AgentError("{} is no folder".format(folder))
    os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _forget_result(folder: str) -> None:
    try:
        os.unlink(os.path.join(folder, "result"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AgentError("{}: {}".format(error.filename, error.strerror))


def _forget_words(folder: str) -> None:
    """Take away what the last pilot was told, and what it said: that folder outlives pilots, and reboots."""
    for name in ("stop", "shutdown_message"):
        with contextlib.suppress(OSError):  # the folder is the pilot's own: whatever stands there is its own harm
            os.unlink(os.path.join(folder, name))


def _share(settings: Settings, slot: Slot) -> Share:
    now_s = int(time.time())
    left_s = settings.max_lifetime_s - int(time.monotonic())
    try:
        disk = os.statvfs(slot.folder)
        scratch_bytes = disk.f_bavail * disk.f_frsize // max(1, pilot_count(settings, os.cpu_count() or 1))
    except OSError:
        scratch_bytes = 0
    return Share(
        job_id="{}-{}".format(slot.uid, slot.number),
        cores=slot.cores,
        start_s=now_s,
        end_s=now_s + max(0, left_s) if settings.has_end else None,
        rss_bytes=slot.memory_mib << 20,
        scratch_bytes=scratch_bytes,
    )


def _environment(settings: Settings, slot: Slot) -> str:
    """Return the first lines of a pilot's scripts; all values but names are made by the agent itself."""
    words = {
        "HOME": slot.folder,
        "TMPDIR": slot.folder,
        "MACHINEFEATURES": slot.machine_features,
        "JOBFEATURES": slot.job_features,
        "JOBOUTPUTS": slot.folder,
        "B2CT_STOP_FILE": slot.folder + "/stop",
        "B2CT_SLOT": str(slot.number),
        "B2CT_CORES": str(slot.cores),
        "B2CT_UID": slot.uid,
        "B2CT_VO": settings.vo,
        "B2CT_SITE": settings.site,
    }
    lines = ["export {}={}".format(name, shlex.quote(value)) for name, value in words.items()]
    return "\n".join(["cd {} || exit 1".format(shlex.quote(slot.folder)), *lines, ""])


def record_end(paths: Paths, settings: Settings, number: int, environment: Dict[str, str]) -> None:
    """Write down how a pilot ended; done as root when its unit stops, with systemd's variables in ``environment``.

    Raises:
        AgentError: it cannot be written.
    """
    folder = paths.pilot_work(number, scratch=bool(settings.scratch))
    ended = {
        "result": environment.get("SERVICE_RESULT", ""),
        "status": environment.get("EXIT_STATUS", ""),
        "message": _read_message(os.path.join(folder, "shutdown_message")),
        "at_s": time.monotonic(),
    }
    make_folder(paths.pilot(number))
    _forget_secrets(paths.pilot(number))
    write_file(os.path.join(paths.pilot(number), "result"), json.dumps(ended).encode("utf-8"), 0o644)


def _forget_secrets(folder: str) -> None:
    """Take away what only the pilot's user could read: that user is no more, and its number may become another's."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0:
                os.unlink(os.path.join(folder, name))


def _read_message(path: str) -> str:
    """Return the pilot's own shutdown message, if it is one; the file is the pilot's, and nothing in it is believed."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        text = os.read(handle, LONGEST_MESSAGE_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(handle)
    return text if re.fullmatch(r"[1-7][0-9]{2}( [\x20-\x7e]*)?", text) else ""


def load_end(paths: Paths, number: int) -> Optional[Ended]:
    """Return how a pilot ended, None while it runs or when it was never started."""
    try:
        document = json.loads(read_text(os.path.join(paths.pilot(number), "result")) or "null")
        if document is None:
            return None
        result, status, message = (str(document[name]) for name in ("result", "status", "message"))
        return Ended(result, status, message, float(document["at_s"]))
    except (AgentError, ValueError, KeyError, TypeError):
        return Ended("damaged", "", "", 0.0)


def was_started(paths: Paths, number: int) -> bool:
    """Return whether a pilot was started since the last boot."""
    return any(os.path.exists(os.path.join(paths.pilot(number), name)) for name in ("start", "result"))


def judge_end(ended: Ended, done: int) -> Outcome:
    """Return what a pilot's end means for its machine: the pilot's own word, or what systemd saw."""
    if ended.message:
        return Outcome(int(ended.message[:3]), ended.message[4:] or "The pilot ended")
    if ended.result not in {"success", ""}:
        return Outcome(BAD_PILOT, "The pilot failed: {} {}".format(ended.result, ended.status).strip())
    if done:
        return Outcome(COMPLETED, "Intended work completed ok")
    return Outcome(NO_WORK, "No more work available from the task queue")
