"""Tells in a moment, without other programs, whether a file can be a disk that machines boot from."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from b2ct.apply.checks import judge
from b2ct.apply.image.check_container import ImageError, check_format, check_standalone, open_container
from b2ct.apply.image.qcow2 import HEADER_BYTES, DiskFormat
from b2ct.plan.image_disk import SECTOR

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.checks import Verdict
    from b2ct.apply.image.check_container import Container

SIGNATURE = b"\x55\xaa"
"""End of a disk's first block, be it an MBR or the protective one before a GPT (UEFI specification 2.10, 5.2)."""

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ALL_ZEROS = 1
_OTHER_LAYOUTS = (1 << 3) | (1 << 4)
"""Incompatible features: other compression than deflate, and extended L2 entries."""


def need_boot_record(path: Path) -> None:
    """Return unless the image ``path`` surely is no disk that machines boot from.

    Raises:
        ImageError: it is neither qcow2 nor raw, leans on another file, or its disk has no boot record.
    """
    hint = f"`b2ct image check {path}` says more"
    container = open_container(path)
    for check in (check_format, check_standalone, check_boot_record):
        if not (verdict := check(container)).ok:
            raise ImageError(f"{path} is no golden image: {verdict.detail}", hint=hint)


def check_boot_record(container: Container) -> Verdict:
    """A disk that machines boot from begins with a boot record; in layouts that cannot be read here it is believed.

    Raises:
        ImageError: the file cannot be read.
    """
    problems = [] if _has_boot_record(container) else ["its disk has neither partition table nor boot record"]
    return judge(problems, "its disk begins with a boot record")


def _has_boot_record(container: Container) -> bool:
    try:
        with container.path.open("rb") as file:
            first = file.read(SECTOR) if container.format is DiskFormat.RAW else _read_first_sector(file)
    except OSError as error:
        raise ImageError(f"{container.path}: {error.strerror}") from error
    except (struct.error, zlib.error):  # it ends too early, or is damaged
        return False
    return first is None or (len(first) == SECTOR and first.endswith(SIGNATURE))


def _read_first_sector(file: BinaryIO) -> bytes | None:
    """Return the first block of the disk in a qcow2 file that stands alone (QEMU, docs/interop/qcow2.rst).

    None when its layout is one that only newer QEMU writes. Raises struct.error and zlib.error when it is damaged.
    """
    head = file.read(HEADER_BYTES)
    version, cluster_bits, l1 = struct.unpack_from(">4xI12xI16xQ", head)
    if version > 2 and struct.unpack_from(">Q", head, 72)[0] & _OTHER_LAYOUTS:
        return None
    l2 = _read_entry(file, l1 & _OFFSET) & _OFFSET
    entry = _read_entry(file, l2) if l2 else 0
    if entry & _COMPRESSED:
        offset_bits = 62 - (cluster_bits - 8)
        start, sectors = entry & ((1 << offset_bits) - 1), (entry & (_COMPRESSED - 1)) >> offset_bits
        file.seek(start)
        packed = file.read((sectors + 1) * SECTOR - start % SECTOR)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, SECTOR)
    if entry & _ALL_ZEROS or not entry & _OFFSET:
        return bytes(SECTOR)
    file.seek(entry & _OFFSET)
    return file.read(SECTOR)


def _read_entry(file: BinaryIO, at: int) -> int:
    """Return the table entry of 8 bytes at a place in the file."""
    file.seek(at)
    return int(struct.unpack(">Q", file.read(8))[0])
