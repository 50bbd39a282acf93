"""Consistency of the volume: descriptors, directory trees, path tables (ECMA-119, Joliet)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.apply.checks import NOTHING, Verdict, judge
from b2ct.apply.iso.names import sort_key
from b2ct.apply.iso.pathtable import parse_path_table
from b2ct.apply.iso.second_reader import list_with_pycdlib
from b2ct.apply.iso.source import SECTOR, round_up
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from b2ct.apply.iso.checks import Subject
    from b2ct.apply.iso.tree import Entry, Extent, Tree

_JOLIET_UNITS = 64
_JOLIET_CHANGED = frozenset('*/:;?\\"<>|')


def _check_descriptors(subject: Subject) -> Verdict:
    source, layout = subject.source, subject.layout
    problems = []
    for descriptor in (d for descriptor_set in layout.sets for d in descriptor_set.trees):
        where = f"descriptor at sector {descriptor.sector}"
        for at, length in ((80, 4), (120, 2), (124, 2), (128, 2), (132, 4)):
            little, big = descriptor.raw[at : at + length], descriptor.raw[at + length : at + 2 * length]
            if little != big[::-1]:
                problems.append(f"{where}: the two byte orders at {at} differ")
        if int.from_bytes(descriptor.raw[128:130], "little") != SECTOR:
            problems.append(f"{where}: logical blocks of other than {SECTOR} bytes")
        if (descriptor.base + descriptor.volume_size) * SECTOR > source.size:
            problems.append(f"{where}: volume of {descriptor.volume_size} sectors, longer than the file")
    sectors = ", ".join(str(descriptor_set.sector) for descriptor_set in layout.sets)
    return judge(problems, f"sets at {sectors}; {layout.volume_size} sectors in {source.size} bytes")


def _check_directories(subject: Subject) -> Verdict:
    """``.`` and ``..`` name a directory and its parent, records are in order, numbers the same in both byte orders.

    In Joliet trees xorriso lets ``..`` name the directory itself; that is let pass.
    """
    problems = []
    count = 0
    for tree in subject.layout.trees:
        for here, parent, records in tree.directories():
            count += 1
            dots = [tree.extent_of(record) for record in records[:2]]
            parents = {parent, here} if tree.joliet else {parent}
            if dots[0] != here or dots[1] not in parents:
                problems.append(f"{tree.label}: wrong . or .. in the directory at sector {here.sector}")
            keys = [sort_key(record.identifier, joliet=tree.joliet) for record in records if not record.is_dot]
            if keys != sorted(keys):
                problems.append(f"{tree.label}: the directory at sector {here.sector} is not in order")
            problems += [
                f"{tree.label}: the two byte orders differ in {tree.name_of(record)!r}"
                for record in records
                if record.raw[2:6] != record.raw[9:5:-1] or record.raw[10:14] != record.raw[17:13:-1]
            ]
    return judge(problems, f"{count} in {len(subject.layout.trees)} trees")


def _check_extents(subject: Subject) -> Verdict:
    """Nothing lies outside the volume, nor begins inside something else."""
    problems = []
    sizes: dict[int, int] = {}
    for tree in subject.layout.trees:
        end = tree.base + max(descriptor.volume_size for descriptor in tree.descriptors)
        for extent, _ in tree.runs():
            sectors = round_up(extent.size, SECTOR) // SECTOR
            if extent.sector + sectors > min(end, round_up(subject.source.size, SECTOR) // SECTOR):
                problems.append(f"{tree.label}: data at sector {extent.sector} reach out of the volume")
            sizes[extent.sector] = max(sizes.get(extent.sector, 0), sectors)
    previous_end = 0
    for sector in sorted(sector for sector, count in sizes.items() if count):
        if sector < previous_end:
            problems.append(f"data at sector {sector} begin inside other data")
        previous_end = max(previous_end, sector + sizes[sector])
    return judge(problems, f"{len(sizes)} inside the volume")


def _check_path_tables(subject: Subject) -> Verdict:
    problems = []
    count = 0
    for tree in subject.layout.trees:
        expected = {here.sector: parent.sector for here, parent, _ in tree.directories()}
        for descriptor in tree.descriptors:
            for extent, big_endian in descriptor.table_extents():
                count += 1
                where = f"path table at sector {extent + tree.base}"
                at = (extent + tree.base) * SECTOR
                try:
                    data = tree.source.read(at, descriptor.path_table_size)
                    entries = parse_path_table(data, big_endian=big_endian)
                except IsoError as error:
                    problems.append(f"{where}: {error.message}")
                    continue
                found = {e.extent + tree.base: entries[e.parent - 1].extent + tree.base for e in entries}
                if found != expected:
                    wrong = sorted({*found.items()} ^ {*expected.items()})
                    problems.append(f"{where}: does not agree with the directory at sector {wrong[0][0]}")
    return judge(problems, f"{count} agree with the directories")


def _check_trees_agree(subject: Subject) -> Verdict:
    """Every tree shows the same files at the same places, under the same names as far as they can be the same."""
    if len(subject.layout.trees) == 1:
        return NOTHING
    problems = []
    first, *others = subject.layout.trees
    files = _files(first)
    for tree in others:
        theirs = _files(tree)
        plain = {path for path in files if not tree.joliet or _is_plain(path)} if first.rock_ridge else set()
        problems += [
            f"{path} is elsewhere or missing in the {tree.label}"
            for path in sorted(plain)
            if theirs.get(path) != files[path]
        ]
        data = {extents for extents in files.values() if any(e.size for e in extents)}
        their_data = {extents for extents in theirs.values() if any(e.size for e in extents)}
        if data != their_data and not problems:
            problems.append(
                f"the {tree.label} shows {len(their_data)} files, the {first.label} {len(data)}, and not the same"
            )
    return judge(problems, f"{len(files)} files in {len(subject.layout.trees)} trees")


def _files(tree: Tree) -> dict[str, tuple[Extent, ...]]:
    return {entry.path: _data(entry) for entry in tree.walk() if not entry.is_directory}


def _data(entry: Entry) -> tuple[Extent, ...]:
    """Return the sections that hold something: where an empty file lies means nothing."""
    return tuple(extent for extent in entry.extents if extent.size)


def _is_plain(path: str) -> bool:
    return not set(path.replace("/", "")) & _JOLIET_CHANGED and all(
        len(part.encode("utf-16-be")) <= 2 * _JOLIET_UNITS for part in path.split("/")
    )


def _check_pycdlib(subject: Subject) -> Verdict:
    """Another reader finds the same files."""
    theirs = list_with_pycdlib(subject.path, subject.layout.trees)
    ours = {entry.path for entry in subject.layout.trees[0].walk() if not entry.is_directory}
    if not subject.layout.trees[0].rock_ridge:
        return Verdict(ok=len(theirs) == len(ours), detail=f"reads {len(theirs)} files, of which we see {len(ours)}")
    problems = [f"{path} is read by only one of two readers" for path in sorted(theirs ^ ours)]
    return judge(problems, f"reads the same {len(theirs)} files")


CHECKS = (
    ("descriptors", _check_descriptors),
    ("directories", _check_directories),
    ("extents", _check_extents),
    ("path tables", _check_path_tables),
    ("trees agree", _check_trees_agree),
    ("pycdlib", _check_pycdlib),
)
