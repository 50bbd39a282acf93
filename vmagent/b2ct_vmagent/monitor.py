"""Looks at what the machine and its pilots do, in /proc and in the control groups: a few small files each time."""

import os
import re
import time
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import read_text
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner

SYSTEMCTL_S = 30.0
LONGEST_COMMAND_BYTES = 4096
LONGEST_NAME = 64
"""Characters of a payload's name that are kept: payloads choose it, and all of them have to go into one file."""


class Machine(NamedTuple):
    """The whole machine at one moment."""

    load: float = 0.0
    """Load average of the last minute."""
    uptime_s: float = 0.0
    moved_bytes: int = 0
    """Sent and received since boot, by all interfaces but loopback."""
    free_memory_mib: int = 0
    """MemAvailable of /proc/meminfo."""
    free_disk_mib: int = 0
    """Where jobs write."""


class Work(NamedTuple):
    """What one unit's processes do at one moment."""

    payloads: FrozenSet[str] = frozenset()
    """What tells payloads apart: the pattern's first group, or the process id."""
    cpu_s: float = 0.0
    """CPU time used since the unit began."""


def look_at_machine(paths: Paths, place: str) -> Machine:
    """Return the state of the machine; ``place`` is on the file system that jobs write to."""
    text = _read(paths.at("/proc/meminfo"))
    memory = re.search(r"^MemAvailable:\s+([0-9]+) kB", text, re.MULTILINE)
    try:
        disk = os.statvfs(place)
        free_disk_mib = disk.f_bavail * disk.f_frsize >> 20
    except OSError:
        free_disk_mib = 0
    return Machine(
        load=os.getloadavg()[0],
        uptime_s=time.monotonic(),
        moved_bytes=moved_bytes(_read(paths.at("/proc/net/dev"))),
        free_memory_mib=int(memory.group(1)) >> 10 if memory else 0,
        free_disk_mib=free_disk_mib,
    )


def moved_bytes(text: str) -> int:
    """Return the bytes of /proc/net/dev (proc(5)): received is the first column, sent the ninth."""
    total = 0
    for line in text.splitlines():
        name, colon, columns = line.partition(":")
        numbers = columns.split()
        if colon and name.strip() != "lo" and len(numbers) >= 9:
            total += int(numbers[0]) + int(numbers[8])
    return total


def total_memory_mib(paths: Paths) -> int:
    """Return the machine's memory, 0 when it is not known."""
    found = re.search(r"^MemTotal:\s+([0-9]+) kB", _read(paths.at("/proc/meminfo")), re.MULTILINE)
    return int(found.group(1)) >> 10 if found else 0


class UnitWatch:
    """Follows the processes of systemd units; asks systemd only where their control groups are, once."""

    def __init__(self, paths: Paths, run: Runner) -> None:
        self._paths = paths
        self._run = run
        self._groups: Dict[str, str] = {}

    def look(self, unit: str, pattern: str) -> Optional[Work]:
        """Return what a unit does; None when it does not run.

        Raises:
            AgentError: systemd does not say whether it runs.
        """
        group = self._groups.get(unit) or self._ask(unit)
        if not group:
            return None
        folders = [self._paths.at("/sys/fs/cgroup" + top + group) for top in ("", "/unified", "/systemd")]
        folder = next((folder for folder in folders if os.path.isdir(folder)), "")
        if not folder:
            self._groups.pop(unit, None)
            return None
        self._groups[unit] = group
        numbers = [number for part, _, _ in os.walk(folder) for number in _read(part + "/cgroup.procs").split()]
        return Work(self._payloads(numbers, pattern), self._cpu_s(folder, group))

    def _ask(self, unit: str) -> str:
        """Return the control group of a unit, such as ``/system.slice/x.service``; empty when it does not run."""
        done = self._run(["systemctl", "show", "-p", "ControlGroup", unit], SYSTEMCTL_S)
        if done.code != 0:
            raise AgentError("systemctl show {}: {}".format(unit, done.output or "exit code {}".format(done.code)))
        found = re.search(r"^ControlGroup=(/.+)$", done.output, re.MULTILINE)
        return found.group(1) if found and ".." not in found.group(1) else ""

    def _payloads(self, numbers: List[str], pattern: str) -> FrozenSet[str]:
        if not pattern:
            return frozenset({"unit"} if numbers else ())
        return frozenset(self._matches(numbers, re.compile(pattern)))

    def _matches(self, numbers: List[str], pattern: "re.Pattern[str]") -> Iterator[str]:
        for number in numbers:
            found = pattern.search(self._command(number))
            if found:
                yield ((pattern.groups and found.group(1)) or number)[:LONGEST_NAME]

    def _command(self, number: str) -> str:
        try:
            with open(self._paths.at("/proc/{}/cmdline".format(number)), "rb") as file:
                return file.read(LONGEST_COMMAND_BYTES).replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has ended meanwhile
            return ""

    def _cpu_s(self, folder: str, group: str) -> float:
        """Return the CPU time of a control group: cpu.stat of version 2, cpuacct.usage of version 1 (cgroups(7))."""
        found = re.search(r"^usage_usec ([0-9]+)", _read(folder + "/cpu.stat"), re.MULTILINE)
        if found:
            return int(found.group(1)) / 1e6
        text = _read(self._paths.at("/sys/fs/cgroup/cpuacct" + group + "/cpuacct.usage")).strip()
        return int(text) / 1e9 if text.isdigit() else 0.0


def _read(path: str) -> str:
    try:
        return read_text(path) or ""
    except AgentError:
        return ""
