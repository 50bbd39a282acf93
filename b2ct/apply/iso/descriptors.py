"""Volume descriptors: every set of them on an image, and the tree that each one roots (ECMA-119 8, Joliet 1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.records import split_records
from b2ct.apply.iso.source import SECTOR
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.apply.iso.source import Source

FIRST_SET = 16
"""Sector of the first volume descriptor (ECMA-119 6.2.1)."""
_SET_STEP = 16
_LAST_SET = 160
_LONGEST_PATH_TABLE = 16 * 1024**2
"""Bytes; 65535 directories need less."""
_JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
_TYPE_BOOT, _TYPE_PRIMARY, _TYPE_SUPPLEMENTARY, _TYPE_END = 0, 1, 2, 255

VOLUME_ID = slice(40, 72)
VOLUME_SIZE = slice(80, 88)
PATH_TABLE_SIZE = slice(132, 140)
L_TABLE, L_TABLE_COPY, M_TABLE, M_TABLE_COPY = 140, 144, 148, 152
ROOT_RECORD = slice(156, 190)
CREATED = slice(813, 830)
APPLICATION_USE = slice(883, 1395)
"""Where isomd5sum keeps its record, in the primary volume descriptor."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One primary or Joliet volume descriptor. Extents in it are relative to ``base``."""

    sector: int
    """Where the descriptor itself lies, in sectors of the image."""
    raw: bytes
    joliet: bool
    base: int
    """Sectors to add to an extent of this tree to get a sector of the image."""

    @property
    def volume_id(self) -> str:
        """Volume identifier without padding."""
        raw = self.raw[VOLUME_ID]
        text = raw.decode("utf-16-be", "replace") if self.joliet else raw.decode("ascii", "replace")
        return text.rstrip(" \0")

    @property
    def volume_size(self) -> int:
        """Volume space size in sectors."""
        return int.from_bytes(self.raw[80:84], "little")

    @property
    def path_table_size(self) -> int:
        """Length of each path table in bytes."""
        return int.from_bytes(self.raw[132:136], "little")

    @property
    def root_extent(self) -> int:
        """First sector of the root directory, relative to the base."""
        return int.from_bytes(self.raw[158:162], "little")

    @property
    def root_size(self) -> int:
        """Length of the root directory in bytes."""
        return int.from_bytes(self.raw[166:170], "little")

    def table_extents(self) -> tuple[tuple[int, bool], ...]:
        """Return (sector relative to the base, whether big-endian) of every path table, absent copies left out."""
        little = [int.from_bytes(self.raw[at : at + 4], "little") for at in (L_TABLE, L_TABLE_COPY)]
        big = [int.from_bytes(self.raw[at : at + 4], "big") for at in (M_TABLE, M_TABLE_COPY)]
        return tuple((extent, False) for extent in little if extent) + tuple((extent, True) for extent in big if extent)


@dataclass(frozen=True, slots=True)
class BootRecord:
    """An El Torito boot record (El Torito 1.0, figure 7)."""

    sector: int
    catalog: int
    """Sector of the boot catalog."""


@dataclass(frozen=True, slots=True)
class DescriptorSet:
    """Volume descriptors that follow one another up to a terminator."""

    sector: int
    trees: tuple[Descriptor, ...]
    boots: tuple[BootRecord, ...]


def require_descriptors(source: Source) -> None:
    """Raise IsoError when a file has no volume descriptor where every ISO 9660 image has one."""
    if source.size < (FIRST_SET + 2) * SECTOR or source.read(FIRST_SET * SECTOR + 1, 5) != b"CD001":
        raise IsoError(f"{source.name} is not an ISO 9660 image: no volume descriptor at sector {FIRST_SET}")


def read_descriptor_sets(source: Source, bases: Iterable[int]) -> tuple[DescriptorSet, ...]:
    """Return every descriptor set, the one at sector 16 first.

    ``bases`` are the sectors that a tree may be relative to, besides 0: the starts of the partitions.
    Sets beyond the first exist on images that xorriso wrote with a partition offset or a second time.
    Raises IsoError when the first one is broken.
    """
    candidates = (0, *bases)
    first = _read_set(source, FIRST_SET, candidates)
    if first is None or not first.trees or first.trees[0].joliet:
        raise IsoError(f"{source.name}: the volume descriptors at sector {FIRST_SET} name no directory that is there")
    sets = [first]
    for sector in range(FIRST_SET + _SET_STEP, _LAST_SET, _SET_STEP):
        found = _read_set(source, sector, candidates)
        if found is not None and found.trees and found.trees[0].volume_id == first.trees[0].volume_id:
            sets.append(found)
    return tuple(sets)


def _read_set(source: Source, first: int, bases: tuple[int, ...]) -> DescriptorSet | None:
    trees: list[Descriptor] = []
    boots: list[BootRecord] = []
    for sector in range(first, first + _SET_STEP):
        if (sector + 1) * SECTOR > source.size:
            return None
        raw = source.read(sector * SECTOR, SECTOR)
        if raw[1:6] != b"CD001" or (sector == first and raw[0] != _TYPE_PRIMARY):
            return None
        if raw[0] == _TYPE_END:
            return DescriptorSet(first, tuple(trees), tuple(boots))
        if raw[0] == _TYPE_BOOT and raw[7:30] == b"EL TORITO SPECIFICATION":
            boots.append(BootRecord(sector, int.from_bytes(raw[71:75], "little")))
        elif raw[0] == _TYPE_PRIMARY or (raw[0] == _TYPE_SUPPLEMENTARY and raw[88:91] in _JOLIET_ESCAPES):
            base = _find_base(source, raw, bases)
            if base is None:
                return None
            trees.append(Descriptor(sector, raw, raw[0] == _TYPE_SUPPLEMENTARY, base))
            if trees[-1].path_table_size > _LONGEST_PATH_TABLE:
                raise IsoError(f"{source.name}: damaged: a path table of {trees[-1].path_table_size} bytes")
        elif raw[0] == _TYPE_SUPPLEMENTARY:
            raise IsoError(
                f"{source.name}: an enhanced volume descriptor (ISO 9660:1999) at sector {sector}; "
                "such a layout is not known"
            )
    return None


def _find_base(source: Source, raw: bytes, bases: tuple[int, ...]) -> int | None:
    """Return the base at which the root directory and the path table are found where the descriptor says.

    A root names itself as its own parent, and its path table begins with it. Either alone may be met by chance at a
    wrong base: two trees that lie one base apart can have roots of the same number.
    """
    extent = int.from_bytes(raw[158:162], "little")
    table = int.from_bytes(raw[L_TABLE : L_TABLE + 4], "little")
    for base in bases:
        if (max(extent, table) + base + 1) * SECTOR > source.size:
            continue
        if source.read((table + base) * SECTOR, 8) != struct.pack("<BBIH", 1, 0, extent, 1):
            continue
        try:
            records = split_records(source.read((extent + base) * SECTOR, SECTOR), source.name)
        except IsoError:
            continue
        if [(r.identifier, r.extent) for r in records[:2]] == [(b"\0", extent), (b"\1", extent)]:
            return base
    return None
