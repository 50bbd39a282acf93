"""The real tools judge what the agent writes and decides: bash, blkid, mkfs.ext4, shellcheck."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.checks import State
from b2ct_vmagent.cvmfs import render_cvmfs_settings
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done, run_program
from b2ct_vmagent.scratch import prepare_scratch
from b2ct_vmagent.settings import Settings, Value, make_settings

from b2ct.apply.agent import AGENT_UNITS, agent_files
from b2ct.assets import Assets
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

VMAGENT = Path(__file__).parents[3] / "vmagent"
SCRIPTS = ("files/usr/libexec/b2ct-vm/agent", "files/usr/bin/b2ct-agent", "remote/probe.sh", "remote/install.sh")
VDB = Settings(scratch="/dev/vdb")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_plain_posix_shell(script: str) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    run_tool([shellcheck, "--shell=sh", "--enable=all", "--exclude=SC2250,SC2310,SC2312", VMAGENT / script])


def test_bash_reads_the_cvmfs_settings_as_they_are_meant(tmp_path: Path) -> None:
    proxy = "http://a.example.org:3128|http://[2001:db8::1]:3128;http://10.0.0.1:3128;DIRECT"
    names = "belle.cern.ch,belle.kek.jp"
    values = {"cvmfs_proxy": Value(proxy, ""), "cvmfs_repositories": Value(names, "")}
    settings, problems = make_settings(values)
    assert problems == []
    path = tmp_path / "default.local"
    path.write_text(render_cvmfs_settings(settings, 10**11), encoding="utf-8")
    show = '. "$1"; printf "%s\\n" "$CVMFS_HTTP_PROXY" "$CVMFS_REPOSITORIES" "$CVMFS_QUOTA_LIMIT"'
    assert run_tool(["bash", "-uc", show, "bash", path]).splitlines() == [proxy, names, "20000"]


def run_but_mount(argv: Sequence[str], timeout_s: float) -> Done:
    """Run the real program; mounting needs a loop device of this machine, which is not ours."""
    return Done(0, "") if argv[0] == "mount" else run_program(argv, timeout_s)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A blank disk of 32 MiB, as a file."""
    need_tool("blkid", "mkfs.ext4", "mkfs.fat", "mkswap", "sgdisk")
    path = tmp_path / "dev/vdb"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(32 << 20)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_blank_disk_gets_a_file_system_once(disk: Path, tmp_path: Path) -> None:
    check = prepare_scratch(Paths(str(tmp_path)), VDB, run_but_mount)
    assert (check.state, "newly formatted" in check.detail) == (State.OK, True)
    run_tool(["fsck.ext4", "-fn", disk])
    before = digest(disk)
    check = prepare_scratch(Paths(str(tmp_path)), VDB, run_but_mount)
    assert (check.state, "newly formatted" in check.detail) == (State.OK, False)
    assert digest(disk) == before


@pytest.mark.parametrize(
    "make",
    [
        ["mkfs.ext4", "-q", "-L", "data"],
        ["mkfs.fat"],
        ["mkswap"],
        ["sgdisk", "--new=1:0:0"],
        ["sh", "-c", 'printf x | dd of="$0" bs=1 seek=33554000 conv=notrunc status=none'],
    ],
    ids=lambda make: make[0],
)
def test_a_disk_with_anything_on_it_is_not_touched(disk: Path, tmp_path: Path, make: list[str]) -> None:
    run_tool([*make, disk])
    before = digest(disk)
    check = prepare_scratch(Paths(str(tmp_path)), VDB, run_but_mount)
    assert check.state is State.FAILED
    assert "left as it is" in check.detail
    assert digest(disk) == before


def test_programs_end(tmp_path: Path) -> None:
    assert run_program(["sh", "-c", "echo a; echo b >&2; exit 3"], 10) == Done(3, "a\nb")
    assert run_program(["sleep", "60"], 0.2).code == 124
    assert run_program([str(tmp_path / "none")], 1) == Done(127, f"{tmp_path}/none: No such file or directory")
    assert run_program(["sh", "-c", 'echo "$LC_ALL"; cat'], 10) == Done(0, "C")


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    started = time.monotonic()
    done = run_program(["sh", "-c", f"sleep 3600 & echo $! >{tmp_path}/child; sleep 3600"], 3)
    assert done == Done(124, "no answer in 3 s")
    assert time.monotonic() - started < 10
    child = Path("/proc", (tmp_path / "child").read_text(encoding="ascii").strip(), "status")
    while time.monotonic() - started < 20 and is_alive(child):
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(status: Path) -> bool:
    """Return whether the process of a status file of /proc still runs."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" not in status.read_text(encoding="ascii")
    return False


def test_a_background_child_does_not_hold_it_up() -> None:
    started = time.monotonic()
    assert run_program(["sh", "-c", "sleep 5 & echo done"], 60) == Done(0, "done")
    assert time.monotonic() - started < 3


def test_a_full_disk_and_a_flood_do_not_keep_programs_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    for name in ("TemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", full)
    assert run_program(["sh", "-c", "echo here"], 10) == Done(0, "here")
    started = time.monotonic()
    done = run_program(["sh", "-c", "yes & echo $!"], 10)
    assert (done.code, len(done.output) <= 65536, time.monotonic() - started < 3) == (0, True, True)
    assert run_program(["yes"], 0.3) == Done(124, "no answer in 0 s")


def test_the_units_hold_for_old_systemds() -> None:
    files = {file.path: file.data for file in agent_files(Assets())}
    for unit in AGENT_UNITS:
        parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign] # as configparser's documentation has it
        parser.read_string(files[f"usr/lib/systemd/system/{unit}"].decode())
        service = parser["Service"]
        assert service["SystemCallFilter"].startswith("~"), "before 231 no group is known: an allow form kills"
        assert "RuntimeDirectory" not in service, "before 235 it is removed when the unit stops"
        assert service["NoNewPrivileges"] == "yes"
        assert service["CapabilityBoundingSet"] == ("CAP_SYS_ADMIN" if "scratch" in unit else "")
