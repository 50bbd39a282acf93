"""A directory tree of an image, as it lies on the disk: listing, looking up, reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.records import FileFlag, Record, RockRidge, split_records, susp_entries
from b2ct.apply.iso.source import SECTOR
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.apply.iso.descriptors import Descriptor, DescriptorSet
    from b2ct.apply.iso.source import Source

_LONGEST_DIRECTORY = 64 * 1024**2
_LONGEST_CONTINUATION = 64 * 1024
"""Bytes; far more than real images have, and little enough to be read when a damaged number says so."""
_SP_LENGTH = 7
_PX_LENGTHS = (36, 44)


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of an image: first sector of the image, length in bytes."""

    sector: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory of a tree."""

    path: str
    """Path from the root, without a leading slash; empty for the root."""
    records: tuple[Record, ...]
    """Its directory record, or one for each section of a file beyond 4 GiB."""
    extents: tuple[Extent, ...]
    is_directory: bool

    @property
    def size(self) -> int:
        """Whole length in bytes."""
        return sum(extent.size for extent in self.extents)


class Tree:
    """One directory tree: an ISO 9660 one (with Rock Ridge or without) or a Joliet one."""

    def __init__(self, source: Source, descriptors: tuple[Descriptor, ...]) -> None:
        self.source = source
        self.descriptors = descriptors
        """Every descriptor that roots this very tree."""
        first = descriptors[0]
        self.joliet = first.joliet
        self.base = first.base
        self.root = Entry("", (), (Extent(first.root_extent + first.base, first.root_size),), is_directory=True)
        self.rock_ridge, self._skip = self._read_style()

    @property
    def label(self) -> str:
        """What messages call this tree."""
        return f"{'Joliet' if self.joliet else 'ISO 9660'} tree of sector {self.descriptors[0].sector}"

    def _read_style(self) -> tuple[RockRidge | None, int]:
        """Return how Rock Ridge is written here, from the root's own record (SUSP 5.3), and the bytes to skip."""
        dot = self.read_records(Extent(self.root.extents[0].sector, SECTOR))[0]
        area = dot.system_use
        if self.joliet or area[:2] != b"SP" or area[4:6] != b"\xbe\xef" or len(area) < _SP_LENGTH:
            return None, 0
        entries = dict(susp_entries(area, self._read_continuation))
        if b"PX" not in entries:
            return None, 0
        px_length = len(entries[b"PX"]) + 4
        if px_length not in _PX_LENGTHS:
            raise IsoError(f"{self.source.name}: damaged Rock Ridge in the root of the {self.label}")
        return RockRidge(with_rr=b"RR" in entries, px_length=px_length), area[6]

    def _read_continuation(self, sector: int, offset: int, length: int) -> bytes:
        if length > _LONGEST_CONTINUATION:
            raise IsoError(f"{self.label}: damaged Rock Ridge: {length} bytes at sector {sector + self.base}")
        return self.source.read((sector + self.base) * SECTOR + offset, length)

    def read_records(self, directory: Extent, where: str = "") -> list[Record]:
        """Return a directory's records, those of itself and of its parent first; raises IsoError when damaged."""
        where = where or self.label
        if directory.size > _LONGEST_DIRECTORY:
            raise IsoError(f"{where}: damaged: a directory of {directory.size} bytes at sector {directory.sector}")
        records = split_records(self.source.read(directory.sector * SECTOR, directory.size), where)
        if [record.identifier for record in records[:2]] != [b"\0", b"\1"]:
            raise IsoError(f"{where}: damaged: the directory at sector {directory.sector} has no . and ..")
        return records

    def directories(self) -> Iterator[tuple[Extent, Extent, list[Record]]]:
        """Yield (directory, parent, records) of the whole tree; raises IsoError on one that runs in circles."""
        root = self.root.extents[0]
        waiting = [(root, root)]
        seen = {root.sector}
        while waiting:
            here, parent = waiting.pop()
            records = self.read_records(here)
            yield here, parent, records
            for record in records:
                if record.is_directory and not record.is_dot:
                    child = self.extent_of(record)
                    if child.sector in seen:
                        raise IsoError(f"{self.label}: the directory at sector {child.sector} is found twice")
                    seen.add(child.sector)
                    waiting.append((child, here))

    def extent_of(self, record: Record) -> Extent:
        """Return where the data of a record lie on the image."""
        return Extent(record.extent + self.base, record.size)

    def name_of(self, record: Record) -> str:
        """Return the name that a user sees: Rock Ridge, Joliet, or the identifier without its version.

        What is no text is escaped, so that every name can be printed.
        """
        if self.joliet:
            return _strip_version(record.identifier.decode("utf-16-be", "backslashreplace"))
        if self.rock_ridge is not None:
            area = record.system_use[self._skip :]
            name = b"".join(
                p[1:] for s, p in susp_entries(area, self._read_continuation) if s == b"NM" and p and not p[0] & 6
            )
            if name:
                return name.decode("utf-8", "backslashreplace")
        return _strip_version(record.identifier.decode("ascii", "replace")).rstrip(".")

    def mode_of(self, record: Record) -> int | None:
        """Return the st_mode that Rock Ridge gives, or None without Rock Ridge."""
        if self.rock_ridge is None:
            return None
        for signature, payload in susp_entries(record.system_use[self._skip :], self._read_continuation):
            if signature == b"PX":
                return int.from_bytes(payload[:4], "little")
        return None

    def _entry(self, path: str, records: tuple[Record, ...]) -> Entry:
        first = records[0]
        if not self.joliet and self.rock_ridge is not None and not first.is_directory and b"CL" in first.system_use:
            for signature, payload in susp_entries(first.system_use[self._skip :], self._read_continuation):
                if signature == b"CL":  # a directory that was moved up (RRIP 4.1.5)
                    sector = int.from_bytes(payload[:4], "little") + self.base
                    dot = self.read_records(Extent(sector, SECTOR), path)[0]
                    return Entry(path, records, (Extent(sector, dot.size),), is_directory=True)
        extents = tuple(self.extent_of(record) for record in records)
        return Entry(path, records, extents, first.is_directory)

    def entries_of(self, directory: Entry) -> Iterator[Entry]:
        """Yield what a directory holds, in the order of its records, without itself and its parent."""
        sections: list[Record] = []
        prefix = f"{directory.path}/" if directory.path else ""
        for record in self.read_records(directory.extents[0], directory.path):
            if record.is_dot or record.flags & FileFlag.ASSOCIATED:
                continue
            sections.append(record)
            if not record.flags & FileFlag.MULTI_EXTENT:
                yield self._entry(prefix + self.name_of(sections[0]), tuple(sections))
                sections = []

    def walk(self) -> Iterator[Entry]:
        """Yield every entry below the root, parents first; raises IsoError on a tree that runs in circles."""
        waiting = [self.root]
        seen = {self.root.extents[0].sector}
        while waiting:
            for entry in self.entries_of(waiting.pop()):
                yield entry
                if not entry.is_directory:
                    continue
                sector = entry.extents[0].sector
                if sector in seen:
                    raise IsoError(
                        f"{self.source.name}: {entry.path}: the same directory is found twice in the {self.label}"
                    )
                seen.add(sector)
                waiting.append(entry)

    def runs(self) -> Iterator[tuple[Extent, bool]]:
        """Yield (extent, whether it is a directory) of every record, the root included; names are not looked at."""
        yield self.root.extents[0], True
        waiting = [self.root.extents[0]]
        seen = {self.root.extents[0].sector}
        while waiting:
            for record in self.read_records(waiting.pop()):
                extent = self.extent_of(record)
                if record.is_dot or (record.is_directory and extent.sector in seen):
                    continue
                yield extent, record.is_directory
                if record.is_directory:
                    seen.add(extent.sector)
                    waiting.append(extent)

    def is_relocated(self, record: Record) -> bool:
        """Return True when a record stands for a directory that was moved up (RRIP 4.1.5)."""
        if self.rock_ridge is None:
            return False
        return any(s == b"CL" for s, _ in susp_entries(record.system_use[self._skip :], self._read_continuation))

    def find(self, path: str, *, ignore_case: bool = False) -> Entry | None:
        """Return the entry at ``path``, or None."""
        entry = self.root
        for part in (part for part in path.split("/") if part):
            if not entry.is_directory:
                return None
            wanted = part.casefold() if ignore_case else part
            for child in self.entries_of(entry):
                name = child.path.rpartition("/")[2]
                if (name.casefold() if ignore_case else name) == wanted:
                    entry = child
                    break
            else:
                return None
        return entry

    def read_file(self, entry: Entry) -> bytes:
        """Return a file's whole content."""
        return b"".join(
            self.source.read(extent.sector * SECTOR, extent.size) for extent in entry.extents if extent.size
        )


def _strip_version(name: str) -> str:
    stem, separator, version = name.rpartition(";")
    return stem if separator and version.isdecimal() else name


def make_trees(source: Source, sets: tuple[DescriptorSet, ...]) -> tuple[Tree, ...]:
    """Return the distinct trees of an image, that of the first primary descriptor first."""
    roots: dict[tuple[bool, int], list[Descriptor]] = {}
    for descriptor_set in sets:
        for descriptor in descriptor_set.trees:
            roots.setdefault((descriptor.joliet, descriptor.root_extent + descriptor.base), []).append(descriptor)
    return tuple(Tree(source, tuple(descriptors)) for descriptors in roots.values())
