"""A FAT12, FAT16 or FAT32 file system inside an image, edited in place (Microsoft FAT specification 1.03)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENTRY = 32
_DELETED = 0xE5
_ATTR_VOLUME, _ATTR_DIRECTORY, _ATTR_ARCHIVE, _ATTR_LONG = 0x08, 0x10, 0x20, 0x0F
_LONG_CHARS = 13
_SHORT_ALLOWED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
_END_MARKS: dict[int, int] = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
_LONGEST_DIRECTORY = 65536 * _ENTRY
_MOST_ENTRIES = 20_000
_LONGEST_TABLE = 16 * 1024**2
"""Bytes of a file allocation table; an EFI boot image needs far less."""
_FAT12_CLUSTERS, _FAT16_CLUSTERS = 4085, 65525


@dataclass(frozen=True, slots=True)
class FatEntry:
    """One directory entry."""

    name: str
    """Long name, or the short one in the case that it is stored in."""
    short: bytes
    attributes: int
    cluster: int
    """First cluster; 0 for an empty file and for the root of FAT12 and FAT16."""
    size: int
    offset: int
    """Where the short entry lies, in bytes of the file system; -1 for the root."""

    @property
    def is_directory(self) -> bool:
        """True for a directory."""
        return bool(self.attributes & _ATTR_DIRECTORY)


class FatVolume:
    """A FAT file system of ``size`` bytes; ``read(offset, length)`` returns bytes of it.

    Changes are kept apart: ``patches()`` returns them. Raises IsoError when it is no FAT or damaged.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, name: str) -> None:
        self._read_stock = read
        self._blocks: dict[int, bytearray] = {}
        self.name = name
        boot = read(0, 512)
        fields: tuple[int, ...] = struct.unpack_from("<HBHBHHBHHHII", boot, 11)
        self.sector, self._per_cluster, reserved, self.fats, self._root_entries = fields[:5]
        total = fields[5] or fields[11]
        self._fat_sectors = fields[7] or int.from_bytes(boot[36:40], "little")
        if boot[510:512] != b"\x55\xaa" or self.sector not in (512, 1024, 2048, 4096) or not self._per_cluster:
            raise IsoError(f"{name}: no FAT file system in it")
        self.cluster_size = self.sector * self._per_cluster
        self._fat_at = reserved * self.sector
        root_sectors = -(-self._root_entries * _ENTRY // self.sector)
        self._root_at = self._fat_at + self.fats * self._fat_sectors * self.sector
        self._data_at = self._root_at + root_sectors * self.sector
        self.clusters = (total - self._data_at // self.sector) // self._per_cluster
        if total * self.sector > size or self.fats not in (1, 2) or self.clusters < 1:
            raise IsoError(f"{name}: its FAT file system claims {total * self.sector} bytes, but {size} are there")
        self.bits: int = 12 if self.clusters < _FAT12_CLUSTERS else 16 if self.clusters < _FAT16_CLUSTERS else 32
        if self._fat_sectors * self.sector > _LONGEST_TABLE:
            raise IsoError(f"{name}: its file allocation table is too long for an EFI boot image")
        if (self.clusters + 2) * self.bits > self._fat_sectors * self.sector * 8:
            raise IsoError(f"{name}: its file allocation table is too short for its {self.clusters} clusters")
        self._info_at = int.from_bytes(boot[48:50], "little") * self.sector if self.bits == 32 else 0
        root_cluster = int.from_bytes(boot[44:48], "little") if self.bits == 32 else 0
        self.root = FatEntry("", b"", _ATTR_DIRECTORY, root_cluster, 0, -1)
        self._table = bytearray(read(self._fat_at, self._fat_sectors * self.sector))
        self._table_changed = False

    # bytes

    def _read(self, offset: int, length: int) -> bytes:
        out = bytearray()
        while len(out) < length:
            at = offset + len(out)
            block, inside = divmod(at, self.sector)
            count = min(length - len(out), self.sector - inside)
            if block in self._blocks:
                out += self._blocks[block][inside : inside + count]
            else:
                run = count
                while run < length - len(out) and (at + run) // self.sector not in self._blocks:
                    run += min(self.sector, length - len(out) - run)
                out += self._read_stock(at, run)
        return bytes(out)

    def _write(self, offset: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            block, inside = divmod(offset + done, self.sector)
            count = min(len(data) - done, self.sector - inside)
            if block not in self._blocks:
                self._blocks[block] = bytearray(self._read_stock(block * self.sector, self.sector))
            self._blocks[block][inside : inside + count] = data[done : done + count]
            done += count

    def patches(self) -> Iterator[tuple[int, bytes]]:
        """Yield (offset in the file system, bytes) of everything that changed."""
        if self._table_changed:
            for copy in range(self.fats):
                self._write(self._fat_at + copy * self._fat_sectors * self.sector, bytes(self._table))
            self._write_info()
            self._table_changed = False
        for block in sorted(self._blocks):
            data = bytes(self._blocks[block])
            if data != self._read_stock(block * self.sector, self.sector):
                yield block * self.sector, data

    def _write_info(self) -> None:
        """Keep the free-cluster count of FAT32 true (FSInfo, section 5)."""
        if self._info_at and self._read(self._info_at, 4) == b"RRaA":
            self._write(self._info_at + 488, struct.pack("<I", self.free_clusters()))

    # the table

    def _next(self, cluster: int) -> int:
        if self.bits == 12:
            pair = int.from_bytes(self._table[cluster * 3 // 2 : cluster * 3 // 2 + 2], "little")
            return pair >> 4 if cluster % 2 else pair & 0xFFF
        width = self.bits // 8
        return int.from_bytes(self._table[cluster * width : (cluster + 1) * width], "little") & 0x0FFFFFFF

    def _link(self, cluster: int, value: int) -> None:
        self._table_changed = True
        if self.bits == 12:
            at = cluster * 3 // 2
            pair = int.from_bytes(self._table[at : at + 2], "little")
            pair = (pair & 0xF) | (value & 0xFFF) << 4 if cluster % 2 else (pair & 0xF000) | (value & 0xFFF)
            self._table[at : at + 2] = pair.to_bytes(2, "little")
            return
        width = self.bits // 8
        if self.bits == 32:
            kept = int.from_bytes(self._table[cluster * 4 : cluster * 4 + 4], "little") & 0xF0000000
            self._table[cluster * 4 : cluster * 4 + 4] = ((value & 0x0FFFFFFF) | kept).to_bytes(4, "little")
        else:
            self._table[cluster * width : (cluster + 1) * width] = (value & 0xFFFF).to_bytes(width, "little")

    @property
    def _end_mark(self) -> int:
        return _END_MARKS[self.bits]

    def chain(self, cluster: int) -> list[int]:
        """Return the clusters of a chain; raises IsoError on one that is broken or runs in circles."""
        clusters: list[int] = []
        while 2 <= cluster < self.clusters + 2 and len(clusters) <= self.clusters:
            clusters.append(cluster)
            cluster = self._next(cluster)
        if len(clusters) > self.clusters or (clusters and cluster < self._end_mark - 7):
            raise IsoError(f"{self.name}: a cluster chain of its FAT file system is broken at cluster {clusters[-1]}")
        return clusters

    def free_clusters(self) -> int:
        """Return how many clusters are free."""
        return sum(self._next(cluster) == 0 for cluster in range(2, self.clusters + 2))

    def bad_clusters(self) -> int:
        """Return how many clusters are marked as bad."""
        return sum(self._next(cluster) == self._end_mark - 8 for cluster in range(2, self.clusters + 2))

    def tables_agree(self) -> bool:
        """Return True when all copies of the table are the same."""
        size = self._fat_sectors * self.sector
        return all(self._read(self._fat_at + copy * size, size) == self._table for copy in range(self.fats))

    def _resize(self, chain: list[int], count: int) -> list[int]:
        """Return a chain of ``count`` clusters that keeps as much of the old one as it can."""
        if count > len(chain):
            wanted = count - len(chain)
            unused = (number for number in range(2, self.clusters + 2) if self._next(number) == 0)
            free = list(islice(unused, wanted))
            if len(free) < wanted:
                short = (wanted - len(free)) * self.cluster_size
                raise IsoError(
                    f"{self.name}: no room in the EFI boot image: {short} bytes short",
                    hint="make the boot menu shorter, or put the file into the ISO tree instead",
                )
            chain = chain + free
        kept, released = chain[:count], chain[count:]
        for number in released:
            self._link(number, 0)
        for number, following in zip(kept, [*kept[1:], self._end_mark], strict=False):
            if self._next(number) != following:
                self._link(number, following)
        return kept

    def _cluster_at(self, cluster: int) -> int:
        return self._data_at + (cluster - 2) * self.cluster_size

    # files

    def _runs(self, directory: FatEntry) -> list[tuple[int, int]]:
        if directory.cluster == 0:
            return [(self._root_at, self._root_entries * _ENTRY)]
        chain = self.chain(directory.cluster)
        if not chain or (len(chain) - 1) * self.cluster_size >= _LONGEST_DIRECTORY:
            raise IsoError(f"{self.name}: a directory of its FAT file system is damaged: {directory.name}")
        return [(self._cluster_at(cluster), self.cluster_size) for cluster in chain]

    def _slots(self, directory: FatEntry) -> Iterator[tuple[int, bytes]]:
        for start, length in self._runs(directory):
            data = self._read(start, length)
            for at in range(0, length, _ENTRY):
                yield start + at, data[at : at + _ENTRY]

    def entries(self, directory: FatEntry) -> list[FatEntry]:
        """Return what a directory holds, ``.`` and ``..`` and the volume label left out."""
        found = []
        long_name = b""
        for offset, slot in self._slots(directory):
            if slot[0] == 0:
                break
            if slot[0] == _DELETED:
                long_name = b""
            elif slot[11] & 0x3F == _ATTR_LONG:
                long_name = slot[1:11] + slot[14:26] + slot[28:32] + (long_name if not slot[0] & 0x40 else b"")
            else:
                name = long_name.decode("utf-16-le", "replace").split("\0")[0] or _short_text(slot)
                long_name = b""
                if not slot[11] & _ATTR_VOLUME and slot[:1] != b".":
                    high = int.from_bytes(slot[20:22], "little") if self.bits == 32 else 0
                    cluster = high << 16 | int.from_bytes(slot[26:28], "little")
                    size = int.from_bytes(slot[28:32], "little")
                    found.append(FatEntry(name, slot[:11], slot[11], cluster, size, offset))
        return found

    def find(self, path: str) -> FatEntry | None:
        """Return the entry at ``path``, upper and lower case being the same, or None."""
        entry = self.root
        for part in (part for part in path.split("/") if part):
            if not entry.is_directory:
                return None
            for child in self.entries(entry):
                if part.casefold() in (child.name.casefold(), _short_text(child.short).casefold()):
                    entry = child
                    break
            else:
                return None
        return entry

    def walk(self) -> Iterator[tuple[str, FatEntry]]:
        """Yield (path, entry) of everything in the file system."""
        waiting = [("", self.root)]
        seen = {self.root.cluster}
        count = 0
        while waiting:
            prefix, directory = waiting.pop()
            entries = self.entries(directory)
            count += len(entries)
            for entry in entries:
                yield prefix + entry.name, entry
                if entry.is_directory:
                    if entry.cluster in seen or count > _MOST_ENTRIES:
                        raise IsoError(f"{self.name}: the directories of its FAT file system run in circles")
                    seen.add(entry.cluster)
                    waiting.append((f"{prefix}{entry.name}/", entry))

    def read_file(self, entry: FatEntry) -> bytes:
        """Return a file's whole content."""
        if not entry.size:
            return b""
        chain = self.chain(entry.cluster)
        if len(chain) * self.cluster_size < entry.size:
            raise IsoError(f"{self.name}: {entry.name} is longer than its cluster chain")
        data = b"".join(self._read(self._cluster_at(cluster), self.cluster_size) for cluster in chain)
        return data[: entry.size]

    def write_file(self, path: str, data: bytes, stamp: tuple[int, int]) -> None:
        """Replace or create a file; missing directories are made.

        ``stamp`` is (date, time) in FAT form. Raises IsoError when there is no room, or a directory has that name.
        """
        parent, _, name = path.strip("/").rpartition("/")
        directory = self._make_directory(parent, stamp) if parent else self.root
        entry = self._child(directory, name)
        if entry is None:
            entry = self._add_entry(directory, name, _ATTR_ARCHIVE, stamp)
        if entry.is_directory:
            raise IsoError(f"{self.name}: {path} is a directory of the EFI boot image")
        count = -(-len(data) // self.cluster_size)
        chain = self._resize(self.chain(entry.cluster) if entry.cluster else [], count)
        for index, cluster in enumerate(chain):
            piece = data[index * self.cluster_size : (index + 1) * self.cluster_size]
            self._write(self._cluster_at(cluster), piece.ljust(self.cluster_size, b"\0"))
        self._point(entry, chain[0] if chain else 0, len(data), stamp)

    def _child(self, directory: FatEntry, name: str) -> FatEntry | None:
        for child in self.entries(directory):
            if name.casefold() in (child.name.casefold(), _short_text(child.short).casefold()):
                return child
        return None

    def _point(self, entry: FatEntry, cluster: int, size: int, stamp: tuple[int, int]) -> None:
        slot = bytearray(self._read(entry.offset, _ENTRY))
        struct.pack_into("<H", slot, 20, cluster >> 16 if self.bits == 32 else 0)
        struct.pack_into("<HHHI", slot, 22, stamp[1], stamp[0], cluster & 0xFFFF, size)
        self._write(entry.offset, bytes(slot))

    def _make_directory(self, path: str, stamp: tuple[int, int]) -> FatEntry:
        directory = self.root
        for part in path.split("/"):
            child = self._child(directory, part)
            if child is None:
                child = self._add_entry(directory, part, _ATTR_DIRECTORY, stamp)
                cluster = self._resize([], 1)[0]
                up = 0 if directory.offset < 0 else directory.cluster
                dots = _slot(b".".ljust(11), _ATTR_DIRECTORY, cluster, stamp)
                dots += _slot(b"..".ljust(11), _ATTR_DIRECTORY, up, stamp)
                self._write(self._cluster_at(cluster), dots.ljust(self.cluster_size, b"\0"))
                self._point(child, cluster, 0, stamp)
                child = self._child(directory, part)
            if child is None or not child.is_directory:
                raise IsoError(f"{self.name}: {path} names a file of the EFI boot image, not a directory")
            directory = child
        return directory

    def _add_entry(self, directory: FatEntry, name: str, attributes: int, stamp: tuple[int, int]) -> FatEntry:
        short = _short_name(name, {entry.short for entry in self.entries(directory)})
        slots = [*([] if _short_text(short) == name else _long_slots(name, short)), _slot(short, attributes, 0, stamp)]
        offsets = self._free_slots(directory, len(slots))
        for offset, slot in zip(offsets, slots, strict=True):
            self._write(offset, slot)
        return FatEntry(name, short, attributes, 0, 0, offsets[-1])

    def _free_slots(self, directory: FatEntry, count: int) -> list[int]:
        run: list[int] = []
        for offset, slot in self._slots(directory):
            run = [*run, offset] if slot[0] in (0, _DELETED) else []
            if len(run) == count:
                return run
        if directory.cluster == 0:
            raise IsoError(f"{self.name}: no room in the root directory of the EFI boot image")
        chain = self.chain(directory.cluster)
        added = self._resize(chain, len(chain) + 1)[-1]
        self._write(self._cluster_at(added), bytes(self.cluster_size))
        return self._free_slots(directory, count)


def _slot(short: bytes, attributes: int, cluster: int, stamp: tuple[int, int]) -> bytes:
    date, time = stamp
    head = struct.pack("<11sBBBHHH", short, attributes, 0, 0, time, date, date)
    return head + struct.pack("<HHHHI", cluster >> 16, time, date, cluster & 0xFFFF, 0)


def _short_text(slot: bytes) -> str:
    """Return a short name as text, lower case where the entry says so (bits 3 and 4 of byte 12)."""
    first = b"\xe5" if slot[:1] == b"\x05" else slot[:1]
    stem = (first + slot[1:8]).decode("cp437").rstrip()
    extension = slot[8:11].decode("cp437").rstrip()
    case = slot[12] if len(slot) > 12 else 0
    stem = stem.lower() if case & 0x08 else stem
    extension = extension.lower() if case & 0x10 else extension
    return f"{stem}.{extension}" if extension else stem


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """Return an 8.3 name that no other entry has: the name itself, or with a ``~1`` tail."""
    stem, _, extension = name.rpartition(".") if "." in name.strip(".") else (name, "", "")
    stem_bytes, extension_bytes = (
        bytes(byte if byte in _SHORT_ALLOWED else ord("_") for byte in part.upper().encode("ascii", "replace"))
        for part in (stem.replace(".", "").replace(" ", ""), extension)
    )
    plain = stem_bytes[:8].ljust(8) + extension_bytes[:3].ljust(3)
    if _short_text(plain).casefold() == name.casefold() and plain not in taken:
        return plain
    for number in range(1, 1_000_000):
        tail = f"~{number}".encode()
        candidate = (stem_bytes[: 8 - len(tail)] + tail).ljust(8) + extension_bytes[:3].ljust(3)
        if candidate not in taken:
            return candidate
    raise IsoError(f"no free short name for {name} in the EFI boot image")


def _long_slots(name: str, short: bytes) -> list[bytes]:
    """Return the long-name entries that go before a short one, the last part first (section 7)."""
    checksum = 0
    for byte in short:
        checksum = ((checksum >> 1) | (checksum << 7 & 0xFF)) + byte & 0xFF
    encoded = name.encode("utf-16-le")
    parts = -(-len(encoded) // (_LONG_CHARS * 2))
    if len(encoded) < parts * _LONG_CHARS * 2:
        encoded = (encoded + b"\0\0").ljust(parts * _LONG_CHARS * 2, b"\xff")
    slots = []
    for order in range(parts, 0, -1):
        piece = encoded[(order - 1) * 26 : order * 26]
        number = order | (0x40 if order == parts else 0)
        slots.append(
            struct.pack("<B10sBBB12sH4s", number, piece[:10], _ATTR_LONG, 0, checksum, piece[10:22], 0, piece[22:26])
        )
    return slots
