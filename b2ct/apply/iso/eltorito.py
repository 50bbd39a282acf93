"""The El Torito boot catalog: what firmware starts from a CD (El Torito 1.0, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from b2ct.apply.iso.source import SECTOR
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from b2ct.apply.iso.descriptors import BootRecord
    from b2ct.apply.iso.source import Source

_ENTRY = 32
_LOAD_RBA = 8
_BOOTABLE = 0x88
_EXTENSION = 0x44
_SECTION_HEADERS = (0x90, 0x91)


class Platform(IntEnum):
    """Platform id of a boot entry; UEFI's is from UEFI 2.10, 13.3.2.1."""

    BIOS = 0x00
    POWERPC = 0x01
    MAC = 0x02
    EFI = 0xEF


@dataclass(frozen=True, slots=True)
class BootEntry:
    """One bootable image of the catalog."""

    platform: Platform
    sector: int
    """First sector of the boot image."""
    blocks: int
    """How many 512-byte blocks to load; for EFI often the length of the image, 0 or 1 when that is too much."""
    offset: int
    """Where the entry lies, in bytes of the image."""


@dataclass(frozen=True, slots=True)
class BootCatalog:
    """A boot catalog, whole."""

    sector: int
    checksum_ok: bool
    entries: tuple[BootEntry, ...]


def read_boot_catalog(source: Source, record: BootRecord) -> BootCatalog:
    """Return the catalog that a boot record names; raises IsoError when there is none."""
    data = source.read(record.catalog * SECTOR, SECTOR)
    if data[0] != 1 or data[30:32] != b"\x55\xaa":
        raise IsoError(
            f"{source.name}: no El Torito boot catalog at sector {record.catalog}, which the boot record names"
        )
    checksum = sum(int.from_bytes(data[at : at + 2], "little") for at in range(0, _ENTRY, 2)) & 0xFFFF
    entries = []
    platform = data[1]
    for at in range(_ENTRY, SECTOR, _ENTRY):
        if data[at] in _SECTION_HEADERS:
            platform = data[at + 1]
        elif data[at] == _BOOTABLE:
            entries.append(_entry(source, platform, data, at, record.catalog))
        elif data[at] != _EXTENSION:
            break
    return BootCatalog(record.catalog, checksum == 0, tuple(entries))


def _entry(source: Source, platform: int, data: bytes, at: int, catalog: int) -> BootEntry:
    try:
        known = Platform(platform)
    except ValueError:
        raise IsoError(
            f"{source.name}: boot catalog at sector {catalog} names an unknown platform {platform:#x}"
        ) from None
    sector = int.from_bytes(data[at + _LOAD_RBA : at + _LOAD_RBA + 4], "little")
    blocks = int.from_bytes(data[at + 6 : at + 8], "little")
    return BootEntry(known, sector, blocks, catalog * SECTOR + at)
