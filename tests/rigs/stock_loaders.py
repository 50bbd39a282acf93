r"""Boot loaders of the look-alikes, built from Debian's packages: GRUB for EFI and BIOS, and the EFI boot image.

Red Hat's GRUB is one file with its modules inside, prefix ``/EFI/BOOT``, behind shim; so is this one. What differs:

- Upstream's script reader drops the backslash of an unquoted ``\x20``; Red Hat's keeps it.
- EL6 boots EFI with GRUB legacy, which Debian has not. Its stand-in is GRUB 2 reading the same ``BOOTX64.conf`` with
  the module ``legacycfg``: the file has the effect that it has on EL6, including where kernel paths are looked up.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.process import EPOCH, run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

GRUB_BIOS = Path("/usr/lib/grub/i386-pc")
GRUB_EFI = Path("/usr/lib/grub/x86_64-efi")
SHIM = Path("/usr/lib/shim/shimx64.efi")
MOK_MANAGER = Path("/usr/lib/shim/mmx64.efi")
FONT = Path("/usr/share/grub/unicode.pf2")

_EFI_MODULES = """
all_video boot cat chain configfile echo efi_gop efi_uga efifwsetup ext2 fat font gfxmenu gfxterm gzio halt help iso9660
jpeg linux linuxefi loadenv loopback lvm minicmd normal part_gpt part_msdos password_pbkdf2 png reboot regexp search
search_fs_file search_fs_uuid search_label serial sleep test true video video_bochs video_cirrus xfs
"""

_LEGACY_START = """\
if search --no-floppy --file --set=root /images/pxeboot/vmlinuz; then true; fi
legacy_configfile $prefix/BOOTX64.conf
"""

_KIB = 1024


def make_grub_efi(out: Path, modules: Sequence[str] = (), start: str = "") -> None:
    """Write ``grubx64.efi``: runs ``start``, or reads ``/EFI/BOOT/grub.cfg`` on the device that it came from."""
    extra: list[str | Path] = []
    if start:
        script = out.with_suffix(".cfg")
        script.write_text(start, encoding="ascii")
        extra = ["-c", script]
    argv: list[str | Path] = ["grub-mkimage", "-O", "x86_64-efi", "-d", GRUB_EFI, "-p", "/EFI/BOOT", "-o", out]
    run_tool([*argv, *extra, *_EFI_MODULES.split(), *modules])
    out.with_suffix(".cfg").unlink(missing_ok=True)


def make_grub_efi_legacy(out: Path) -> None:
    """Write the stand-in for GRUB legacy (EL6): reads ``BOOTX64.conf`` beside it."""
    make_grub_efi(out, ["legacycfg"], _LEGACY_START)


def make_grub_eltorito(out: Path) -> None:
    """Write ``images/eltorito.img`` (EL10): only what reaches ``/boot/grub2/i386-pc``, as lorax makes it."""
    argv: list[str | Path] = ["grub-mkimage", "-O", "i386-pc-eltorito", "-d", GRUB_BIOS, "-p", "/boot/grub2"]
    run_tool([*argv, "-o", out, "iso9660", "biosdisk"])


def make_esp(out: Path, tree: Path) -> None:
    """Write ``efiboot.img``: FAT labelled ANACONDA, with ``tree`` as /EFI/BOOT and about 512 KiB free."""
    files = sorted(path for path in tree.rglob("*"))
    size_kib = sum(2 + path.stat().st_size // _KIB + 1 for path in files) + 512
    make_fat(out, size_kib // 32 * 32 + 32, "ANACONDA", {f"EFI/BOOT/{path.relative_to(tree)}": path for path in files})


def make_fat(out: Path, size_kib: int, label: str, files: dict[str, Path]) -> None:
    """Write a FAT file system of ``size_kib`` KiB that holds ``files`` (path inside: file, or directory to make)."""
    out.unlink(missing_ok=True)
    run_tool(["mkfs.fat", "--invariant", "-i", f"{EPOCH:x}", "-n", label, "-C", out, str(size_kib)])
    for directory in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
        run_tool(["mmd", "-i", out, f"::/{directory}"])
    for name, source in files.items():
        if not source.is_dir():
            run_tool(["mcopy", "-i", out, "-m", source, f"::/{name}"])


def make_splash(width: int = 640, height: int = 480) -> bytes:
    """A plain dark picture as PNG (RFC 2083), for the background of isolinux's menu."""
    rows = b"".join(b"\0" + bytes((16, 24, 32 + 48 * row // height)) * width for row in range(height))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
