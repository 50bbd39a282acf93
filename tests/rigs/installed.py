"""A freshly installed system as %post sees it: its own /etc, /var and homes, and package tools that only take notes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN = ("etc", "var", "root", "home", "mnt", "usr/libexec")
"""Folders that %post sees as the installed system's; all else is the machine's that runs the test."""

NOTING = ("systemctl", "chkconfig", "dnf", "yum", "rpm", "restorecon", "squid", "curl", "mount", "umount", "id")
"""Programs that write their arguments to ``calls`` and are content."""

ACCOUNTS = ("root", "ada", "bob", "oneadmin", "squid", "mysql")

FILES = {
    "etc/issue": "stock issue\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/motd": "",
    "etc/ssh/sshd_config": "#PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    "etc/ntp.conf": "driftfile /var/lib/ntp/drift\nserver 0.centos.pool.ntp.org iburst\n",
    "etc/firewalld/firewalld.conf": "# the default\nDefaultZone=public\nCleanupOnExit=yes\n",
    "etc/yum.repos.d/stock.repo": "[base]\nname=base\nmirrorlist=http://x/\n[extras]\nname=extras\nenabled = 1\n",
    "etc/one/oned.conf": """# before
DB = [ BACKEND = "sqlite",
       TIMEOUT = 2500 ]

# DB = [ BACKEND = "mysql" ]
VNC_PORTS = [ START = 5900 ]
""",
    "etc/libvirt/virtqemud.conf": "# stock\n",
    "etc/libvirt/libvirtd.conf": "# stock\n",
    "etc/NetworkManager/system-connections/ens3.nmconnection": "[connection]\nid=ens3\n",
    "etc/sysconfig/network-scripts/ifcfg-ens3": "DEVICE=ens3\n",
    "etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\n",
    "etc/b2ct/kickstart.sha256": f"{'ab' * 32}\n",
    "var/log/b2ct/post.log": "",
}


class Installed:
    """An installed system below ``root``; ``run`` runs a %post in it."""

    def __init__(self, root: Path) -> None:
        need_tool("unshare", "mount")
        need_root()
        self.root = root
        for name in (*OWN, "bin", "var/lib/mysql", "var/spool/squid"):
            (root / name).mkdir(parents=True)
        for name, text in FILES.items():
            self.write(name, text)
        numbers = {name: 0 if name == "root" else 5000 + n for n, name in enumerate(ACCOUNTS)}
        homes = {name: "/root" if name == "root" else f"/home/{name}" for name in ACCOUNTS}
        self.write("etc/passwd", "".join(f"{n}:x:{i}:{i}::{homes[n]}:/bin/bash\n" for n, i in numbers.items()))
        self.write("etc/group", "".join(f"{n}:x:{i}:\n" for n, i in numbers.items()))
        for home in homes.values():
            (root / home.removeprefix("/")).mkdir(exist_ok=True)
        (root / "bin/awk").symlink_to(Path(shutil.which("awk") or "/usr/bin/mawk").resolve())  # not through /etc
        for name in NOTING:
            self.program(f"bin/{name}", "")
        for name in ("visudo", "mariadb", "mysql"):
            self.program(
                f"bin/{name}", f'cat "${{@: -1}}" >>{root}/stdin.{name} 2>/dev/null || cat >>{root}/stdin.{name}'
            )
        for name in ("mysql_install_db", "mariadb-install-db"):
            self.program(f"bin/{name}", "")
        for name in ("mysqld", "mariadbd"):
            self.program(f"usr/libexec/{name}", "sleep 600 & wait $!; kill %1", trap=True)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def program(self, name: str, text: str, *, trap: bool = False) -> None:
        ending = "trap 'kill %1; exit 0' TERM\n" if trap else ""
        self.write(name, f'#!/bin/bash\n{ending}echo "${{0##*/}} $*" >>{self.root}/calls\n{text}\n')
        (self.root / name).chmod(0o755)

    def calls(self, program: str) -> list[str]:
        """Return the arguments of each call of ``program``."""
        lines = self.read("calls").splitlines()
        return [line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")]

    def run(self, script: str, answers: dict[str, str], cards: Iterable[str]) -> subprocess.CompletedProcess[str]:
        """Run %post with what %pre found out."""
        self.write("etc/b2ct/answers.sh", "".join(f"B2CT_{name}='{value}'\n" for name, value in answers.items()))
        self.write("etc/b2ct/cards.sh", f"B2CT_CARDS=( {' '.join(cards)} )\n")
        self.write("post.sh", script)
        bash = shutil.which("bash") or "/bin/bash"
        places = "".join(f"mount --bind {self.root}/{name} /{name}\n" for name in OWN)
        command = (
            f"set -e\n{places}exec env -i PATH={self.root}/bin:/usr/sbin:/usr/bin:/sbin:/bin {bash} {self.root}/post.sh"
        )
        # A system of its own: what it mounts and starts ends with it.
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
