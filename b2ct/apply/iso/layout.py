"""The whole layout of an image at a glance: descriptor sets, trees, boot catalog, partitions, EFI system partition."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.descriptors import read_descriptor_sets, require_descriptors
from b2ct.apply.iso.eltorito import BootCatalog, Platform, read_boot_catalog
from b2ct.apply.iso.partitions import Partitions, read_partitions
from b2ct.apply.iso.source import BLOCK, SECTOR
from b2ct.apply.iso.tree import make_trees
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import EspHome

if TYPE_CHECKING:
    from b2ct.apply.iso.descriptors import DescriptorSet
    from b2ct.apply.iso.source import Source
    from b2ct.apply.iso.tree import Tree

_BLOCKS = SECTOR // BLOCK


@dataclass(frozen=True, slots=True)
class Esp:
    """Where the EFI system partition lies, in bytes of the image."""

    home: EspHome
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class IsoLayout:
    """Everything that the image says about itself, unjudged."""

    sets: tuple[DescriptorSet, ...]
    trees: tuple[Tree, ...]
    catalog: BootCatalog | None
    """None without a boot record, and when the catalog that it names is none."""
    partitions: Partitions
    esp: Esp | None

    @property
    def volume_id(self) -> str:
        """Identifier of the primary volume."""
        return self.sets[0].trees[0].volume_id

    @property
    def volume_size(self) -> int:
        """Size of the primary volume in sectors."""
        return self.sets[0].trees[0].volume_size


def read_layout(source: Source) -> IsoLayout:
    """Return the layout of an image; raises IsoError when it is no ISO 9660 image or shorter than its volume."""
    require_descriptors(source)
    partitions = read_partitions(source)
    sets = read_descriptor_sets(source, partitions.bases())
    volume = sets[0].trees[0].volume_size * SECTOR
    if volume > source.size:
        raise IsoError(
            f"{source.name} is truncated: its volume has {volume} bytes, the file {source.size}",
            hint="fetch it again and compare its checksum",
        )
    trees = make_trees(source, sets)
    catalog = None
    for record in sets[0].boots:
        with suppress(IsoError):
            catalog = read_boot_catalog(source, record)
    return IsoLayout(sets, trees, catalog, partitions, _find_esp(trees[0], catalog, partitions))


def _find_esp(tree: Tree, catalog: BootCatalog | None, partitions: Partitions) -> Esp | None:
    """Return the EFI system partition that the boot catalog names: a file of the tree, or a partition of the GPT."""
    sectors = [entry.sector for entry in catalog.entries if entry.platform is Platform.EFI] if catalog else []
    if not sectors:
        return None
    sector = sectors[0]
    for extent, is_directory in tree.runs():
        if not is_directory and extent.sector == sector and extent.size:
            return Esp(EspHome.EMBEDDED, sector * SECTOR, extent.size)
    for partition in partitions.gpt.partitions if partitions.gpt else ():
        if partition.first == sector * _BLOCKS:
            return Esp(EspHome.APPENDED, sector * SECTOR, (partition.last - partition.first + 1) * BLOCK)
    return None
