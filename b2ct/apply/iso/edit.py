"""What is to be changed on an image, and what was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import IsoError

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.plan.artifact import Artifact
    from b2ct.plan.iso_facts import MenuHome

_VOLUME_ID = re.compile(r"[A-Za-z0-9_.+=@#-]{1,32}")


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A big file that is streamed from disk into the ISO tree."""

    path_in_tree: str
    source: Path


@dataclass(frozen=True, slots=True)
class IsoEdit:
    """The change of an image."""

    tree: tuple[Artifact, ...] = ()
    """Files to add to, or replace in, the ISO tree; missing directories are made."""
    esp: tuple[Artifact, ...] = ()
    """Files to add to, or replace in, the EFI boot image."""
    volume_id: str | None = None
    """New volume identifier for every descriptor; None keeps the old one."""
    implant_media_check: bool = True
    """Whether the output carries an isomd5sum record; without it, an old record is blanked."""
    files: tuple[AddedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that the output has and the stock had not, or not like this."""

    home: MenuHome
    path: str
    sector: int | None
    """First sector of the output; None in the EFI boot image."""
    size: int


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What was written."""

    path: str
    size: int
    md5: str | None
    """The sum of the media check, None without one. It is not the checksum of the file."""
    files: tuple[WrittenFile, ...]


def check_volume_id(volume_id: str) -> None:
    """Raise IsoError when a text cannot be a volume id that boot loaders, udev and Anaconda all read alike."""
    if not _VOLUME_ID.fullmatch(volume_id):
        raise IsoError(
            f"{volume_id!r} cannot be a volume id: it has {len(volume_id)} characters",
            hint="use 1 to 32 letters, digits and characters of _ . + = @ # -",
        )
