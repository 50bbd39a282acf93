"""Steps inside a guest's root: they run in namespaces of their own, warm CVMFS's cache, and leave nothing behind."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from pathlib import Path

import pytest

from b2ct.apply.image.builder import ImageRequest
from b2ct.apply.image.from_packages import install_packages
from b2ct.apply.image.guest_root import clean_root, run_steps, write_files
from b2ct.apply.tool import ToolError
from b2ct.assets import Assets
from b2ct.plan.artifact import Artifact
from b2ct.plan.guest_debian import MASKED, WARM_PROGRAM, Step, make_sources, make_steps
from b2ct.render.guest_debian import WARM_SCRIPT
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool
from tests.unit.plan.images import DESCRIPTION

PROGRAMS = ("sh", "cat", "grep", "mkdir", "mknod", "rm", "rmdir", "sleep", "timeout", "touch")
NOTING = ("cvmfs_config", "ls", "mount", "systemctl", "umount")
"""Programs that write down how they were called, and what default.local holds then."""

NOTE = """\
#!/bin/sh
echo "${0##*/} $*" >>/calls
[ -e /etc/cvmfs/default.local ] && cat /etc/cvmfs/default.local >>/settings
case "$*" in *lost.example*) [ "${0##*/}" != mount ] ;; *) true ;; esac
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A guest of this machine's own programs and some that take notes."""
    need_tool("unshare", "chroot", "ldd", *PROGRAMS)
    need_root()
    root = tmp_path / "root"
    for name in ("bin", "etc/cvmfs", "proc", "tmp", "dev", "cvmfs"):
        (root / name).mkdir(parents=True)
    for name in PROGRAMS:
        program = Path(shutil.which(name) or name).resolve()
        shutil.copy(program, root / "bin" / name)
        for library in re.findall(r"(/\S+) \(0x", run_tool(["ldd", program])):
            (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library.lstrip("/"))
    write_files(root, [Artifact(f"bin/{name}", NOTE.encode(), 0o755) for name in NOTING])
    write_files(root, [Artifact(WARM_PROGRAM, WARM_SCRIPT.encode(), 0o755)])
    return root


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_shellcheck(tmp_path: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    script = tmp_path / "warm.sh"
    script.write_text(WARM_SCRIPT, encoding="ascii")
    run_tool([shellcheck, "--shell=sh", script])


def test_cvmfs_is_set_up_and_every_repository_mounted_looked_into_and_left(root: Path) -> None:
    said: list[str] = []
    run_steps(root, make_steps(DESCRIPTION, ("a.service",), with_repositories=True), said.append)
    mounts = [
        f"{call}{name}"
        for name in ("belle.cern.ch", "grid.cern.ch")
        for call in (f"mount -t cvmfs {name} /cvmfs/", "ls -l /cvmfs/", "umount /cvmfs/")
    ]
    assert lines(root / "calls") == [
        "systemctl enable systemd-networkd.service a.service",
        f"systemctl mask {' '.join(MASKED)}",
        "cvmfs_config setup nostart",
        "systemctl enable autofs.service",
        *mounts,
    ]
    assert set(lines(root / "settings")) == {"CVMFS_HTTP_PROXY=DIRECT"}
    assert not (root / "etc/cvmfs/default.local").exists()
    assert not list((root / "cvmfs").iterdir())
    fuse = (root / "dev/fuse").stat()
    assert stat.S_ISCHR(fuse.st_mode)
    assert fuse.st_rdev == 10 << 8 | 229
    assert not [line for line in said if line.startswith("warning")]


def test_a_repository_that_cannot_be_mounted_is_told_and_the_others_are_warmed(root: Path) -> None:
    said: list[str] = []
    description = DESCRIPTION.model_copy(update={"warm": ("lost.example", "grid.cern.ch")})
    run_steps(root, make_steps(description, (), with_repositories=True), said.append)
    assert "ls -l /cvmfs/grid.cern.ch" in lines(root / "calls")
    assert "ls -l /cvmfs/lost.example" not in lines(root / "calls")
    assert "umount /cvmfs/lost.example" not in lines(root / "calls")
    assert [line for line in said if line.startswith("warning") and "lost.example" in line]
    assert not (root / "etc/cvmfs/default.local").exists()


def test_a_step_that_must_work_stops_the_build(root: Path) -> None:
    with pytest.raises(ToolError, match="exit code 3"):
        run_steps(root, [Step(("sh", "-c", "exit 3"), 30)], lambda _line: None)


def test_a_mirror_where_nothing_answers_is_told_in_a_few_lines(tmp_path: Path) -> None:
    need_tool("mmdebstrap", "unshare")
    need_root()
    (tmp_path / "early").mkdir()
    mirror = "http://127.0.0.1:1/debian"
    sources = make_sources(DESCRIPTION, mirror, mirror)
    with pytest.raises(ToolError) as caught:
        install_packages(DESCRIPTION, ImageRequest(DESCRIPTION, Assets(), tmp_path / "x.qcow2"), sources, tmp_path)
    first, *shown = caught.value.message.splitlines()
    assert first == "mmdebstrap failed with exit code 25"
    assert 1 <= len(shown) <= 6
    assert max(map(len, shown)) <= 300
    assert any("Failed to fetch http://127.0.0.1:1/debian/dists/" in line for line in shown)
    assert caught.value.hint == f"is the mirror's address right, {mirror}? --mirror names another"


def test_a_step_that_hangs_is_ended_with_all_it_started(root: Path) -> None:
    step = Step(("sh", "-c", "(sleep 5; touch /survived) & sleep 60"), 1)
    with pytest.raises(ToolError, match="took too long"):
        run_steps(root, [step], lambda _line: None)
    with pytest.raises(ToolError):  # by then the child would have written
        run_steps(root, [Step(("sh", "-c", "sleep 6; cat /survived"), 30)], lambda _line: None)


def test_steps_see_only_their_own_processes_and_leave_no_mount(root: Path) -> None:
    run_steps(root, [Step(("sh", "-c", "cat /proc/1/cmdline >/first"), 30)], lambda _line: None)
    assert (root / "first").read_bytes().startswith((b"sh\0", b"cat\0"))
    assert not list((root / "proc").iterdir())
    assert str(root) not in Path("/proc/mounts").read_text(encoding="utf-8")


def test_what_belongs_to_the_build_is_cleaned_away(tmp_path: Path) -> None:
    root = tmp_path / "root"
    kept = ("etc/passwd", "var/lib/dpkg/status", "etc/ssh/sshd_config", "var/lib/apt/extended_states")
    gone = (
        "etc/hostname",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_rsa_key.pub",
        "root/.bash_history",
        "tmp/b2ct-warm-cvmfs",
        "var/cache/apt/pkgcache.bin",
        "var/lib/apt/lists/partial/x",
        "var/lib/dpkg/status-old",
        "var/lib/systemd/random-seed",
        "var/log/apt/term.log",
        "var/log/dpkg.log",
    )
    write_files(root, [Artifact(name, b"x") for name in (*kept, *gone, "etc/resolv.conf", "var/lib/dbus/machine-id")])
    clean_root(root)
    assert all((root / name).exists() for name in kept)
    assert not [name for name in gone if (root / name).exists()]
    assert (root / "var/log/apt").is_dir()
    assert (root / "etc/resolv.conf").readlink() == Path("../run/systemd/resolve/stub-resolv.conf")
    assert (root / "var/lib/dbus/machine-id").readlink() == Path("/etc/machine-id")
