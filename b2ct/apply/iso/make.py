"""From a stock image's layout and an edit to an overlay: where everything new goes, and what must point there."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.dates import fat_stamp, record_date
from b2ct.apply.iso.descriptors import APPLICATION_USE, VOLUME_ID, VOLUME_SIZE
from b2ct.apply.iso.edit import WrittenFile, check_volume_id
from b2ct.apply.iso.graft import Graft, TreeGraft
from b2ct.apply.iso.menus import open_esp
from b2ct.apply.iso.names import check_path
from b2ct.apply.iso.overlay import Overlay, Patch, Segment
from b2ct.apply.iso.patches import SectorPatches, Tail
from b2ct.apply.iso.records import MAX_SECTION, both32
from b2ct.apply.iso.source import BLOCK, SECTOR, round_up
from b2ct.apply.iso.tree import Extent
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import EspHome, MenuHome

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from b2ct.apply.iso.edit import AddedFile, IsoEdit
    from b2ct.apply.iso.layout import Esp, IsoLayout
    from b2ct.apply.iso.source import Source
    from b2ct.plan.artifact import Artifact

_BLOCKS = SECTOR // BLOCK
_GROWTH = 512
"""Sectors by which an image grows at a time: 1 MiB, isohybrid's cylinder, keeps all later data aligned."""
_PADDING = 150
"""Sectors of zeros behind the last file, as mkisofs and xorriso leave them for readers that read ahead."""

_FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class MadeOverlay:
    """An overlay, and the files that are new in it."""

    overlay: Overlay
    files: tuple[WrittenFile, ...]


def make_overlay(stock: Path, source: Source, layout: IsoLayout, edit: IsoEdit, moment: datetime) -> MadeOverlay:
    """Return the overlay that carries out an edit of the image at ``stock``.

    ``moment`` is the time stamp of everything new. The field of the media check is left blank.
    Raises IsoError when the layout is not one of the two known ones, or when something does not fit.
    """
    if edit.volume_id is not None:
        check_volume_id(edit.volume_id)
    esp = layout.esp
    if esp is None:
        raise IsoError(f"{source.name}: no EFI boot image in a known place; {describe_boot(layout)}")
    cut = find_cut(source, layout, esp)
    _check_trees(source, layout, cut)
    patches = SectorPatches(source)
    tail = Tail(cut)
    written = _put_files(layout, edit, patches, tail, record_date(moment))
    written += _put_esp(source, esp, edit, patches, fat_stamp(moment))
    if tail.end > cut and esp.home is EspHome.EMBEDDED:
        tail.reserve(_PADDING * SECTOR)
    growth = round_up(tail.end - cut, _GROWTH)
    try:
        _patch_descriptors(layout, edit, patches, growth)
        _patch_boot(source, layout, patches, cut, growth)
    except (struct.error, OverflowError) as error:
        raise IsoError(f"{source.name}: damaged: a descriptor or partition reaches beyond what can be named") from error
    return MadeOverlay(_assemble(stock, source, layout, tail, patches, growth), tuple(written))


def describe_boot(layout: IsoLayout) -> str:
    """Return what was found of boot images and partitions, for messages about an unknown layout."""
    catalog = layout.catalog
    found = ", ".join(f"{e.platform.name} at sector {e.sector}" for e in catalog.entries) if catalog else "none"
    gpt = layout.partitions.gpt
    partitions = ", ".join(f"{p.number}: {p.first}-{p.last}" for p in gpt.partitions) if gpt else "none"
    return f"El Torito entries: {found}; GPT partitions: {partitions}"


def find_cut(source: Source, layout: IsoLayout, esp: Esp) -> int:
    """Return the sector at which new sectors are inserted: all that follows moves, all that goes before stays.

    That is the end of the ISO partition where an EFI partition follows it, and else the end of the volume, before a
    backup GPT that lies inside it.
    """
    partitions = layout.partitions
    if partitions.apple_map:
        raise IsoError(f"{source.name}: an Apple partition map, which is no part of a known layout")
    cut = esp.offset // SECTOR if esp.home is EspHome.APPENDED else layout.volume_size
    gpt = partitions.gpt
    if esp.home is EspHome.EMBEDDED and gpt is not None:
        backup = partitions.backup.entries_lba if partitions.backup else gpt.alternate
        if gpt.last_usable < backup < cut * _BLOCKS:
            cut = backup // _BLOCKS
    starts = {0, 1, *(tree.base * _BLOCKS for tree in layout.trees)}
    runs = [(p.start, p.start + p.count) for p in partitions.mbr if p.count]
    runs += [(p.first, p.last + 1) for p in gpt.partitions] if gpt else []
    for start, end in runs:
        if start < cut * _BLOCKS <= end and start not in starts:
            raise IsoError(
                f"{source.name}: a partition from block {start} to {end} reaches over the end of the ISO tree at block "
                f"{cut * _BLOCKS}, and is not the tree's; {describe_boot(layout)}"
            )
    return cut


