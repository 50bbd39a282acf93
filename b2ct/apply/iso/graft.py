"""Files grafted onto a directory tree that already lies on the disk: records patched, directories grown or moved."""

from __future__ import annotations

import stat
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from b2ct.apply.iso.descriptors import L_TABLE, L_TABLE_COPY, M_TABLE, M_TABLE_COPY, PATH_TABLE_SIZE
from b2ct.apply.iso.names import make_identifier, sort_key
from b2ct.apply.iso.pathtable import PathEntry, insert_directories, make_path_table, parse_path_table
from b2ct.apply.iso.records import (
    FileFlag,
    Record,
    both32,
    join_records,
    make_record,
    record_room,
    rock_ridge_entries,
)
from b2ct.apply.iso.source import SECTOR, round_up
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from b2ct.apply.iso.patches import SectorPatches, Tail
    from b2ct.apply.iso.tree import Extent, Tree

_DIRECTORY_MODE = stat.S_IFDIR | 0o555
_ROOT_RECORD = 156
_CONTINUATION = 28


@dataclass(frozen=True, slots=True)
class Graft:
    """A file that a tree is to show: where its data lie in the output, in sections of at most 4 GiB."""

    parts: tuple[str, ...]
    extents: tuple[Extent, ...]
    mode: int
    """Permission bits; a file that is there already keeps its own."""
    old: tuple[Extent, ...] = ()
    """Where its data lie so far, by the first tree: a tree that cut its name short is known by them."""


@dataclass(slots=True, eq=False)
class _Directory:
    """A directory while it is changed. ``extent`` is a sector of the output, None as long as it has no place."""

    parts: tuple[str, ...]
    parent: _Directory | None
    records: list[Record]
    old: Extent | None
    extent: int | None
    size: int
    changed: bool = False
    identifier: bytes = b"\0"
    names: dict[str, bytes] = field(default_factory=dict)
    """Identifier of every name that a user sees."""
    added: set[bytes] = field(default_factory=set)
    """Identifiers of new records."""
    children: dict[str, _Directory] = field(default_factory=dict)


