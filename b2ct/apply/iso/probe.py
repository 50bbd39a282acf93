"""Looking at a stock install ISO: which distribution it is, how it boots, which menus it has."""

from __future__ import annotations

import configparser
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.make import describe_boot, find_cut
from b2ct.apply.iso.mediacheck import read_media_record
from b2ct.apply.iso.menus import menu_syntax, read_esp_menus
from b2ct.apply.iso.source import FileSource
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import IsoFacts, MenuFile, MenuHome

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.iso.layout import IsoLayout

_REPOSITORIES = ("repodata/repomd.xml", "BaseOS/repodata/repomd.xml", "Server/repodata/repomd.xml")
_GENERATIONS = range(6, 11)
_DIRECTORIES = ("isolinux", "EFI/BOOT", "boot/grub2")
"""Where boot loaders of EL6 to EL10 read their menus."""

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
        files = _Files(path)
        try:
            menus = (*_tree_menus(files), *read_esp_menus(source, layout))
            release = read_release(files.read(".treeinfo"), files.read(".discinfo"), menus)
            generation = _generation(path, release, layout)
            is_dvd = any(files.read(name) is not None for name in _REPOSITORIES)
        finally:
            files.close()
        return IsoFacts(
            path=str(path),
            size=source.size,
            volume_id=layout.volume_id,
            product=release.product,
            version=release.version,
            arch=release.arch,
            generation=generation,
            esp_home=layout.esp.home,
            is_dvd=is_dvd,
            menus=menus,
            has_media_check=read_media_record(source) is not None,
        )


class _Files:
    """The files of an ISO, as pycdlib reads them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._iso = pycdlib.PyCdlib()
        try:
            self._iso.open(str(path))
        except PyCdlibException as error:
            raise IsoError(f"{path}: damaged: {error}", hint="fetch it again and compare its checksum") from error
        self._key = "rr_path" if self._iso.has_rock_ridge() else "joliet_path" if self._iso.has_joliet() else "iso_path"

    def close(self) -> None:
        self._iso.close()

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None when it is not there."""
        out = io.BytesIO()
        try:
            self._iso.get_file_from_iso_fp(out, **{self._key: f"/{name}"})
        except PyCdlibException:
            return None
        return out.getvalue()

    def names(self, directory: str) -> list[str]:
        """Return the names in a directory, none when it is not there."""
        try:
            children = list(self._iso.list_children(**{self._key: f"/{directory}"}))
        except PyCdlibException:
            return []
        paths = [self._iso.full_path_from_dirrecord(child, rockridge=self._key == "rr_path") for child in children[2:]]
        return [path.rpartition("/")[2] for path in paths]


def read_release(treeinfo: bytes | None, discinfo: bytes | None, menus: tuple[MenuFile, ...]) -> Release:
    """Return product, version and architecture: from .treeinfo, else .discinfo, else what the boot menus offer.

    Boot ISOs carry fewer of these files than DVDs do, and those of EL6 to EL8 may carry none.
    """
    sources = (_read_treeinfo(treeinfo or b""), _read_discinfo(discinfo or b""), _read_menus(menus))

    def first(field: str) -> str:
        return next((value for value in (getattr(source, field) for source in sources) if value), "")

    return Release(_plain_product(first("product")), first("version"), first("arch"))


def _read_discinfo(data: bytes) -> Release:
    """Parse .discinfo: a time stamp, ``product version`` or the version alone, the architecture, one a line."""
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
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


def _read_treeinfo(data: bytes) -> Release:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(data.decode("utf-8", "replace"))
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
    if not major.isdecimal() or int(major) not in _GENERATIONS:
        raise IsoError(f"{path}: {release.product} {release.version} is none of EL6 to EL10")
    return int(major)


def _tree_menus(files: _Files) -> list[MenuFile]:
    found = []
    for directory in _DIRECTORIES:
        for name in sorted(files.names(directory)):
            data = files.read(f"{directory}/{name}") if menu_syntax(f"{directory}/{name}", b"") else None
            syntax = menu_syntax(f"{directory}/{name}", data or b"")
            if data and syntax:
                found.append(MenuFile(MenuHome.TREE, f"{directory}/{name}", syntax, data))
    return found
