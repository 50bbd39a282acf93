from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.monitor import UnitWatch, Work, look_at_machine, moved_bytes, total_memory_mib
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNIT = "b2ct-vm-pilot@0.service"
GROUP = f"/system.slice/system-b2ct\\x2dvm\\x2dpilot.slice/{UNIT}"
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999999       1    0    0    0     0          0         0  9999999       1    0    0    0     0       0          0
  eth0: 1000000   48362    0    0    0     0          0         0   234567   35127    0    0    0     0       0          0
enp3s0:8000000000       1    0    0    0     0          0         0        3       1    0    0    0     0       0          0
"""  # noqa: E501 - as the kernel writes it


class Systemd:
    """Answers where the control group of the unit is."""

    def __init__(self, group: str = GROUP) -> None:
        self.answer = Done(0, f"ControlGroup={group}")
        self.asked = 0

    def __call__(self, argv: Sequence[str], timeout_s: float) -> Done:
        assert list(argv) == ["systemctl", "show", "-p", "ControlGroup", UNIT]
        assert timeout_s > 0
        self.asked += 1
        return self.answer


class Tree:
    """The control groups and processes of a machine, of version 2, 1, or both at once (hybrid)."""

    def __init__(self, root: Path, top: str = "") -> None:
        self.root = root
        self.folder = root / f"sys/fs/cgroup{top}{GROUP}"
        self.folder.mkdir(parents=True)
        (self.folder / "cgroup.procs").touch()

    def run(self, number: int, command: bytes, below: str = "") -> None:
        folder = self.folder / below
        folder.mkdir(exist_ok=True, parents=True)
        with (folder / "cgroup.procs").open("a", encoding="ascii") as file:
            file.write(f"{number}\n")
        (self.root / f"proc/{number}").mkdir(parents=True)
        (self.root / f"proc/{number}/cmdline").write_bytes(command)

    def end(self) -> None:
        for path in (*self.folder.iterdir(), self.folder):
            path.unlink() if path.is_file() else path.rmdir()


def test_bytes_of_all_interfaces_but_loopback() -> None:
    assert moved_bytes(NET_DEV) == 1000000 + 234567 + 8000000000 + 3
    assert moved_bytes("") == 0


@given(st.text(alphabet=" :\n0123456789abclo", max_size=200))
def test_any_table_gives_a_number(text: str) -> None:
    try:
        assert moved_bytes(text) >= 0
    except ValueError:
        assert any(not column.isdigit() for line in text.splitlines() for column in line.partition(":")[2].split())


def test_a_machine_without_proc_and_disk(tmp_path: Path) -> None:
    machine = look_at_machine(Paths(str(tmp_path)), str(tmp_path / "none"))
    assert (machine.moved_bytes, machine.free_memory_mib, machine.free_disk_mib) == (0, 0, 0)
    assert machine.uptime_s > 0
    assert machine.load >= 0
    assert total_memory_mib(Paths(str(tmp_path))) == 0


def test_a_machine(tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/dev").write_text(NET_DEV, encoding="ascii")
    memory = "MemTotal:        8388608 kB\nMemFree: 1 kB\nMemAvailable:    2097152 kB\n"
    (tmp_path / "proc/meminfo").write_text(memory, encoding="ascii")
    machine = look_at_machine(Paths(str(tmp_path)), str(tmp_path))
    assert machine.moved_bytes == moved_bytes(NET_DEV)
    assert machine.free_memory_mib == 2048
    assert machine.free_disk_mib > 0
    assert total_memory_mib(Paths(str(tmp_path))) == 8192


@pytest.mark.parametrize("top", ["", "/unified", "/systemd"], ids=["v2", "hybrid", "v1"])
def test_processes_of_all_groups_below(tmp_path: Path, top: str) -> None:
    tree = Tree(tmp_path, top)
    tree.run(10, b"/bin/sh\0/run/start\0")
    tree.run(11, b"python\0JobWrapper_17.py\0", "payload/inner")
    systemd = Systemd()
    watch = UnitWatch(Paths(str(tmp_path)), systemd)
    for _ in range(3):
        assert watch.look(UNIT, r"JobWrapper_([0-9]+)") == Work(frozenset({"17"}), 0.0)
    assert systemd.asked == 1


@pytest.mark.parametrize(
    ("pattern", "payloads"),
    [
        ("", {"unit"}),
        (r"job-[0-9]", {"10", "11", "12"}),
        (r"job-([0-9])", {"1", "2"}),
        (r"^wrap (?:job)-([0-9])$", {"1"}),
        (r"job-[0-9]( --again)?", {"10", " --again", "12"}),
        (r"job-[0-9]( nothing)?", {"10", "11", "12"}),
        ("nothing", set()),
    ],
)
def test_what_is_a_payload(tmp_path: Path, pattern: str, payloads: set[str]) -> None:
    tree = Tree(tmp_path)
    tree.run(9, b"/bin/sh\0/run/start\0")
    tree.run(10, b"wrap\0job-1")
    tree.run(11, b"wrap\0job-1\0--again")
    tree.run(12, b"\xff\xfe job-2\0")
    work = UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, pattern)
    assert work == Work(frozenset(payloads), 0.0)


def test_a_payload_cannot_choose_a_long_name(tmp_path: Path) -> None:
    Tree(tmp_path).run(10, b"job-" + b"9" * 4000)
    work = UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, "job-([0-9]+)")
    assert work == Work(frozenset({"9" * 64}), 0.0)


def test_no_process_is_no_payload(tmp_path: Path) -> None:
    Tree(tmp_path)
    assert UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, "") == Work(frozenset(), 0.0)


def test_processes_that_end_meanwhile_and_endless_arguments(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.run(10, b"x" * 10000 + b"payload")
    tree.run(11, b"payload")
    (tmp_path / "proc/11/cmdline").unlink()
    work = UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, "payload")
    assert work == Work(frozenset(), 0.0)


def test_cpu_time_of_version_2(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tree.folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 9\nsystem_usec 9\n", encoding="ascii")
    work = UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, "")
    assert work is not None
    assert work.cpu_s == 1.5


@pytest.mark.parametrize(("text", "cpu_s"), [("2500000000\n", 2.5), ("", 0.0), ("x", 0.0)])
def test_cpu_time_of_version_1(tmp_path: Path, text: str, cpu_s: float) -> None:
    Tree(tmp_path, "/systemd")
    folder = tmp_path / f"sys/fs/cgroup/cpuacct{GROUP}"
    folder.mkdir(parents=True)
    (folder / "cpuacct.usage").write_text(text, encoding="ascii")
    work = UnitWatch(Paths(str(tmp_path)), Systemd()).look(UNIT, "")
    assert work is not None
    assert work.cpu_s == cpu_s


def test_a_unit_that_does_not_run_is_asked_for_again(tmp_path: Path) -> None:
    systemd = Systemd("")
    watch = UnitWatch(Paths(str(tmp_path)), systemd)
    assert watch.look(UNIT, "") is None
    systemd.answer = Done(0, f"ControlGroup={GROUP}")
    assert watch.look(UNIT, "") is None  # its group is gone already
    tree = Tree(tmp_path)
    assert watch.look(UNIT, "") is not None
    asked = systemd.asked
    tree.end()
    systemd.answer = Done(0, "ControlGroup=")
    assert watch.look(UNIT, "") is None
    assert watch.look(UNIT, "") is None
    assert systemd.asked == asked + 1


def test_no_answer_is_not_the_same_as_not_running(tmp_path: Path) -> None:
    systemd = Systemd()
    systemd.answer = Done(124, "no answer in 30 s")
    with pytest.raises(AgentError, match=r"pilot@0\.service: no answer in 30 s"):
        UnitWatch(Paths(str(tmp_path)), systemd).look(UNIT, "")


def test_a_group_never_leads_out_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    assert UnitWatch(Paths(str(tmp_path)), Systemd("/../../../etc")).look(UNIT, "") is None
