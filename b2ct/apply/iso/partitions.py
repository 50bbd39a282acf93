"""The partition tables of a hybrid image: MBR, primary and backup GPT (UEFI 2.10, 5.2 and 5.3)."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from b2ct.apply.iso.source import BLOCK, SECTOR
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.iso.source import Source

_GPT_SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_MBR_TABLE = 446
_MBR_ENTRIES = 4
PROTECTIVE = 0xEE
_HEADS, _SECTORS_PER_TRACK = 64, 32
_CHS_TOO_FAR = b"\xfe\xff\xff"
_APPLE_MAP = b"PM\0\0"


@dataclass(frozen=True, slots=True)
class MbrPartition:
    """One entry of the MBR, in 512-byte blocks."""

    raw: bytes

    @property
    def kind(self) -> int:
        """Partition type."""
        return self.raw[4]

    @property
    def start(self) -> int:
        """First block."""
        return int.from_bytes(self.raw[8:12], "little")

    @property
    def count(self) -> int:
        """Number of blocks."""
        return int.from_bytes(self.raw[12:16], "little")

    def resized(self, start: int, count: int) -> MbrPartition:
        """Return the entry at another place, its CHS addresses recomputed where it had real ones."""
        chs_start = self.raw[1:4] if start == self.start else _chs(start)
        chs_end = _CHS_TOO_FAR if self.raw[5:8] == _CHS_TOO_FAR else _chs(start + count - 1)
        if count == self.count and start == self.start:
            chs_end = self.raw[5:8]
        return MbrPartition(
            self.raw[:1] + chs_start + self.raw[4:5] + chs_end + struct.pack("<II", start, min(count, 0xFFFFFFFF))
        )


def _chs(block: int) -> bytes:
    """Return a CHS address in the geometry of isohybrid and xorriso, 64 heads of 32 sectors."""
    cylinder, rest = divmod(block, _HEADS * _SECTORS_PER_TRACK)
    if cylinder > 1023:
        return _CHS_TOO_FAR
    head, sector = divmod(rest, _SECTORS_PER_TRACK)
    return bytes([head, (sector + 1) | (cylinder >> 8 << 6), cylinder & 0xFF])


@dataclass(frozen=True, slots=True)
class GptPartition:
    """One entry of a GPT, in 512-byte blocks."""

    number: int
    raw: bytes

    @property
    def first(self) -> int:
        """First block."""
        return int.from_bytes(self.raw[32:40], "little")

    @property
    def last(self) -> int:
        """Last block."""
        return int.from_bytes(self.raw[40:48], "little")

    @property
    def name(self) -> str:
        """Name of the partition."""
        return self.raw[56:128].decode("utf-16-le", "replace").rstrip("\0")


@dataclass(frozen=True, slots=True)
class Gpt:
    """A GPT header and its array."""

    header: bytes
    array: bytes
    my_lba: int
    alternate: int
    first_usable: int
    last_usable: int
    entries_lba: int
    header_crc_ok: bool
    array_crc_ok: bool

    @property
    def partitions(self) -> tuple[GptPartition, ...]:
        """The entries in use."""
        step = self.entry_size
        raws = (self.array[at : at + step] for at in range(0, len(self.array), step))
        return tuple(GptPartition(number, raw) for number, raw in enumerate(raws, 1) if any(raw[:16]))

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""
        return int.from_bytes(self.header[84:88], "little")

    def shifted(self, move: Callable[[int], int]) -> Gpt:
        """Return the table after blocks moved: ``move`` gives the new number of a block."""
        array = bytearray(self.array)
        for partition in self.partitions:
            at = (partition.number - 1) * self.entry_size
            first = move(partition.first)
            struct.pack_into("<QQ", array, at + 32, first, move(partition.last + 1) - 1)
        fields = list(_HEADER.unpack(self.header[: _HEADER.size]))
        fields[3] = 0
        fields[5], fields[6] = move(self.my_lba), move(self.alternate)
        fields[8], fields[10] = move(self.last_usable + 1) - 1, move(self.entries_lba)
        fields[13] = binascii.crc32(array)
        header = _HEADER.pack(*fields) + self.header[_HEADER.size :]
        header = header[:16] + struct.pack("<I", binascii.crc32(header)) + header[20:]
        return replace(
            self,
            header=header,
            array=bytes(array),
            my_lba=fields[5],
            alternate=fields[6],
            last_usable=fields[8],
            entries_lba=fields[10],
            header_crc_ok=True,
            array_crc_ok=True,
        )


@dataclass(frozen=True, slots=True)
class Partitions:
    """What the first blocks say about partitions; None and empty where there is nothing."""

    mbr: tuple[MbrPartition, ...]
    """The four entries of the MBR, unused ones included; empty without an MBR signature."""
    gpt: Gpt | None
    backup: Gpt | None
    apple_map: bool
    """True when there is an Apple partition map."""

    def bases(self) -> tuple[int, ...]:
        """Return the sectors, other than 0, at which a partition starts and a tree may be based."""
        starts = {partition.start for partition in self.mbr if partition.kind}
        if self.gpt is not None:
            starts |= {partition.first for partition in self.gpt.partitions}
        step = SECTOR // BLOCK
        return tuple(sorted(start // step for start in starts if start and start % step == 0))


def read_partitions(source: Source) -> Partitions:
    """Return the partition tables of an image."""
    block = source.read(0, BLOCK)
    mbr: tuple[MbrPartition, ...] = ()
    if block[510:512] == b"\x55\xaa":
        ends = range(_MBR_TABLE, _MBR_TABLE + 16 * _MBR_ENTRIES, 16)
        mbr = tuple(MbrPartition(block[at : at + 16]) for at in ends)
    gpt = _read_gpt(source, 1)
    backup = _read_gpt(source, gpt.alternate) if gpt is not None else None
    apple = any(source.read(at, 4) == _APPLE_MAP for at in (BLOCK, 2048))
    return Partitions(mbr, gpt, backup, apple)


def _read_gpt(source: Source, lba: int) -> Gpt | None:
    if (lba + 1) * BLOCK > source.size:
        return None
    block = source.read(lba * BLOCK, BLOCK)
    if block[:8] != _GPT_SIGNATURE:
        return None
    fields = _HEADER.unpack(block[: _HEADER.size])
    size, crc, entries_lba, count, entry_size = fields[2], fields[3], fields[10], fields[11], fields[12]
    if not _HEADER.size <= size <= BLOCK or count > 1024 or entry_size not in (128, 256):
        raise IsoError(f"{source.name}: damaged GPT header at block {lba}")
    header = block[:size]
    array_at, array_size = entries_lba * BLOCK, count * entry_size
    array = source.read(array_at, array_size) if array_at + array_size <= source.size else b""
    zeroed = header[:16] + bytes(4) + header[20:]
    return Gpt(
        header=header,
        array=array,
        my_lba=fields[5],
        alternate=fields[6],
        first_usable=fields[7],
        last_usable=fields[8],
        entries_lba=entries_lba,
        header_crc_ok=crc == binascii.crc32(zeroed),
        array_crc_ok=fields[13] == binascii.crc32(array),
    )