def _check_trees(source: Source, layout: IsoLayout, cut: int) -> None:
    """Raise IsoError when a tree reaches behind the cut: what lies there moves, and its records would not know."""
    for tree in layout.trees:
        for extent, _ in tree.runs():
            if extent.size and extent.sector + round_up(extent.size, SECTOR) // SECTOR > cut:
                raise IsoError(
                    f"{source.name}: the {tree.label} has a file at sector {extent.sector}, behind the end of the tree "
                    f"at {cut}; {describe_boot(layout)}"
                )


# files of the trees


def _put_files(layout: IsoLayout, edit: IsoEdit, patches: SectorPatches, tail: Tail, date: bytes) -> list[WrittenFile]:
    """Give every file of the edit its sectors, and graft it onto every tree."""
    graftings = tuple(TreeGraft(tree, date, tail, patches) for tree in layout.trees)
    placer = _Placer(layout, graftings, patches, tail)
    grafts = [placer.place(artifact) for artifact in edit.tree] + [placer.place_file(added) for added in edit.files]
    doubled = [path for path, count in Counter("/".join(graft.parts) for graft in grafts).items() if count > 1]
    if doubled:
        raise IsoError(f"the same path is to be put on the ISO twice: {', '.join(doubled)}")
    for grafting in graftings:
        for graft in grafts:
            grafting.put(graft)
        grafting.finish()
    return [
        WrittenFile(MenuHome.TREE, "/".join(g.parts), g.extents[0].sector, sum(e.size for e in g.extents))
        for g in grafts
    ]


