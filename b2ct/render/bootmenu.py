"""Turns a stock boot menu into ours: our entries first, the stock entries after them, a default that erases nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from b2ct.errors import IsoError
from b2ct.plan.artifact import Artifact
from b2ct.plan.iso_facts import MenuHome, MenuSyntax
from b2ct.plan.media import LOCAL_DISK_PROGRAM
from b2ct.plan.menu_entries import escape_label, load_boot_layout, make_menu_edit
from b2ct.render.environment import make_environment, template_errors

if TYPE_CHECKING:
    from b2ct.assets import Assets
    from b2ct.plan.iso_facts import MenuFile
    from b2ct.plan.media import MediaPlan
    from b2ct.plan.menu_entries import MenuEdit

BEGIN = "# b2ct: begin (these lines are made from the site file)"
END = "# b2ct: end"
_OURS = re.compile(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n", re.MULTILINE | re.DOTALL)

FIRST_ENTRY = {
    MenuSyntax.ISOLINUX: re.compile(r"^[ \t]*label[ \t]", re.MULTILINE | re.IGNORECASE),
    MenuSyntax.GRUB2: re.compile(r"^[ \t]*menuentry[ \t]", re.MULTILINE),
    MenuSyntax.GRUB_LEGACY: re.compile(r"^[ \t]*title[ \t]", re.MULTILINE),
}
"""Where the first entry of a menu begins."""

SETTINGS = {
    MenuSyntax.ISOLINUX: re.compile(
        r"^[ \t]*(timeout[ \t]+\d+|menu[ \t]+default|default[ \t]+(?!\S+\.c32)\S+|serial[ \t].*)[ \t]*\n",
        re.MULTILINE | re.IGNORECASE,
    ),
    MenuSyntax.GRUB2: re.compile(r"^[ \t]*set[ \t]+(default|timeout)=.*\n", re.MULTILINE),
    MenuSyntax.GRUB_LEGACY: re.compile(r"^[ \t]*(default|timeout|hiddenmenu)\b.*\n", re.MULTILINE),
}
"""Lines of the stock menu that choose its default entry and time-out; ours take their place."""

_HAS_MENU = re.compile(r"^[ \t]*(ui|default)[ \t]+\S+\.c32", re.MULTILINE | re.IGNORECASE)
"""An isolinux menu module; it starts the entry that says ``menu default``, a bare prompt does not."""


def render_bootmenus(
    menus: tuple[MenuFile, ...], plan: MediaPlan, assets: Assets
) -> tuple[tuple[Artifact, ...], tuple[Artifact, ...]]:
    """Return the new boot menus, and what they start: files of the ISO 9660 tree, and of the EFI system partition.

    Raises:
        IsoError: a menu has no entry that starts an installation, or no entry at all.
    """
    layout = load_boot_layout(assets, plan.generation)
    done = [(file, render_bootmenu(file, make_menu_edit(file, plan, layout), assets)) for file in menus]
    programs = []
    if any(file.syntax is MenuSyntax.ISOLINUX for file in menus):
        programs.append(Artifact(LOCAL_DISK_PROGRAM, assets.path("iso/local-disk.bin").read_bytes()))
    return (
        (*(Artifact(file.path, data) for file, data in done if file.home is MenuHome.TREE), *programs),
        tuple(Artifact(file.path, data) for file, data in done if file.home is MenuHome.ESP),
    )


def render_bootmenu(file: MenuFile, edit: MenuEdit, assets: Assets) -> bytes:
    """Return one copy of a boot menu with our entries in it; a menu that has them already gets them anew."""
    text = _OURS.sub("", file.data.decode("utf-8", "surrogateescape").replace("\r\n", "\n"))
    text = SETTINGS[file.syntax].sub("", text)
    text = _relabel(text, edit.old_label, edit.new_label)
    first = FIRST_ENTRY[file.syntax].search(text)
    if first is None:
        raise IsoError(f"{file.path} in the {file.home} has no entries")
    name = f"iso/menus/{file.syntax}.j2"
    with template_errors(name):
        template = make_environment(assets).get_template(name)
        entries = template.render(edit=edit, local_disk_program=LOCAL_DISK_PROGRAM)
    settings = _settings(file.syntax, edit)
    if file.syntax is MenuSyntax.ISOLINUX and not _HAS_MENU.search(text):
        settings.append(f"default {edit.default_id}")
    head = "".join(f"{line}\n" for line in settings)
    ours = f"{BEGIN}\n{entries}{END}\n"
    top = f"{BEGIN}\n{head}{END}\n" if head else ""
    return (top + text[: first.start()] + ours + text[first.start() :]).encode("utf-8", "surrogateescape")


def _settings(syntax: MenuSyntax, edit: MenuEdit) -> list[str]:
    """Return the lines that choose default entry, time-out and serial console."""
    match syntax:
        case MenuSyntax.ISOLINUX:
            serial = [f"serial {edit.serial[0]} {edit.serial[1]}"] if edit.serial else []
            return [*serial, f"timeout {(edit.timeout_s or 0) * 10}"]
        case MenuSyntax.GRUB2:
            timeout = -1 if edit.timeout_s is None else edit.timeout_s
            return [f'set default="{edit.default_index}"', f"set timeout={timeout}", *_grub2_serial(edit)]
        case MenuSyntax.GRUB_LEGACY:
            return [] if edit.timeout_s is None else [f"default={edit.default_index}", f"timeout={edit.timeout_s}"]


def _grub2_serial(edit: MenuEdit) -> list[str]:
    if edit.serial is None:
        return []
    unit, speed = edit.serial
    return [
        f"serial --unit={unit} --speed={speed}",
        "terminal_input --append serial",
        "terminal_output --append serial",
    ]


def _relabel(text: str, old: str, new: str) -> str:
    """Return a menu that names another volume id wherever it named the old one."""
    if old == new:
        return text
    text = re.sub(
        rf"LABEL={re.escape(escape_label(old))}(?=[:\s]|$)", lambda _: f"LABEL={new}", text, flags=re.MULTILINE
    )
    return re.sub(
        rf"((?:-l|--label)[ \t]+)(['\"]?){re.escape(old)}\2(?=\s|$)",
        lambda m: f"{m[1]}'{new}'",
        text,
        flags=re.MULTILINE,
    )
