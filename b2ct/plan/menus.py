"""Reads the boot menus of install media: isolinux, GRUB 2 and GRUB legacy."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from b2ct.plan.iso_facts import MenuSyntax

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.plan.iso_facts import MenuFile


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One entry of a boot menu."""

    title: str
    """What the screen shows, without the mark of the hot key."""
    line: int
    """Line on which the entry begins, counted from 1."""
    kernel_command: str = ""
    """``kernel``, ``linux`` or ``linuxefi``; empty for an entry that starts no kernel."""
    kernel: str = ""
    """Path of the kernel as the menu wrote it."""
    initrd_command: str = ""
    """``initrd`` or ``initrdefi``; empty where the kernel's arguments name it (isolinux)."""
    initrds: tuple[str, ...] = ()
    """Paths of the initial RAM disks."""
    arguments: tuple[str, ...] = ()
    """Kernel arguments, without ``initrd=``, escapes as the menu wrote them."""


@dataclass(frozen=True, slots=True)
class Menu:
    """A boot menu."""

    entries: tuple[MenuEntry, ...]
    timeout_s: float | None
    """Seconds until the default entry starts; None when it waits for ever."""
    default: MenuEntry | None
    """The entry that starts then."""
    labels: tuple[str, ...]
    """Volume labels that the menu searches for (GRUB's ``search``), besides those in kernel arguments."""


@dataclass(slots=True)
class _Entry:
    """An entry while it is read."""

    title: str
    line: int
    label: str = ""
    kernel_command: str = ""
    kernel: str = ""
    initrd_command: str = ""
    initrds: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    def done(self) -> MenuEntry:
        return MenuEntry(
            self.title,
            self.line,
            self.kernel_command,
            self.kernel,
            self.initrd_command,
            self.initrds,
            self.arguments,
        )


@dataclass(slots=True)
class _Reader:
    """What was read so far."""

    entries: list[_Entry] = field(default_factory=list)
    timeout_s: float | None = None
    default: str | int | None = None
    labels: list[str] = field(default_factory=list)

    def done(self) -> Menu:
        entries = tuple(entry.done() for entry in self.entries)
        chosen = None
        for entry, done in zip(self.entries, entries, strict=True):
            if self.default not in {None, ""} and self.default in {entry.label, entry.title}:
                chosen = done
        if isinstance(self.default, int) and self.default < len(entries):
            chosen = entries[self.default]
        return Menu(entries, self.timeout_s, chosen, tuple(self.labels))


def parse_menu(file: MenuFile) -> Menu:
    """Return what a boot menu offers; lines that mean nothing here are passed over."""
    reader = _Reader()
    read = READERS[file.syntax]
    for number, line in enumerate(file.data.decode("utf-8", "replace").splitlines(), 1):
        if words := line.strip():
            read(reader, words, number)
    return reader.done()


def _read_isolinux(reader: _Reader, line: str, number: int) -> None:
    """Read one line of syslinux.cfg syntax (doc/syslinux.txt and doc/menu.txt of SYSLINUX)."""
    command, rest, *_ = [*line.split(None, 1), ""]
    entry = reader.entries[-1] if reader.entries else _Entry("", 0)
    match command.lower(), rest.split(None, 1):
        case "label", [label]:
            reader.entries.append(_Entry(label, number, label=label))
        case "menu", [word, title] if word.lower() == "label":
            entry.title = title.replace("^", "")
        case "menu", [word] if word.lower() == "default":
            reader.default = entry.label
        case (("kernel" | "linux"), _):
            entry.kernel_command, entry.kernel = command.lower(), rest
        case "append", _:
            words = rest.split()
            initrds = [word.removeprefix("initrd=") for word in words if word.startswith("initrd=")]
            entry.initrds = tuple(initrds[-1].split(",")) if initrds else entry.initrds
            entry.arguments = tuple(word for word in words if not word.startswith("initrd="))
        case "initrd", _:
            entry.initrd_command, entry.initrds = "initrd", tuple(rest.split(","))
        case "timeout", [tenths] if _NUMBER.fullmatch(tenths):
            reader.timeout_s = int(tenths) / 10 or None
        case "default", [label, *_] if not label.endswith(".c32"):
            reader.default = label


_NUMBER = re.compile(r"[0-9]{1,6}")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|(\S+)""")


def _first_word(text: str) -> str:
    """Return the first word of a GRUB command line, quotes taken off."""
    found = _QUOTED.match(text)
    return next((group for group in found.groups() if group is not None), "") if found else ""


def _read_grub2(reader: _Reader, line: str, number: int) -> None:
    """Read one line of GRUB 2's shell-like language (GRUB manual, "Writing full configuration files directly")."""
    command, rest, *_ = [*line.split(None, 1), ""]
    entry = reader.entries[-1] if reader.entries else _Entry("", 0)
    match command:
        case "menuentry":
            label = re.search(r"--id[= ](\S+)", rest)
            reader.entries.append(_Entry(_first_word(rest), number, label=label.group(1) if label else ""))
        case "linux" | "linuxefi" | "linux16":
            path, *arguments = rest.split() or [""]
            entry.kernel_command, entry.kernel, entry.arguments = command, path, tuple(arguments)
        case "initrd" | "initrdefi" | "initrd16":
            entry.initrd_command, entry.initrds = command, tuple(rest.split())
        case "set":
            name, _, value = rest.partition("=")
            _set_grub2(reader, name, _first_word(value))
        case "search":
            words = _split(rest)
            if {"-l", "--label"} & set(words):
                reader.labels.append(words[-1])


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _set_grub2(reader: _Reader, name: str, value: str) -> None:
    if name == "timeout":
        reader.timeout_s = float(value) if _NUMBER.fullmatch(value) else None
    elif name == "default":
        reader.default = int(value) if _NUMBER.fullmatch(value) else value


def _read_grub_legacy(reader: _Reader, line: str, number: int) -> None:
    """Read one line of GRUB legacy's menu.lst syntax."""
    command, rest, *_ = [*re.split(r"[ \t=]+", line, maxsplit=1), ""]
    entry = reader.entries[-1] if reader.entries else _Entry("", 0)
    match command:
        case "title":
            reader.entries.append(_Entry(rest, number))
        case "kernel":
            path, *arguments = rest.split() or [""]
            entry.kernel_command, entry.kernel, entry.arguments = command, path, tuple(arguments)
        case "initrd":
            entry.initrd_command, entry.initrds = command, tuple(rest.split())
        case "timeout" if _NUMBER.fullmatch(rest):
            reader.timeout_s = float(rest)
        case "default" if _NUMBER.fullmatch(rest):
            reader.default = int(rest)


READERS: dict[MenuSyntax, Callable[[_Reader, str, int], None]] = {
    MenuSyntax.ISOLINUX: _read_isolinux,
    MenuSyntax.GRUB2: _read_grub2,
    MenuSyntax.GRUB_LEGACY: _read_grub_legacy,
}
