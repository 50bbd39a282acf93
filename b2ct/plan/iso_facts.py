"""What is known of a stock install ISO before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MenuSyntax(StrEnum):
    """The boot loader that reads a menu."""

    ISOLINUX = "isolinux"
    GRUB2 = "grub2"
    GRUB_LEGACY = "grub-legacy"


class MenuHome(StrEnum):
    """Where a copy of a boot menu lives."""

    TREE = "tree"
    """The ISO 9660 tree."""
    ESP = "esp"
    """The FAT file system of the EFI boot image."""


class EspHome(StrEnum):
    """How the EFI system partition is stored: the two layouts that EL install ISOs use."""

    EMBEDDED = "embedded"
    """A file of the tree, ``images/efiboot.img`` (EL6 to EL9)."""
    APPENDED = "appended"
    """A partition behind the ISO 9660 volume's files (EL10)."""


@dataclass(frozen=True, slots=True)
class MenuFile:
    """One copy of a boot menu, as it is on the stock ISO."""

    home: MenuHome
    path: str
    """Path inside its home, ``EFI/BOOT/grub.cfg``, in the case that Rock Ridge or the FAT long name shows."""
    syntax: MenuSyntax
    data: bytes


@dataclass(frozen=True, slots=True)
class IsoFacts:
    """A stock ISO, read only. Sizes are in bytes."""

    path: str
    size: int
    volume_id: str
    """Volume identifier of the primary volume descriptor (ECMA-119 8.4.8), without padding."""
    product: str
    """Name from .discinfo/.treeinfo, such as ``AlmaLinux``."""
    version: str
    """Version from the same, such as ``9.6``."""
    arch: str
    generation: int
    """EL major version, 6 to 10."""
    esp_home: EspHome
    is_dvd: bool
    """True when the media carry a package repository of their own."""
    menus: tuple[MenuFile, ...]
    """Every copy of every boot menu."""
    has_media_check: bool
    """True when an isomd5sum record is implanted."""
