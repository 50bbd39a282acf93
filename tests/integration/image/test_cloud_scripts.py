"""The scripts that run inside guests: shellcheck reads them, and clean.sh cleans a real tree."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from b2ct.assets import Assets
from b2ct.plan.customization import Customization
from b2ct.plan.image import Family
from b2ct.render.user_data import CLEAN_SCRIPT, render_customize_script
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool

ASSETS = Assets()

GONE = (
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
    "etc/hostname",
    "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection",
    "root/.ssh/authorized_keys",
    "root/.bash_history",
    "root/anaconda-ks.cfg",
    "tmp/.hidden/deep/file",
    "var/cache/dnf/x/y.solv",
    "var/lib/apt/lists/a_b_Packages",
    "var/lib/cloud/instances/i/sem/x",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/apt/history.log",
    "var/log/journal/0123/system.journal",
)
KEPT = (
    "etc/ssh/sshd_config",
    "root/.profile",
    "var/lib/cvmfs/cache",
    "var/log/apt/",
    "tmp/",
    "var/lib/cloud/",
)

_ENTER = 'mount -o bind,ro /usr "$1/usr" && exec chroot "$1" /bin/sh /clean.sh'


@pytest.mark.parametrize("family", Family)
def test_shellcheck_has_nothing_to_say(tmp_path: Path, family: Family) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    script = tmp_path / "customize.sh"
    customization = Customization(family, "M", ("jq",), ("cvmfs",), (), ("a.service",), ("belle.cern.ch",))
    script.write_text(render_customize_script(customization, ASSETS))
    run_tool([shellcheck, "--shell=sh", script, ASSETS.path(CLEAN_SCRIPT)])


def test_a_tree_is_cleaned_and_nothing_outside_is_touched(tmp_path: Path) -> None:
    need_root()
    need_tool("unshare", "chroot")
    root, outside = tmp_path / "root", tmp_path / "outside"
    for name in (*GONE, *(name for name in KEPT if not name.endswith("/"))):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    outside.mkdir()
    (outside / "file").write_text("x")
    (root / "etc/machine-id").write_text("c0ffee\n")
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / "var/tmp").symlink_to("/var/lib/cvmfs")
    (root / "tmp/link").symlink_to("/usr/bin")
    (root / "usr").mkdir()
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "clean.sh").write_bytes(ASSETS.path(CLEAN_SCRIPT).read_bytes())
    for _ in range(2):
        run_tool(["unshare", "--mount", "sh", "-c", _ENTER, "sh", root])
        assert [name for name in GONE if (root / name).exists()] == []
        assert [name for name in KEPT if not (root / name).exists()] == []
        assert not (root / "etc/machine-id").read_text()
        assert (root / "etc/resolv.conf").is_symlink()
