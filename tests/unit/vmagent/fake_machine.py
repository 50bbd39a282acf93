"""A machine that exists only in a folder: its systemd, its clock and its centre do what a test says."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent import RELEASED_S, checks, power, service
from b2ct_vmagent.context import load_context
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.life import Life
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import prepare_pilot, record_end
from b2ct_vmagent.programs import Done
from b2ct_vmagent.reports import Delivery, News, Order, Reporter
from b2ct_vmagent.service import Agent
from b2ct_vmagent.status import load_status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CORES = 4
BOOTED_S = RELEASED_S + 1_000_000
"""By the wall clock."""
PATTERN = "payload_pattern = ^payload-([a-z0-9]+)\n"


class Centre:
    """A reporter: keeps what it was told, and answers as it is told."""

    def __init__(self, name: str = "centre", *, central: bool = True) -> None:
        self.name = name
        self.central = central
        self.told: list[News] = []
        self.answer: object = Order.NONE
        """What ``report`` returns, or raises when it is an exception."""

    def report(self, news: News) -> Order:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.told.append(news)
        return self.answer  # type: ignore[return-value] # garbage too, on purpose


class FakeMachine:
    """Below ``root`` with ``conf`` as the lines of agent.conf; ``live`` runs an agent until a moment or power-off."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, conf: str, *, cgroup_version: int = 2) -> None:
        self.root = root
        self.paths = Paths(str(root))
        self.now_s = 100.0
        """Since boot."""
        self.wall_s = float(BOOTED_S)
        self.off = False
        self.refused = 0
        """So many of the next ways to turn the machine off fail."""
        self.silent = False
        """Whether ``systemctl show`` gets no answer."""
        self.asked: list[str] = []
        """What systemd was asked for, but for questions."""
        self.lost: list[str] = []
        """Payloads that ran when they were ended, or the machine was."""
        self.killed_after = -1
        """After so many more programs the agent is killed as it runs the next; negative: never."""
        self.centres: list[Centre] = []
        self.busy: dict[int, float] = {}
        """Cores that each pilot uses."""
        self._cgroup_version = cgroup_version
        self._running: dict[str, int] = {}
        self._used_s: dict[str, float] = {}
        self._plan: list[tuple[float, Callable[[], object]]] = []
        self._next_process = 1000
        self._until_s = 0.0
        for folder in ("etc/b2ct-vm", "run", "var/lib", "scratch", "proc/net"):
            (root / folder).mkdir(parents=True)
        (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n", encoding="ascii")
        self.configure(conf)
        monkeypatch.setattr("os.cpu_count", lambda: CORES)
        monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
        monkeypatch.setattr("time.monotonic", lambda: self.now_s)
        monkeypatch.setattr("time.time", lambda: self.wall_s)
        self._monkeypatch = monkeypatch
        self.be_ready(ready=True)
        monkeypatch.setattr(service, "make_reporters", lambda *_: self.centres)
        monkeypatch.setattr(service, "start_deliveries", self._make_ways)
        monkeypatch.setattr(service, "power_off", partial(power.power_off, kill=self._kill))

    def configure(self, conf: str) -> None:
        (self.root / "etc/b2ct-vm/agent.conf").write_text(f"[agent]\nsite = torino\n{conf}", encoding="utf-8")

    def be_ready(self, *, ready: bool) -> None:
        """Have room on the disk, or not."""
        self._monkeypatch.setattr(checks, "SMALLEST_FREE_MIB", 0 if ready else 1 << 60)

    def live(self, for_s: float = 1e6) -> None:
        """Run a new agent, until it turns the machine off or is ended after ``for_s`` seconds."""
        self._until_s = self.now_s + for_s
        with pytest.raises(SystemExit):
            Agent(self.paths, _Clockwork(self), self.run).run()

    def at(self, after_s: float, act: Callable[[], object]) -> None:
        """Let ``act`` happen ``after_s`` seconds from now, while the agent waits."""
        self._plan.append((self.now_s + after_s, act))
        self._plan.sort(key=lambda item: item[0])

    def pass_time(self, for_s: float) -> None:
        """Let time pass; SystemExit as the agent has it when the machine stops, or its own time is over."""
        if self.off:
            raise SystemExit(0)
        end_s = self.now_s + for_s
        while self._plan and self._plan[0][0] <= end_s:
            when_s, act = self._plan.pop(0)
            self._pass(when_s - self.now_s)
            act()
        self._pass(end_s - self.now_s)
        if self.off or self.now_s >= self._until_s:
            raise SystemExit(0)

    def _pass(self, for_s: float) -> None:
        self.now_s, self.wall_s = self.now_s + max(0.0, for_s), self.wall_s + max(0.0, for_s)
        for unit, number in self._running.items():
            self._used_s[unit] += max(0.0, for_s) * self.busy.get(number, 0.0)
            self._write_cpu(unit)

    def run(self, argv: Sequence[str], timeout_s: float) -> Done:
        """Do what the program would, as a Runner of the agent."""
        assert timeout_s > 0
        if self.killed_after == 0:
            self.killed_after = -1
            raise SystemExit(137)
        self.killed_after -= 1
        if argv[0] == "timedatectl":
            return Done(0, "System clock synchronized: yes")
        assert argv[0] == "systemctl", argv
        words = [word for word in argv[1:] if word not in {"--no-block", "-p", "ControlGroup"}]
        if words[0] == "show":
            return self._show(words[1])
        if words[0] == "is-system-running":
            return Done(0, "stopping" if self.off else "running")
        self.asked.append(" ".join(argv[1:]))
        if words[0] == "stop":
            self.lost += self.payloads()
        acts: dict[str, Callable[[str], None]] = {"start": self._start, "stop": self.end, "reload": lambda _unit: None}
        if words[0] in acts:
            for unit in words[1:]:
                acts[words[0]](unit)
            return Done(0, "")
        assert words[-1] == "poweroff", argv
        return Done(0, "") if self._turn_off() else Done(1, "Access denied")

    def _show(self, unit: str) -> Done:
        if self.silent:
            return Done(124, "no answer in 30 s")
        return Done(0, f"ControlGroup={self._group(unit) if unit in self._running else ''}")

    def _kill(self, process: int, number: int) -> None:
        self.asked.append(f"signal {number} to {process}")
        if not self._turn_off():
            raise ProcessLookupError(3, "No such process")

    def _turn_off(self) -> bool:
        if self.refused:
            self.refused -= 1
            return False
        self.off = True
        self.lost += self.payloads()
        return True

    def _group(self, unit: str) -> str:
        return f"/system.slice/system-b2ct.slice/{unit}"

    def _folder(self, unit: str) -> Path:
        top = "sys/fs/cgroup" + ("/systemd" if self._cgroup_version == 1 else "")
        return self.root / (top + self._group(unit))

    def _write_cpu(self, unit: str) -> None:
        if self._cgroup_version == 1:
            place = self.root / f"sys/fs/cgroup/cpuacct{self._group(unit)}/cpuacct.usage"
            text = f"{int(self._used_s[unit] * 1e9)}\n"
        else:
            place, text = self._folder(unit) / "cpu.stat", f"usage_usec {int(self._used_s[unit] * 1e6)}\nuser_usec 1\n"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="ascii")

    def _start(self, unit: str) -> None:
        if unit in self._running:
            return
        number = int(unit.partition("@")[2].partition(".")[0] or 0)
        Path(self.paths.pilot_state(number)).mkdir(parents=True, exist_ok=True)
        try:
            prepare_pilot(self.paths, load_context(self.paths).settings, number)
        except AgentError:
            self._record(number, "exit-code", "1")
            return
        self._running[unit], self._used_s[unit] = number, 0.0
        self._folder(unit).mkdir(parents=True)
        (self._folder(unit) / "cgroup.procs").touch()
        self._write_cpu(unit)
        self.begin(number, "pilot")

    def runs(self, number: int) -> bool:
        """Return whether a pilot's unit runs."""
        return number in self._running.values()

    def _unit(self, number: int) -> str:
        return next(unit for unit, one in self._running.items() if one == number)

    def begin(self, number: int, command: str) -> None:
        """Let a process begin in a pilot's unit."""
        self._next_process += 1
        folder = self.root / f"proc/{self._next_process}"
        folder.mkdir()
        (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        with (self._folder(self._unit(number)) / "cgroup.procs").open("a", encoding="ascii") as file:
            file.write(f"{self._next_process}\n")

    def payloads(self) -> list[str]:
        """Return the commands of the payloads that run."""
        numbers = [one for unit in self._running for one in self._processes(unit)]
        commands = [(self.root / f"proc/{one}/cmdline").read_text(encoding="ascii").rstrip("\0") for one in numbers]
        return [command for command in commands if command.startswith("payload")]

    def _processes(self, unit: str) -> list[str]:
        return (self._folder(unit) / "cgroup.procs").read_text(encoding="ascii").split()

    def finish(self, number: int, command: str) -> None:
        """Let the processes of a command end."""
        file = self._folder(self._unit(number)) / "cgroup.procs"
        wanted = command.replace(" ", "\0").encode() + b"\0"
        left = [
            one
            for one in self._processes(self._unit(number))
            if (self.root / f"proc/{one}/cmdline").read_bytes() != wanted
        ]
        file.write_text("".join(f"{one}\n" for one in left), encoding="ascii")

    def end(self, unit: str, result: str = "success", status: str = "0") -> None:
        """Let a pilot's unit end, with all its processes."""
        if unit not in self._running:
            return
        number = self._running.pop(unit)
        shutil.rmtree(self._folder(unit))
        self._record(number, result, status)

    def _record(self, number: int, result: str, status: str) -> None:
        words = {"SERVICE_RESULT": result, "EXIT_STATUS": status}
        try:
            record_end(self.paths, load_context(self.paths).settings, number, words)
        except AgentError:
            return

    def _make_ways(self, reporters: list[Reporter], heartbeat_s: int) -> list[Delivery]:
        return [_Way(self, reporter, float(heartbeat_s)) for reporter in reporters]

    def status(self) -> dict[str, Any]:
        """Return what the agent shows now."""
        return load_status(self.paths)

    def life(self) -> Life:
        """Return what the agent has written down."""
        return Life.load(self.paths)

    def outcome(self) -> str:
        """Return why the machine goes, as it is written down; empty while it stays."""
        ending = self.life().ending
        return "" if ending is None else str(ending.outcome)

    def order(self, order: str, reason: str = "") -> None:
        """Leave an order as ``b2ct-agent`` does."""
        Path(self.paths.order).write_text(json.dumps({"order": order, "reason": reason}), encoding="utf-8")

    def feature(self, name: str) -> str:
        """Return the text of a file below /run/b2ct-vm."""
        return (self.root / "run/b2ct-vm" / name).read_text(encoding="utf-8").strip()

    def count(self, words: str) -> int:
        """Return how many times systemd was asked for something."""
        return sum(words in line for line in self.asked)


def unit_of(number: int) -> str:
    """Return the unit of a pilot."""
    return f"b2ct-vm-pilot@{number}.service"


class _Clockwork(Event):
    """What the agent waits on: its waiting makes the machine's time pass."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__()
        self._machine = machine

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._machine.pass_time(timeout)
        return False


class _Way(Delivery):
    """A delivery without a thread: tries when it gets news, and while it is waited for."""

    def __init__(self, machine: FakeMachine, reporter: Reporter, period_s: float) -> None:
        super().__init__(reporter, period_s, jitter=lambda: 0.5, clock=lambda: machine.now_s)
        self._machine = machine

    def offer(self, news: News) -> None:
        super().offer(news)
        self.push()

    def wait_arrived(self, timeout_s: float) -> bool:
        until_s = self._machine.now_s + timeout_s
        while not self.arrived and self._machine.now_s < until_s:
            self._machine.pass_time(1.0)
            self.push()
        return self.arrived
