"""The form of a check's result, and the checks of disk, clock and name resolution."""

import os
import re
import socket
import threading
import time
from enum import Enum
from typing import List, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

from b2ct_vmagent import RELEASED_S
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.settings import Settings

SMALLEST_FREE_MIB = 2560
"""What a DIRAC pilot asks for before it takes a job."""
RESOLVE_S = 15.0


class State(Enum):
    """How a check went."""

    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    """Not as it should be, but a worker can work."""
    SKIPPED = "skipped"
    """Nothing asks for it."""


class Check(NamedTuple):
    """One check's result; a worker is ready when none has failed."""

    name: str
    state: State
    detail: str


def check_settings(problems: Sequence[str]) -> Check:
    """Report what is wrong with the context."""
    if problems:
        return Check("settings", State.FAILED, "; ".join(problems))
    return Check("settings", State.OK, "all readable")


def check_disk(paths: Paths, settings: Settings) -> Check:
    """Check that jobs have room: on the scratch disk where there is one, else under /var."""
    place = paths.scratch if settings.scratch else paths.work
    try:
        stat = os.statvfs(place)
    except OSError as error:
        return Check("disk", State.FAILED, "{}: {}".format(place, error.strerror))
    free_mib = stat.f_bavail * stat.f_frsize >> 20
    if free_mib < SMALLEST_FREE_MIB:
        return Check("disk", State.FAILED, "{} MiB free in {}, needs {}".format(free_mib, place, SMALLEST_FREE_MIB))
    return Check("disk", State.OK, "{} MiB free in {}".format(free_mib, place))


def check_clock(run: Runner, now_s: Optional[float] = None) -> Check:
    """Check that the clock is later than the agent itself; that nothing keeps it right is a warning.

    timedatectl says ``System clock synchronized`` since systemd 239, ``NTP synchronized`` before.
    """
    now_s = time.time() if now_s is None else now_s
    if now_s < RELEASED_S:
        day = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        return Check("clock", State.FAILED, "the clock says {}: certificates and tokens cannot hold".format(day))
    found = re.search(r"(?:clock|NTP) synchronized: (\w+)", run(["timedatectl"], 10).output)
    if found is None or found.group(1) != "yes":
        return Check("clock", State.WARNING, "nothing says that the clock is kept right")
    return Check("clock", State.OK, "synchronized")


def check_names(settings: Settings) -> Check:
    """Check that the names of the proxies and of OneGate resolve."""
    names = names_to_resolve(settings)
    if not names:
        return Check("names", State.SKIPPED, "nothing is named by a name")
    lost = [name for name in names if not _resolves(name)]
    if lost:
        return Check("names", State.FAILED, "cannot be resolved: {}".format(", ".join(lost)))
    return Check("names", State.OK, ", ".join(names))


def names_to_resolve(settings: Settings) -> List[str]:
    """Return the host names, without addresses, that the settings mention, sorted."""
    urls = [*re.split(r"[;|]", settings.cvmfs_proxy), settings.onegate_endpoint]
    hosts = {urlsplit(url).hostname or "" for url in urls if "//" in url}
    return sorted(host for host in hosts if re.search(r"[a-z]", host) and ":" not in host)


def _resolves(name: str) -> bool:
    """Ask for a name in a thread of its own, for the resolver knows no time limit."""
    answers: List[bool] = []

    def ask() -> None:
        try:
            answers.append(bool(socket.getaddrinfo(name, None)))
        except (OSError, UnicodeError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # too many wait for a resolver already
        return False
    thread.join(RESOLVE_S)
    return answers == [True]
