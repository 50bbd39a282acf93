"""Directory records and the Rock Ridge entries in them, as bytes (ECMA-119 9.1, SUSP 1.12, RRIP 1.12)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import TYPE_CHECKING

from b2ct.apply.iso.source import SECTOR
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIXED = 33
_MAX_RECORD = 254
_NM_ROOM = 250
MAX_SECTION = 0xFFFFF800
"""Largest data length of one file section that leaves the next one sector-aligned."""


class FileFlag(IntFlag):
    """File flags of a directory record (ECMA-119 9.1.6)."""

    HIDDEN = 0x01
    DIRECTORY = 0x02
    ASSOCIATED = 0x04
    MULTI_EXTENT = 0x80


def both16(value: int) -> bytes:
    """Return a number in both byte orders (ECMA-119 7.2.3)."""
    return struct.pack("<H", value) + struct.pack(">H", value)


def both32(value: int) -> bytes:
    """Return a number in both byte orders (ECMA-119 7.3.3)."""
    return struct.pack("<I", value) + struct.pack(">I", value)


@dataclass(frozen=True, slots=True)
class Record:
    """One directory record: its raw bytes, which are only ever patched."""

    raw: bytes

    @property
    def extent(self) -> int:
        """First sector, relative to the base of its tree."""
        return int.from_bytes(self.raw[2:6], "little")

    @property
    def size(self) -> int:
        """Data length in bytes."""
        return int.from_bytes(self.raw[10:14], "little")

    @property
    def flags(self) -> FileFlag:
        """What kind of file it is."""
        return FileFlag(self.raw[25])

    @property
    def is_directory(self) -> bool:
        """True for a directory."""
        return bool(self.raw[25] & FileFlag.DIRECTORY)

    @property
    def identifier(self) -> bytes:
        """File identifier, ``;1`` included."""
        return self.raw[_FIXED : _FIXED + self.raw[32]]

    @property
    def is_dot(self) -> bool:
        """True for the records of the directory itself and of its parent."""
        return self.identifier in (b"\0", b"\1")

    @property
    def system_use(self) -> bytes:
        """System use area, where Rock Ridge lives."""
        start = _FIXED + self.raw[32]
        return self.raw[start + start % 2 :]

    def moved(self, extent: int, size: int) -> Record:
        """Return the same record pointing at other data; nothing else in it changes."""
        return replace(self, raw=self.raw[:2] + both32(extent) + both32(size) + self.raw[18:])

    def with_flags(self, flags: FileFlag) -> Record:
        """Return the same record with other file flags."""
        return replace(self, raw=self.raw[:25] + bytes([flags]) + self.raw[26:])


def split_records(data: bytes, where: str) -> list[Record]:
    """Return the records of a directory's bytes; raises IsoError on one that overruns its sector or the data."""
    records = []
    offset = 0
    while offset < len(data):
        length = data[offset]
        if length == 0:
            offset = (offset // SECTOR + 1) * SECTOR
            continue
        end = offset + length
        overruns = end > len(data) or (end - 1) // SECTOR != offset // SECTOR
        if overruns or length < _FIXED + 1 or _FIXED + data[offset + 32] > length:
            raise IsoError(f"{where}: damaged directory record at byte {offset}")
        records.append(Record(data[offset:end]))
        offset = end
    return records


def join_records(records: list[Record]) -> bytes:
    """Return a directory's bytes: no record crosses a sector (ECMA-119 6.8.1.1)."""
    out = bytearray()
    for record in records:
        room = SECTOR - len(out) % SECTOR
        if len(record.raw) > room:
            out += bytes(room)
        out += record.raw
    return bytes(out) + bytes(-len(out) % SECTOR)


def susp_entries(area: bytes, read_continuation: Callable[[int, int, int], bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (signature, payload after the four header bytes) of a system use area, continuations followed (SUSP 5.1).

    ``read_continuation(sector, offset, length)`` returns the bytes of a continuation area.
    """
    for _ in range(64):
        following = b""
        offset = 0
        while offset + 4 <= len(area):
            length = area[offset + 2]
            signature = area[offset : offset + 2]
            if length < 4 or offset + length > len(area) or signature == b"ST":
                break
            payload = area[offset + 4 : offset + length]
            if signature == b"CE" and len(payload) >= 24:
                sector, start, count = (int.from_bytes(payload[at : at + 4], "little") for at in (0, 8, 16))
                following = read_continuation(sector, start, count)
            else:
                yield signature, payload
            offset += length
        if not following:
            return
        area = following


@dataclass(frozen=True, slots=True)
class RockRidge:
    """How a tree writes Rock Ridge: new records follow the manner of the old ones."""

    with_rr: bool
    """Whether records carry the obsolete RR entry (RRIP 1.09)."""
    px_length: int
    """Length of a PX entry: 36, or 44 with a serial number (RRIP 1.12)."""


def rock_ridge_entries(style: RockRidge, name: str | None, mode: int, links: int, date: bytes) -> tuple[bytes, bytes]:
    """Return the (inline, name) entries of a new record: RR, PX, TF and, apart, NM (RRIP 4.1).

    ``mode`` is a whole st_mode, ``date`` the seven bytes of ECMA-119 9.1.5.
    """
    rr = b"RR\x05\x01" + bytes([0x81 | (0x08 if name is not None else 0)]) if style.with_rr else b""
    px = b"PX" + bytes([style.px_length, 1]) + both32(mode) + both32(links) + both32(0) + both32(0)
    px += bytes(style.px_length - len(px))
    tf = b"TF\x1a\x01\x0e" + date * 3
    if name is None:
        return rr + px + tf, b""
    encoded = name.encode()
    parts = [encoded[at : at + _NM_ROOM] for at in range(0, len(encoded), _NM_ROOM)]
    nm = b"".join(
        b"NM" + bytes([len(part) + 5, 1, 1 if index < len(parts) - 1 else 0]) + part for index, part in enumerate(parts)
    )
    return rr + px + tf, nm


def make_record(identifier: bytes, flags: FileFlag, date: bytes, system_use: bytes = b"") -> Record:
    """Return a new record that points nowhere yet; raises ValueError when it would be longer than a record can be."""
    body = bytes(16) + date + bytes([flags, 0, 0]) + both16(1) + bytes([len(identifier)]) + identifier
    body += bytes((len(body) + 2) % 2) + system_use
    body += bytes(len(body) % 2)
    length = len(body) + 2
    if length > _MAX_RECORD:
        raise ValueError(length)
    return Record(bytes([length, 0]) + body)


def record_room(identifier: bytes) -> int:
    """Return how many bytes of system use area fit into a record with this identifier."""
    return _MAX_RECORD - (_FIXED + len(identifier) + (len(identifier) + 1) % 2)
