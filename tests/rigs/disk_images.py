"""Makes small disks with a guest's files on them, without root: mke2fs, sfdisk, mkfs.fat, qemu-img."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.rigs.process import run_tool
from tests.rigs.stock_loaders import make_fat

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIB = 1024**2

DISK_TOOLS = ("qemu-img", "grub-fstest", "blkid", "mke2fs", "sfdisk", "mkfs.fat", "mcopy")

_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_ROOT_MIB = 48

GOLDEN_FILES: Mapping[str, str] = {
    "usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "usr/bin/cloud-init": "#!/bin/sh\n",
    "usr/libexec/b2ct-vm/agent.pyz": "PK",
    "usr/lib/systemd/system/b2ct-vm-agent.service": "[Unit]\n",
    "usr/lib/systemd/system/b2ct-vm-context.service": "[Unit]\n",
    "usr/lib/systemd/system/b2ct-vm-scratch.service": "[Unit]\n",
    "etc/machine-id": "",
    "etc/ssh/sshd_config": "PasswordAuthentication no\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\ndaemon:!:19000::::::\nnew:!!:19000::::::\n",
    "var/log/wtmp": "",
    "var/cache/apt/archives/lock": "",
}
"""What a clean guest holds."""

GOLDEN_LINKS: Mapping[str, str] = {
    "etc/os-release": "../usr/lib/os-release",
    "lib": "usr/lib",
    "etc/systemd/system/multi-user.target.wants/b2ct-vm-agent.service": "/lib/systemd/system/b2ct-vm-agent.service",
}
"""Its symbolic links."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """What is on a disk; ``files`` and ``links`` change the clean guest's, None takes one away."""

    files: Mapping[str, str | None] = field(default_factory=dict)
    links: Mapping[str, str | None] = field(default_factory=dict)
    label: str = "gpt"
    """``gpt`` or ``dos``."""
    bios: bool = True
    uefi: bool = True


def make_raw_disk(spec: DiskSpec, out: Path) -> Path:
    """Write a raw disk to ``out``: a BIOS boot partition, an ESP, an ext4 root; for ``dos`` the same without GPT."""
    work = out.with_suffix(".work")
    work.mkdir()
    root, esp = work / "root.img", work / "esp.img"
    _write_tree(spec, work / "root")
    run_tool(["mke2fs", "-q", "-t", "ext4", "-d", work / "root", root, f"{_ROOT_MIB}M"])
    loader = work / "BOOTX64.EFI"
    loader.write_bytes(b"MZ")
    make_fat(esp, 4096, "ESP", {"EFI/BOOT/BOOTX64.EFI": loader} if spec.uefi else {})
    types = (_BIOS_BOOT, _ESP, "L") if spec.label == "gpt" else ("da", "ef", "83")
    starts, sizes = (1, 2, 6), (1, 4, _ROOT_MIB)
    lines = [f"start={at}MiB,size={n}MiB,type={kind}" for at, n, kind in zip(starts, sizes, types, strict=True)]
    with out.open("wb") as file:
        file.truncate((starts[-1] + _ROOT_MIB + 1) * MIB)
    script = work / "layout"
    script.write_text("\n".join([f"label: {spec.label}", *lines]) + "\n")
    run_tool(["sh", "-c", 'sfdisk -q "$1" <"$2"', "sh", out, script])
    with out.open("r+b") as file:
        if spec.bios:
            for at in (0, 512 if spec.label == "dos" else MIB):
                file.seek(at)
                file.write(b"\xeb\x63\x90")
        for image, at in ((esp, starts[1]), (root, starts[2])):
            file.seek(at * MIB)
            file.write(image.read_bytes())
    shutil.rmtree(work)
    return out


def make_qcow2(raw: Path, out: Path) -> Path:
    """Write ``raw`` as a compressed qcow2 to ``out``."""
    run_tool(["qemu-img", "convert", "-c", "-O", "qcow2", raw, out])
    return out


def _write_tree(spec: DiskSpec, root: Path) -> None:
    for name, text in {**GOLDEN_FILES, **spec.files}.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    for name, target in {**GOLDEN_LINKS, **spec.links}.items():
        if target is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)
