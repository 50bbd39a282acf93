"""Disks of a host and how they are laid out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ByteSize, Field

from b2ct.site.types import AbsolutePath, Name, SiteModel, Size, pattern

GIB = 1024**3

DiskId = Annotated[str, pattern(r"^[A-Za-z0-9_.:+-]+$", 128, "a WWN or serial number as lsblk shows it")]
"""WWN or serial number, as udev shows it."""


class Disk(SiteModel):
    """A rule that must fit exactly one disk. Removable and USB disks, and the install medium, never fit.

    The conditions that are given must all hold. ``{smallest: true}`` takes the smallest disk that holds the layout.
    """

    wwn: DiskId | None = None
    """World wide name, ``0x5000c500a1b2c3d4`` (``lsblk -o NAME,WWN``)."""
    serial: DiskId | None = None
    """Serial number (``lsblk -o NAME,SERIAL``)."""
    path: AbsolutePath | None = None
    """Device path, best one under ``/dev/disk/by-path/``."""
    size: Size | None = None
    """Size on the label, ``480GB``; a disk fits within 5 %."""
    smallest: bool = False
    """Of the disks that fit, take the smallest that holds the layout."""


class FileSystem(StrEnum):
    """File systems of a volume."""

    XFS = "xfs"
    EXT4 = "ext4"
    SWAP = "swap"


class Raid(StrEnum):
    """Software RAID over the host's disks."""

    NONE = "none"
    MIRROR = "1"


class Volume(SiteModel):
    """A logical volume."""

    name: Name
    """Name of the logical volume."""
    mount: AbsolutePath | None = None
    """Mount point; left out for swap."""
    size: Size
    """Size; with ``grow`` the least size."""
    grow: bool = False
    """Take what is left of the disk."""
    fs: FileSystem | None = None
    """File system; left out: swap without a mount point, else the distribution's default."""


def _default_volumes() -> tuple[Volume, ...]:
    return (
        Volume(name="root", mount="/", size=ByteSize(40 * GIB)),
        Volume(name="swap", size=ByteSize(4 * GIB)),
        Volume(name="one", mount="/var/lib/one", size=ByteSize(20 * GIB), grow=True),
    )


class Layout(SiteModel):
    """How the host's disk is divided: /boot (and what the firmware needs) beside one LVM volume group."""

    raid: Raid = Raid.NONE
    """``"1"`` mirrors two disks."""
    boot: Size = ByteSize(GIB)
    """Size of /boot."""
    volume_group: Name = "b2ct"
    """Name of the volume group."""
    volumes: tuple[Volume, ...] = Field(default_factory=_default_volumes)
    """Logical volumes; one of them is mounted on ``/``."""
