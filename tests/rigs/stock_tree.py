"""The files of a look-alike boot ISO, as they stand before it is mastered.

What the stock ones carry was read in lorax's templates: EL7 and EL8 have neither .discinfo nor .treeinfo, EL9 and
EL10 a .discinfo whose second line is the bare version (``9.6``). EL6's, made by anaconda's mk-images, has neither.
Only DVDs, which pungi makes, have a .treeinfo, and a .discinfo that says ``AlmaLinux 9.6``.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs import stock_loaders as loaders
from tests.rigs.debian import load_kernel
from tests.rigs.initramfs import make_initrd
from tests.rigs.process import EPOCH
from tests.rigs.stock_menus import render_grub, render_grub_legacy, render_isolinux

if TYPE_CHECKING:
    from tests.rigs.stock_release import Release

MIB = 1024 * 1024

_ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")
_C32 = Path("/usr/lib/syslinux/modules/bios")


def write_boot_tree(tree: Path, release: Release, padding_mib: int) -> None:
    """Fill ``tree`` with what the boot ISO holds; stage 2 grows by ``padding_mib``."""
    generation = release.kind.generation
    pxeboot = tree / "images/pxeboot"
    pxeboot.mkdir(parents=True)
    (pxeboot / "vmlinuz").write_bytes(load_kernel().vmlinuz.read_bytes())
    (pxeboot / "initrd.img").write_bytes(make_initrd(generation).read_bytes())
    write_noise(tree / release.stage2_path, 3 * MIB + padding_mib * MIB, seed=generation)
    if generation < 10:
        _write_isolinux(tree, release)
    else:
        _write_grub_bios(tree, release)
    _write_efi(tree, release)
    if generation >= 9:
        (tree / ".discinfo").write_text(f"{EPOCH}.000000\n{release.version}\nx86_64\n", encoding="ascii")


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, making its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_noise(path: Path, size: int, *, seed: int) -> None:
    """Write ``size`` bytes that no compressor shrinks, the same for the same ``seed``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = random.Random(seed).randbytes(min(size, 16 * MIB))  # noqa: S311 (deterministic filler, no secret)
    with path.open("wb") as stream:
        for number, start in enumerate(range(0, size, len(block) or 1)):
            stream.write((number.to_bytes(8, "big") + block[8:])[: size - start])


def set_times(tree: Path) -> None:
    """Give everything in ``tree`` the rigs' time stamp and plain modes."""
    for path in (tree, *tree.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def _write_isolinux(tree: Path, release: Release) -> None:
    home = tree / "isolinux"
    home.mkdir()
    for module in ("ldlinux", "libcom32", "libutil", "vesamenu"):
        (home / f"{module}.c32").write_bytes((_C32 / f"{module}.c32").read_bytes())
    (home / "isolinux.bin").write_bytes(_ISOLINUX.read_bytes())
    (home / "isolinux.cfg").write_bytes(render_isolinux(release))
    (home / "boot.msg").write_bytes(b"\x0c\x18splash.lss\n\n -  Press the \x0f01<ENTER>\x0f07 key to begin.\n\n")
    (home / ("splash.jpg" if release.kind.generation == 6 else "splash.png")).write_bytes(loaders.make_splash())
    write_noise(home / "memtest", 150_000, seed=1)
    for name in ("vmlinuz", "initrd.img"):
        (home / name).hardlink_to(tree / "images/pxeboot" / name)


def _write_grub_bios(tree: Path, release: Release) -> None:
    home = tree / "boot/grub2"
    (home / "i386-pc").mkdir(parents=True)
    (home / "grub.cfg").write_bytes(render_grub(release, bios=True))
    for source in sorted(loaders.GRUB_BIOS.iterdir()):
        if source.suffix in {".mod", ".lst", ".img"}:
            (home / "i386-pc" / source.name).write_bytes(source.read_bytes())
    loaders.make_grub_eltorito(tree / "images/eltorito.img")


def _write_efi(tree: Path, release: Release) -> None:
    """EFI/BOOT of the tree, and images/efiboot.img with the same files."""
    home = tree / "EFI/BOOT"
    home.mkdir(parents=True)
    if release.kind.generation == 6:
        loaders.make_grub_efi_legacy(home / "BOOTX64.efi")
        (home / "BOOTX64.conf").write_bytes(render_grub_legacy(release))
        write_noise(home / "splash.xpm.gz", 60_000, seed=2)
    else:
        (home / "fonts").mkdir()
        (home / "fonts/unicode.pf2").write_bytes(loaders.FONT.read_bytes())
        (home / "BOOTX64.EFI").write_bytes(loaders.SHIM.read_bytes())
        (home / "mmx64.efi").write_bytes(loaders.MOK_MANAGER.read_bytes())
        loaders.make_grub_efi(home / "grubx64.efi")
        (home / "grub.cfg").write_bytes(render_grub(release, bios=False))
        if release.kind.generation in {8, 9}:
            (home / "BOOT.conf").write_bytes(render_grub(release, bios=False))
    set_times(home)
    loaders.make_esp(tree / "images/efiboot.img", home)