class _Placer:
    """Decides where a file's data go: over the old ones where nobody else uses them, else into the tail."""

    def __init__(self, layout: IsoLayout, graftings: tuple[TreeGraft, ...], patches: SectorPatches, tail: Tail) -> None:
        self._graftings = graftings
        self._patches = patches
        self._tail = tail
        self._boot = {entry.sector for entry in layout.catalog.entries} if layout.catalog else set()
        self._uses = Counter(extent.sector for extent, _ in layout.trees[0].runs())

    def _look_up(self, parts: tuple[str, ...]) -> tuple[tuple[Extent, ...], bool]:
        """Return where a file's data lie, and whether all trees say so and nobody else uses them.

        Raises IsoError for a boot image.
        """
        found = [grafting.look_up(parts) for grafting in self._graftings]
        if any(extent.sector in self._boot and extent.size for extents in found for extent in extents):
            raise IsoError(
                f"{'/'.join(parts)} is a boot image, which firmware finds by its place", hint="it cannot be replaced"
            )
        first = found[0]
        alone = len(first) == 1 and len(set(found)) == 1 and self._uses[first[0].sector] == 1
        return first, alone

    def place(self, artifact: Artifact) -> Graft:
        """Return where a file will lie, having put its data there."""
        parts = check_path(artifact.path)
        old, alone = self._look_up(parts)
        size = len(artifact.data)
        room = round_up(old[0].size, SECTOR) if alone else 0
        if 0 < size <= room:
            sector = old[0].sector
            self._patches.write(sector * SECTOR, artifact.data.ljust(room, b"\0"))
        else:
            sector = self._tail.add_bytes(artifact.data)
        return Graft(parts, (Extent(sector, size),), artifact.mode, old)

    def place_file(self, added: AddedFile) -> Graft:
        """Return the sections of a file that is streamed from disk."""
        parts = check_path(added.path_in_tree)
        old, _ = self._look_up(parts)
        try:
            size = added.source.stat().st_size
        except OSError as error:
            raise IsoError(f"{added.source}: {error.strerror}") from error
        sector = self._tail.add_file(added.source, size)
        starts = range(0, max(size, 1), MAX_SECTION)
        extents = tuple(Extent(sector + at // SECTOR, min(MAX_SECTION, size - at)) for at in starts)
        return Graft(parts, extents, _FILE_MODE, old)


def _put_esp(
    source: Source, esp: Esp, edit: IsoEdit, patches: SectorPatches, stamp: tuple[int, int]
) -> list[WrittenFile]:
    """Edit the file system of the EFI boot image at unchanged size."""
    if not edit.esp:
        return []
    volume = open_esp(source, esp)
    for artifact in edit.esp:
        check_path(artifact.path)
        volume.write_file(artifact.path, artifact.data, stamp)
    for offset, data in volume.patches():
        patches.write(esp.offset + offset, data)
    return [WrittenFile(MenuHome.ESP, artifact.path, None, len(artifact.data)) for artifact in edit.esp]


# what points at sectors


def _patch_descriptors(layout: IsoLayout, edit: IsoEdit, patches: SectorPatches, growth: int) -> None:
    """Set the size and the name of the volume in every descriptor, and blank the field of the media check."""
    for descriptor in (d for descriptor_set in layout.sets for d in descriptor_set.trees):
        at = descriptor.sector * SECTOR
        patches.write(at + VOLUME_SIZE.start, both32(descriptor.volume_size + growth))
        if edit.volume_id is not None:
            raw = edit.volume_id.encode("utf-16-be")[:32] if descriptor.joliet else edit.volume_id.encode()
            blank = b"\0 " * 16 if descriptor.joliet else b" " * 32
            patches.write(at + VOLUME_ID.start, raw + blank[len(raw) :])
    primary = layout.sets[0].trees[0].sector * SECTOR
    patches.write(primary + APPLICATION_USE.start, b" " * (APPLICATION_USE.stop - APPLICATION_USE.start))


def _patch_boot(source: Source, layout: IsoLayout, patches: SectorPatches, cut: int, growth: int) -> None:
    """Make El Torito, MBR and both GPTs name the places that blocks behind the cut move to."""

    def move(block: int) -> int:
        return block + growth * _BLOCKS if block >= cut * _BLOCKS else block

    for entry in layout.catalog.entries if layout.catalog else ():
        if entry.sector >= cut:
            patches.write(entry.offset + 8, (entry.sector + growth).to_bytes(4, "little"))
    for index, partition in enumerate(layout.partitions.mbr):
        if partition.count:
            start, end = move(partition.start), move(partition.start + partition.count)
            patches.write(446 + 16 * index, partition.resized(start, end - start).raw)
    for table in (layout.partitions.gpt, layout.partitions.backup):
        if table is None:
            continue
        if not (table.header_crc_ok and table.array_crc_ok):
            raise IsoError(f"{source.name}: the GPT at block {table.my_lba} is damaged: its checksum is wrong")
        moved = table.shifted(move)
        patches.write(table.my_lba * BLOCK, moved.header)
        patches.write(table.entries_lba * BLOCK, moved.array)


def _assemble(  # noqa: PLR0913, PLR0917 - everything that was decided comes together here
    stock: Path, source: Source, layout: IsoLayout, tail: Tail, patches: SectorPatches, growth: int
) -> Overlay:
    """Return the overlay: the stock up to the cut, the tail, the rest of the stock, and all patches."""
    cut, shift = tail.start * SECTOR, growth * SECTOR
    segments = [Segment(0, cut, stock, 0)]
    at = cut
    for added in sorted(tail.files, key=lambda file: file.sector):
        start = added.sector * SECTOR
        segments += [Segment(at, start - at, None, 0), Segment(start, added.size, added.source, 0)]
        at = start + added.size
    segments.append(Segment(at, cut + shift - at, None, 0))
    segments.append(Segment(cut + shift, source.size - cut, stock, cut))
    made = [Patch(offset + (shift if offset >= cut else 0), data) for offset, data in patches]
    made += [Patch(sector * SECTOR, data) for sector, data in tail.blobs.items()]
    return Overlay(
        size=source.size + shift,
        volume_size=layout.volume_size + growth,
        segments=tuple(segment for segment in segments if segment.length),
        patches=tuple(sorted(made, key=lambda patch: patch.offset)),
    )
