"""What a consistency check of an install ISO looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.iso.layout import IsoLayout
    from b2ct.apply.iso.source import Source
    from b2ct.plan.iso_facts import MenuFile
    from b2ct.plan.menus import Menu


@dataclass(frozen=True, slots=True)
class Subject:
    """The image under inspection, read as far as it can be."""

    path: Path
    source: Source
    layout: IsoLayout
    menus: tuple[tuple[MenuFile, Menu], ...]
