"""Inspecting an install ISO, whoever made it: what it offers, and whether everything in it fits together."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.apply.checks import Check, run_check
from b2ct.apply.iso import check_boot, check_menus, check_volume
from b2ct.apply.iso.check_menus import kickstart_paths
from b2ct.apply.iso.checks import Subject
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.mediacheck import read_media_record, sum_media
from b2ct.apply.iso.menus import read_esp_menus, read_tree_menus
from b2ct.apply.iso.probe import Release, read_release
from b2ct.apply.iso.source import FileSource
from b2ct.errors import IsoError
from b2ct.plan.menus import parse_menu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.iso.mediacheck import MediaRecord
    from b2ct.apply.iso.tree import Entry
    from b2ct.plan.iso_facts import MenuFile, MenuHome, MenuSyntax
    from b2ct.plan.menus import Menu

_CHECKS = (*check_volume.CHECKS, *check_boot.CHECKS, *check_menus.CHECKS)
_KICKSTART_NAME = re.compile(r"(?:.*\.ks|(?:.*[-_.])?(?:ks|kickstart)(?:[-_.].*)?\.cfg)", re.IGNORECASE)
_KICKSTART_LIMIT = 4 * 1024 * 1024


class MediaCheckState(StrEnum):
    """What the media check says."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_READ = "not read"
    """A record is implanted, but the image was not read to compare it."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class InspectedEntry:
    """One entry of a boot menu."""

    title: str
    kernel: str
    initrds: tuple[str, ...]
    arguments: str
    """Kernel arguments in the menu's own spelling."""
    is_default: bool


@dataclass(frozen=True, slots=True)
class InspectedMenu:
    """One copy of a boot menu."""

    home: MenuHome
    path: str
    syntax: MenuSyntax
    timeout_s: float | None
    """Seconds until the default starts; None when it waits for ever."""
    entries: tuple[InspectedEntry, ...]


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """A file of the tree."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that was found. Sizes are in bytes."""

    path: str
    size: int
    ok: bool
    """True when every check passed."""
    product: str
    """Empty when nothing on the image names it; the same for version and architecture."""
    version: str
    arch: str
    layout: str
    """``embedded`` or ``appended``, after the place of the EFI boot image; ``none`` without one."""
    volume_id: str
    file_count: int
    menus: tuple[InspectedMenu, ...]
    kickstarts: tuple[InspectedFile, ...]
    media_check: MediaCheckState
    media_md5: str | None
    """The implanted sum."""
    checks: tuple[Check, ...]


def inspect_iso(
    path: Path, *, media_check: bool = True, progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Return what an image holds and whether it is consistent.

    ``media_check`` reads all of it to compare the implanted sum; ``progress(done, total)`` is called with bytes then.
    Raises IsoError when it is no ISO 9660 image at all, or truncated.
    """
    with FileSource(path) as source:
        layout = read_layout(source)
        tree = layout.trees[0]
        files: list[MenuFile] = []
        entries: list[Entry] = []
        release = Release()
        # what cannot be read fails a check of its own
        with suppress(IsoError):
            entries = sorted((e for e in tree.walk() if not e.is_directory), key=lambda e: e.path)
        with suppress(IsoError):
            files += read_tree_menus(tree)
        with suppress(IsoError):
            files += read_esp_menus(source, layout.esp) if layout.esp else []
        with suppress(IsoError):
            release = read_release(tree, tuple(files))
        subject = Subject(path, source, layout, tuple((file, parse_menu(file)) for file in files))
        implanted = read_media_record(source)
        state = _media_check(subject, implanted, progress) if media_check else _unread(implanted)
        checks = [run_check(name, check, subject) for name, check in _CHECKS]
        checks.append(Check("media check", state is not MediaCheckState.FAILED, state.value))
        return Inspection(
            path=str(path),
            size=source.size,
            ok=all(check.ok for check in checks),
            product=release.product,
            version=release.version,
            arch=release.arch,
            layout=layout.esp.home.value if layout.esp else "none",
            volume_id=layout.volume_id,
            file_count=len(entries),
            menus=tuple(_inspect_menu(file, menu) for file, menu in subject.menus),
            kickstarts=_kickstarts(subject, entries),
            media_check=state,
            media_md5=implanted.md5 if implanted else None,
            checks=tuple(checks),
        )


def _unread(implanted: MediaRecord | None) -> MediaCheckState:
    return MediaCheckState.ABSENT if implanted is None else MediaCheckState.NOT_READ


def _media_check(
    subject: Subject, implanted: MediaRecord | None, progress: Callable[[int, int], None] | None
) -> MediaCheckState:
    if implanted is None:
        return MediaCheckState.ABSENT
    actual = sum_media(subject.source, subject.layout.volume_size, implanted.skip_sectors, progress)
    same = actual.md5 == implanted.md5 and implanted.fragments in ("", actual.fragments)
    return MediaCheckState.PASSED if same else MediaCheckState.FAILED


def _inspect_menu(file: MenuFile, menu: Menu) -> InspectedMenu:
    entries = tuple(
        InspectedEntry(e.title, e.kernel, e.initrds, " ".join(e.arguments), e is menu.default) for e in menu.entries
    )
    return InspectedMenu(file.home, file.path, file.syntax, menu.timeout_s, entries)


def _kickstarts(subject: Subject, entries: list[Entry]) -> tuple[InspectedFile, ...]:
    """Return the kickstarts among the files of the tree: those that have the name of one, or that a menu names."""
    named = kickstart_paths(subject)
    found = []
    for entry in entries:
        is_named = entry.path in named or _KICKSTART_NAME.fullmatch(entry.path.rpartition("/")[2])
        if is_named and entry.size <= _KICKSTART_LIMIT:
            with suppress(IsoError):
                digest = hashlib.sha256(subject.layout.trees[0].read_file(entry)).hexdigest()
                found.append(InspectedFile(entry.path, entry.size, digest))
    return tuple(found)
