"""A virtual machine with network cards, whose NetworkManager (Debian's) makes the network of a folder of keyfiles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.rigs.debian import load_kernel
from tests.rigs.process import RigError, run_tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net
tls bonding llc stp mrp garp 8021q bridge
"""
"""Kernel modules that the machine needs, in load order."""

PROGRAMS = (
    "bash", "busybox", "cat", "cp", "dbus-daemon", "ip", "mkdir", "mount", "NetworkManager", "nm-online", "sleep",
    "udevadm",
)  # fmt: skip

FILES = ("/etc/passwd", "/etc/group", "/usr/share/dbus-1/system.conf")
FOLDERS = ("/usr/share/dbus-1/system.d", "/etc/dbus-1")

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs run /run
for module in $(/bin/busybox cat /modules/order); do
    case $module in bonding.ko) options=max_bonds=0 ;; *) options= ;; esac # as systemd's modprobe.d says
    /bin/busybox insmod /modules/$module $options
done
export PATH=/usr/sbin:/usr/bin:/sbin:/bin B2CT_OWN_MACHINE=1
udevd --daemon
udevadm trigger --action=add
udevadm settle
echo B2CT-BEGIN
/network_manager.sh /profiles
echo B2CT-END
/bin/busybox poweroff -f
"""


def bring_up(profiles: Mapping[str, str], macs: Sequence[str], work: Path) -> list[Any]:
    """Boot a machine with cards of these MAC addresses and keyfiles; return its links, addresses and routes.

    They are what ``ip -details -json`` shows.

    Raises:
        RigError: the network did not come up; carries what the machine wrote.
    """
    kernel = load_kernel(MODULES)
    root = work / "root"
    _install(root)
    for name, text in profiles.items():
        (root / "profiles" / f"{name}.nmconnection").write_text(text)
        (root / "profiles" / f"{name}.nmconnection").chmod(0o600)
    for module in kernel.modules:
        shutil.copy(module, root / "modules" / module.name)
    (root / "modules/order").write_text(" ".join(module.name for module in kernel.modules))
    image = work / "initramfs"
    run_tool(["sh", "-c", f"find . | cpio --quiet -o -H newc | gzip -1 >{image}"], cwd=root)
    cards = [
        word
        for n, mac in enumerate(macs)
        for word in ("-netdev", f"hubport,id=n{n},hubid=0", "-device", f"virtio-net-pci,netdev=n{n},mac={mac}")
    ]
    qemu = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-m", "1024", "-no-reboot"]
    qemu += ["-display", "none", "-serial", "stdio", "-nic", "none"]
    start: list[str | Path] = ["-kernel", kernel.vmlinuz, "-initrd", image]
    start += ["-append", "console=ttyS0 quiet panic=-1 net.ifnames=0"]
    text = run_tool([*qemu, *cards, *start])
    found = re.search(r"B2CT-BEGIN\s+(\[.*\])\s+B2CT-END", text, re.DOTALL)
    if found is None:
        raise RigError(f"the network did not come up:\n{text[-6000:]}")
    state: list[Any] = json.loads(found[1])
    return state


def _install(root: Path) -> None:
    """Copy the programs and what they load to ``root``."""
    for name in ("bin", "dev", "modules", "proc", "profiles", "run", "sys", "tmp", "var/lib/NetworkManager"):
        (root / name).mkdir(parents=True)
    (root / "etc/NetworkManager").mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    for name in PROGRAMS:
        program = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            raise RigError(f"there is no program {name}")
        _copy(Path(program), root)
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            _copy(Path(library), root)
    for name in FILES:
        _copy(Path(name), root)
    for name in FOLDERS:
        shutil.copytree(name, root / name.removeprefix("/"), dirs_exist_ok=True)
    for name in ("busybox", "bash"):
        if not (root / "bin" / name).exists():
            shutil.copy(shutil.which(name) or name, root / "bin" / name)
    (root / "bin/udevd").symlink_to(Path(shutil.which("udevadm") or "udevadm").resolve())  # it is what it is called
    (root / "init").write_text(INIT)
    shutil.copy(Path(__file__).with_name("network_manager.sh"), root / "network_manager.sh")
    for name in ("init", "network_manager.sh"):
        (root / name).chmod(0o755)


def _copy(path: Path, root: Path) -> None:
    target = root / str(path).removeprefix("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
