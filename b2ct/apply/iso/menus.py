"""Finding boot menus: which files of the tree and of the EFI boot image a boot loader reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from b2ct.apply.iso.fat import FatVolume
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import MenuFile, MenuHome, MenuSyntax

if TYPE_CHECKING:
    from b2ct.apply.iso.layout import Esp
    from b2ct.apply.iso.source import Source
    from b2ct.apply.iso.tree import Tree

_EFI_CONF = re.compile(r"efi/boot/boot[a-z0-9]*\.conf", re.IGNORECASE)
_DIRECTORIES = ("isolinux", "EFI/BOOT", "boot/grub2")
"""Where boot loaders of EL6 to EL10 read their menus."""
_LONGEST_MENU = 4 * 1024**2
_GRUB2_NAMES = ("efi/boot/grub.cfg", "boot/grub2/grub.cfg", "efi/boot/grub2.cfg")


def menu_syntax(path: str, data: bytes) -> MenuSyntax | None:
    """Return which loader reads the file at ``path``, or None when it is no menu.

    EFI/BOOT/BOOT*.conf is GRUB legacy's on EL6 and GRUB 2's later; the content tells.
    """
    lower = path.casefold()
    if lower == "isolinux/isolinux.cfg":
        return MenuSyntax.ISOLINUX
    if lower in _GRUB2_NAMES:
        return MenuSyntax.GRUB2
    if _EFI_CONF.fullmatch(lower):
        return MenuSyntax.GRUB2 if b"menuentry" in data else MenuSyntax.GRUB_LEGACY
    return None


def open_esp(source: Source, esp: Esp) -> FatVolume:
    """Return the file system of the EFI boot image; raises IsoError when it is no FAT."""
    return FatVolume(lambda offset, length: source.read(esp.offset + offset, length), esp.size, source.name)


def read_tree_menus(tree: Tree) -> list[MenuFile]:
    """Return the boot menus in the ISO tree."""
    found = []
    for directory in _DIRECTORIES:
        home = tree.find(directory, ignore_case=True)
        entries = tree.entries_of(home) if home is not None and home.is_directory else ()
        for entry in sorted(entries, key=lambda entry: entry.path):
            if not entry.is_directory and menu_syntax(entry.path, b"") is not None:
                _require_small(entry.path, entry.size)
                found += _menu(MenuHome.TREE, entry.path, tree.read_file(entry))
    return found


def read_esp_menus(source: Source, esp: Esp) -> list[MenuFile]:
    """Return the boot menus in the EFI boot image."""
    volume = open_esp(source, esp)
    found = []
    for path, entry in sorted(volume.walk(), key=lambda pair: pair[0]):
        if not entry.is_directory and menu_syntax(path, b"") is not None:
            _require_small(path, entry.size)
            found += _menu(MenuHome.ESP, path, volume.read_file(entry))
    return found


def _require_small(path: str, size: int) -> None:
    if size > _LONGEST_MENU:
        raise IsoError(f"{path}: {size} bytes, too many for a boot menu")


def _menu(home: MenuHome, path: str, data: bytes) -> list[MenuFile]:
    syntax = menu_syntax(path, data)
    return [MenuFile(home, path, syntax, data)] if syntax is not None else []
