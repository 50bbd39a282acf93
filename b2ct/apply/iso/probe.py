"""Looking at a stock install ISO: which distribution it is, how it boots, which menus it has."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.make import describe_boot, find_cut
from b2ct.apply.iso.mediacheck import read_media_record
from b2ct.apply.iso.menus import read_esp_menus, read_tree_menus
from b2ct.apply.iso.second_reader import verify_with_pycdlib
from b2ct.apply.iso.source import FileSource
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import IsoFacts

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.iso.layout import IsoLayout
    from b2ct.apply.iso.tree import Tree
    from b2ct.plan.iso_facts import MenuFile

_REPOSITORIES = ("repodata/repomd.xml", "BaseOS/repodata/repomd.xml", "Server/repodata/repomd.xml")
_GENERATIONS = range(6, 11)
_TEXT_LIMIT = 1024 * 1024
_DISCINFO_LIMIT = 1024

_IN_MENU = re.compile(
    r"\b(CentOS Stream|CentOS Linux|CentOS|AlmaLinux|Rocky Linux|Red Hat Enterprise Linux) (\d+(?:\.\d+)*)"
)


@dataclass(frozen=True, slots=True)
class Release:
    """What .treeinfo and .discinfo say; empty where they say nothing."""

    product: str = ""
    version: str = ""
    arch: str = ""


def probe_iso(path: Path) -> IsoFacts:
    """Return what is to be known of a stock ISO.

    Raises IsoError, naming what was found, when it is no ISO, truncated, of an unknown layout, or no install ISO of
    EL6 to EL10.
    """
    with FileSource(path) as source:
        layout = read_layout(source)
        if layout.esp is None:
            raise IsoError(f"{path}: no EFI boot image in a known place; {describe_boot(layout)}")
        find_cut(source, layout, layout.esp)
        verify_with_pycdlib(path, layout.trees)
        tree = layout.trees[0]
        menus = (*read_tree_menus(tree), *read_esp_menus(source, layout.esp))
        release = read_release(tree, menus)
        generation = _generation(path, release, layout)
        return IsoFacts(
            path=str(path),
            size=source.size,
            volume_id=layout.volume_id,
            product=release.product,
            version=release.version,
            arch=release.arch,
            generation=generation,
            esp_home=layout.esp.home,
            is_dvd=any(tree.find(name) is not None for name in _REPOSITORIES),
            menus=menus,
            has_media_check=read_media_record(source) is not None,
        )


def read_release(tree: Tree, menus: tuple[MenuFile, ...]) -> Release:
    """Return product, version and architecture: from .treeinfo, else .discinfo, else what the boot menus offer.

    Boot ISOs carry fewer of these files than DVDs do, and those of EL6 to EL8 may carry none.
    """
    treeinfo, discinfo = (_read_text(tree, name) for name in (".treeinfo", ".discinfo"))
    sources = (_read_treeinfo(treeinfo), _read_discinfo(discinfo), _read_menus(menus))

    def first(field: str) -> str:
        return next((value for value in (getattr(source, field) for source in sources) if value), "")

    return Release(_plain_product(first("product")), first("version"), first("arch"))


def _read_text(tree: Tree, name: str) -> str:
    entry = tree.find(name)
    if entry is None or entry.is_directory or entry.size > _TEXT_LIMIT:
        return ""
    return tree.read_file(entry).decode("utf-8", "replace")


def _read_discinfo(text: str) -> Release:
    """Parse .discinfo: a time stamp, ``product version`` or the version alone, the architecture, one a line."""
    lines = [line.strip() for line in text[:_DISCINFO_LIMIT].splitlines()]
    if len(lines) < 3:
        return Release()
    match = re.fullmatch(r"(?:(.*\D)\s+)?(\d+(?:\.\d+)*)", lines[1])
    return Release(match[1] or "", match[2], lines[2]) if match else Release(arch=lines[2])


def _read_menus(menus: tuple[MenuFile, ...]) -> Release:
    """Find ``CentOS Linux 7`` and the like in the menus; isolinux and the known UEFI menus are those of x86_64."""
    for menu in menus:
        match = _IN_MENU.search(menu.data.decode("utf-8", "replace"))
        if match:
            return Release(match[1], match[2], "x86_64")
    return Release()


def _read_treeinfo(text: str) -> Release:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return Release()
    general = {key: parser.get("general", key, fallback="") for key in ("family", "version", "arch")}
    return Release(
        product=parser.get("release", "name", fallback="") or general["family"],
        version=general["version"] or parser.get("release", "version", fallback=""),
        arch=general["arch"] or parser.get("tree", "arch", fallback=""),
    )


def _plain_product(name: str) -> str:
    """Return one name for each distribution, however its files write it."""
    lower = name.casefold()
    for words, plain in (
        (("centos", "stream"), "CentOS Stream"),
        (("centos",), "CentOS"),
        (("alma",), "AlmaLinux"),
        (("rocky",), "Rocky Linux"),
        (("red hat",), "Red Hat Enterprise Linux"),
    ):
        if all(word in lower for word in words):
            return plain
    return name


def _generation(path: Path, release: Release, layout: IsoLayout) -> int:
    major = release.version.partition(".")[0]
    if not major:
        raise IsoError(
            f"{path}: no install ISO: neither .treeinfo, .discinfo nor a boot menu names a version "
            f"(volume id {layout.volume_id!r})",
            hint="give a boot, netinstall, minimal or DVD ISO of EL6 to EL10",
        )
    if major not in {str(generation) for generation in _GENERATIONS}:
        raise IsoError(f"{path}: {release.product} {release.version} is none of EL6 to EL10")
    return int(major)