class TreeGraft:
    """The change of one tree: ``put`` every file, then ``finish`` once.

    ``date`` is the recording date of new records (seven bytes, ECMA-119 9.1.5).
    """

    def __init__(self, tree: Tree, date: bytes, tail: Tail, patches: SectorPatches) -> None:
        self._tree = tree
        self._date = date
        self._tail = tail
        self._patches = patches
        self._root = self._load((), None, tree.root.extents[0], b"\0")
        self._untranslated = self._is_untranslated()

    def _load(self, parts: tuple[str, ...], parent: _Directory | None, extent: Extent, identifier: bytes) -> _Directory:
        records = self._tree.read_records(extent, "/".join(parts))
        names = {self._tree.name_of(record): record.identifier for record in records if not record.is_dot}
        return _Directory(
            parts, parent, records, extent, extent.sector, extent.size, identifier=identifier, names=names
        )

    def _is_untranslated(self) -> bool:
        files = [r.identifier for r in self._root.records if not r.is_dot and not r.is_directory]
        return bool(files) and not any(b";" in identifier for identifier in files)

    def put(self, graft: Graft) -> None:
        """Add a file, or point the one that has its name at other data; missing directories are made.

        Raises IsoError when a directory has its name, or a file that of one of its directories.
        """
        directory = self._open(graft.parts[:-1])
        name = graft.parts[-1]
        path = "/".join(graft.parts)
        at, count = self._locate(directory, name)
        if not count:
            at, count = self._locate_data(directory, graft.old)
        if count:
            found = directory.records[at]
            if found.is_directory:
                raise IsoError(f"{path}: the ISO has a directory of this name")
            template = found.with_flags(found.flags & ~FileFlag.MULTI_EXTENT)
        else:
            template = self._new_record(directory, name, FileFlag(0), stat.S_IFREG | graft.mode)
            at = self._insert_at(directory, template)
        sections = [template.moved(e.sector - self._tree.base, e.size) for e in graft.extents]
        more = [section.with_flags(section.flags | FileFlag.MULTI_EXTENT) for section in sections[:-1]]
        directory.records[at : at + count] = [*more, sections[-1]]
        directory.changed = True

    def look_up(self, parts: tuple[str, ...]) -> tuple[Extent, ...]:
        """Return where the data of a file lie now; nothing when there is no such file."""
        directory = self._root
        for depth, name in enumerate(parts[:-1], 1):
            if name not in directory.children:
                at, count = self._locate(directory, name)
                if not count or not directory.records[at].is_directory:
                    return ()
                directory.children[name] = self._load_or_make(directory, name, parts[:depth])
            directory = directory.children[name]
        at, count = self._locate(directory, parts[-1])
        found = directory.records[at : at + count]
        return tuple(self._tree.extent_of(r) for r in found if not r.is_directory)

    def _locate(self, directory: _Directory, name: str) -> tuple[int, int]:
        """Return the index of a file's first record and how many it has; (0, 0) when it is not there."""
        identifier = directory.names.get(name)
        if identifier is None:
            return 0, 0
        found = [index for index, record in enumerate(directory.records) if record.identifier == identifier]
        return found[0], len(found)

    def _locate_data(self, directory: _Directory, extents: tuple[Extent, ...]) -> tuple[int, int]:
        """Return the index and number of the records that name these data, (0, 0) when none do."""
        wanted = [extent for extent in extents if extent.size]
        for index in range(len(directory.records) if wanted else 0):
            records = directory.records[index : index + len(wanted)]
            if [self._tree.extent_of(record) for record in records] == wanted:
                return index, len(wanted)
        return 0, 0

    def _open(self, parts: tuple[str, ...]) -> _Directory:
        directory = self._root
        for depth, name in enumerate(parts, 1):
            if name not in directory.children:
                directory.children[name] = self._load_or_make(directory, name, parts[:depth])
            directory = directory.children[name]
        return directory

    def _load_or_make(self, parent: _Directory, name: str, parts: tuple[str, ...]) -> _Directory:
        at, count = self._locate(parent, name)
        if not count:
            return self._make_directory(parent, name, parts)
        record = parent.records[at]
        if not record.is_directory:
            raise IsoError(
                f"{'/'.join(parts)}: on the ISO this is a file, or a directory moved elsewhere, "
                "so nothing can be put into it"
            )
        return self._load(parts, parent, self._tree.extent_of(record), record.identifier)

    def _make_directory(self, parent: _Directory, name: str, parts: tuple[str, ...]) -> _Directory:
        record = self._new_record(parent, name, FileFlag.DIRECTORY, _DIRECTORY_MODE)
        parent.records.insert(self._insert_at(parent, record), record)
        parent.changed = True
        area = b""
        if self._tree.rock_ridge is not None:
            area, _ = rock_ridge_entries(self._tree.rock_ridge, None, _DIRECTORY_MODE, 2, self._date)
        dots = [make_record(i, FileFlag.DIRECTORY, self._date, area) for i in (b"\0", b"\1")]
        return _Directory(parts, parent, dots, None, None, 0, changed=True, identifier=record.identifier)

    def _insert_at(self, directory: _Directory, new: Record) -> int:
        key = sort_key(new.identifier, joliet=self._tree.joliet)
        return bisect_right(
            directory.records, key, lo=2, key=lambda r: sort_key(r.identifier, joliet=self._tree.joliet)
        )

    def _new_record(self, directory: _Directory, name: str, flags: FileFlag, mode: int) -> Record:
        is_directory = bool(flags & FileFlag.DIRECTORY)
        identifier = make_identifier(
            name,
            directory=is_directory,
            joliet=self._tree.joliet,
            untranslated=self._untranslated,
            taken=set(directory.names.values()),
        )
        directory.names[name] = identifier
        directory.added.add(identifier)
        style = self._tree.rock_ridge
        if style is None:
            return make_record(identifier, flags, self._date)
        inline, names = rock_ridge_entries(style, name, mode, 2 if is_directory else 1, self._date)
        if len(inline) + len(names) > record_room(identifier):
            sector = self._tail.add_name(names) - self._tree.base
            names = b"CE" + bytes([_CONTINUATION, 1]) + both32(sector) + both32(0) + both32(len(names))
        return make_record(identifier, flags, self._date, inline + names)

    # laying down

    def finish(self) -> None:
        """Give every changed directory its place and write the patches: directories, path tables, descriptors."""
        directories = self._all(self._root)
        moved = [d for d in directories if d.changed and self._place(d)]
        for directory in moved:
            self._point_at(directory)
        for directory in directories:
            if directory.changed and directory.extent is not None:
                data = join_records(directory.records).ljust(directory.size, b"\0")
                if directory in moved:
                    self._tail.blobs[directory.extent] = data
                else:
                    self._patches.write(directory.extent * SECTOR, data)
        if moved:
            self._write_path_tables(directories, moved)

    def _all(self, directory: _Directory) -> list[_Directory]:
        return [directory, *(d for child in directory.children.values() for d in self._all(child))]

    def _place(self, directory: _Directory) -> bool:
        """Return True when a directory got a new place in the tail because it outgrew the old one."""
        size = len(join_records(directory.records))
        if directory.old is not None and size <= directory.old.size:
            return False
        directory.size = size
        directory.extent = self._tail.reserve(size)
        return True

    def _point_at(self, directory: _Directory) -> None:
        """Point everything that names a moved directory at its new place."""
        extent, size = (directory.extent or 0) - self._tree.base, directory.size
        directory.records[0] = directory.records[0].moved(extent, size)
        parent = directory.parent
        if parent is None:
            directory.records[1] = directory.records[1].moved(extent, size)
            for descriptor in self._tree.descriptors:
                self._patches.write(descriptor.sector * SECTOR + _ROOT_RECORD + 2, both32(extent) + both32(size))
        else:
            index = next(
                i for i, r in enumerate(parent.records) if r.identifier == directory.identifier and not r.is_dot
            )
            parent.records[index] = parent.records[index].moved(extent, size)
            parent.changed = True
            directory.records[1] = directory.records[1].moved((parent.extent or 0) - self._tree.base, parent.size)
        loaded = {child.identifier: child for child in directory.children.values()}
        for record in directory.records[2:]:
            if record.identifier not in directory.added and self._tree.is_relocated(record):
                raise IsoError(
                    f"{'/'.join(directory.parts) or '/'}: this directory is full, and one below it was relocated"
                )
            if record.identifier in loaded:
                child = loaded[record.identifier]
                child.records[1] = child.records[1].moved(extent, size)
                child.changed = True
            elif record.is_directory:
                self._patch_dotdot(record, extent, size)

    def _patch_dotdot(self, child: Record, extent: int, size: int) -> None:
        at = (child.extent + self._tree.base) * SECTOR
        own_length = self._tree.source.read(at, 1)[0]
        self._patches.write(at + own_length + 2, both32(extent) + both32(size))

    def _write_path_tables(self, directories: list[_Directory], moved: list[_Directory]) -> None:
        entries, added = self._path_entries(directories, moved)
        if added:
            entries = insert_directories(entries, added, joliet=self._tree.joliet)
        first = self._tree.descriptors[0]
        size = len(make_path_table(entries, big_endian=False))
        for descriptor in self._tree.descriptors:
            self._patches.write(descriptor.sector * SECTOR + PATH_TABLE_SIZE.start, both32(size))
        fits = size <= round_up(first.path_table_size, SECTOR)
        tables: tuple[tuple[int, Literal["little", "big"]], ...] = (
            (L_TABLE, "little"),
            (L_TABLE_COPY, "little"),
            (M_TABLE, "big"),
            (M_TABLE_COPY, "big"),
        )
        for at, order in tables:
            extent = int.from_bytes(first.raw[at : at + 4], order)
            data = make_path_table(entries, big_endian=order == "big")
            if extent and fits:
                self._patches.write((extent + self._tree.base) * SECTOR, data)
            elif extent:
                sector = self._tail.add_bytes(data) - self._tree.base
                for descriptor in self._tree.descriptors:
                    self._patches.write(descriptor.sector * SECTOR + at, sector.to_bytes(4, order))

    def _path_entries(
        self, directories: list[_Directory], moved: list[_Directory]
    ) -> tuple[list[PathEntry], list[PathEntry]]:
        """Return the old entries with moved directories' new places, and the entries of new directories."""
        first = self._tree.descriptors[0]
        at = (int.from_bytes(first.raw[L_TABLE : L_TABLE + 4], "little") + self._tree.base) * SECTOR
        entries = parse_path_table(self._tree.source.read(at, first.path_table_size), big_endian=False)
        numbers = {entry.extent + self._tree.base: number for number, entry in enumerate(entries, 1)}
        known: dict[int, int] = {}
        for directory in directories:
            if directory.old is not None:
                number = numbers.get(directory.old.sector)
                if number is None:
                    raise IsoError(f"{'/'.join(directory.parts)}: not in the path table of the {self._tree.label}")
                known[id(directory)] = number
        added: list[PathEntry] = []
        for directory in moved:
            extent = (directory.extent or 0) - self._tree.base
            if directory.old is not None:
                number = known[id(directory)]
                entries[number - 1] = replace(entries[number - 1], extent=extent)
            else:
                known[id(directory)] = len(entries) + len(added) + 1
                added.append(PathEntry(directory.identifier, extent, known[id(directory.parent)]))
        return entries, added
