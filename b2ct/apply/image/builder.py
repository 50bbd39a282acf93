"""What every way to build an image takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.tool import Program
    from b2ct.assets import Assets
    from b2ct.plan.image import ImageDescription

BUILD_EPOCH = 1_718_000_000
"""Time stamp of everything inside an image unless SOURCE_DATE_EPOCH says otherwise: 2024-06-10, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What to build, and from what."""

    description: ImageDescription
    assets: Assets
    out: Path
    """The qcow2 file to write; its record goes beside it."""
    mirror: str | None = None
    """Takes the place of ``source.url`` while building; the guest keeps what its description says."""
    security_mirror: str | None = None
    """The same for ``source.security_url``."""
    with_repositories: bool = True
    """Install ``repository_packages``, and warm the CVMFS cache."""
    epoch: int = BUILD_EPOCH
    """Time stamp of everything that is written, seconds since 1970."""
    force: bool = False
    """Replace an image that is there already."""
    log: Callable[[str], None] = lambda _line: None
    """Told what is done, one line at a time."""


@dataclass(frozen=True, slots=True)
class MadeDisk:
    """A disk before it is compressed."""

    path: Path
    """Raw or qcow2, inside the workspace."""
    packages: tuple[tuple[str, str], ...]
    """Name and version of every package inside."""
    built_from: tuple[str, ...]
    """Mirrors and files that went into it; they go into the record."""


class Builder(Protocol):
    """One way to make a disk; ``b2ct/apply/image/build.py`` lists them."""

    def programs(self, description: ImageDescription) -> tuple[Program, ...]:
        """Return the programs that it needs; they are looked for before anything starts."""

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        """Make the disk inside the empty folder ``workspace``, which is removed afterwards."""
