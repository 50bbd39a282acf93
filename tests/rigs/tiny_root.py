"""A root folder of a few files that boots to a report: Debian's kernel, busybox, and the files that images have."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from b2ct.render.disk import render_grub_config
from tests.rigs.debian import load_kernel
from tests.rigs.initramfs import BUSYBOX, make_archive

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.plan.image_disk import DiskPlan

_MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
crc32c_generic crc16 mbcache jbd2 ext4
"""
"""Modules that find the disk, in load order."""

_EARLY = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod "/modules/$module.ko"; done
for word in $(cat /proc/cmdline); do case $word in root=*) root=${word#root=} ;; esac; done
mount -t ext4 -o ro "$(findfs "$root")" /new
exec switch_root /new /sbin/init
"""

_INIT = """\
#!/bin/busybox sh
export PATH=/bin
busybox mount -t devtmpfs devtmpfs /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
firmware=bios
[ -d /sys/firmware/efi ] && firmware=uefi
{
    echo "B2CT-RIG firmware=$firmware"
    echo "B2CT-RIG cmdline=$(busybox cat /proc/cmdline)"
    echo "B2CT-RIG note=$(busybox cat /etc/note)"
    echo "B2CT-RIG done"
} >/dev/console
busybox poweroff -f
"""


def make_tiny_root(root: Path, plan: DiskPlan, note: str) -> Path:
    """Fill the new folder ``root``; its init reports firmware, kernel command line and ``note``, then powers off."""
    kernel = load_kernel(_MODULES)
    modules = {f"modules/{path.name}": path.read_bytes() for path in kernel.modules}
    order = "".join(f"{path.stem}\n" for path in kernel.modules).encode()
    early = {"init": _EARLY.encode(), "bin/busybox": BUSYBOX.read_bytes(), "modules/order": order, **modules}
    files = {
        "bin/busybox": BUSYBOX.read_bytes(),
        "sbin/init": _INIT.encode(),
        "etc/note": note.encode(),
        "boot/vmlinuz": kernel.vmlinuz.read_bytes(),
        "boot/initrd.img": gzip.compress(make_archive(early), 6, mtime=0),
        "boot/grub/grub.cfg": render_grub_config(plan).encode(),
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    for name in ("dev", "proc", "sys"):
        (root / name).mkdir()
    (root / "bin/sh").symlink_to("busybox")
    return root
