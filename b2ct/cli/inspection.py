"""Prints what was found on an install ISO, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from b2ct.apply.checks import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2ct.apply.checks import Check
    from b2ct.apply.iso.inspect import InspectedMenu, Inspection

MIB = 1024**2


def print_inspection(inspection: Inspection) -> None:
    """Print an inspection to stdout: what the ISO is, its menus, its kickstarts, and every check."""
    console = Console(highlight=False, soft_wrap=True)
    product = " ".join(filter(None, (inspection.product, inspection.version, inspection.arch))) or "unknown"
    facts = {
        "file": f"{inspection.path} ({inspection.size / MIB:.0f} MiB, {inspection.file_count} files)",
        "distribution": product,
        "volume id": inspection.volume_id,
        "EFI boot image": inspection.layout,
        "media check": inspection.media_check.value,
    }
    for name, value in facts.items():
        console.print(Text(f"{name + ':':16}{value}"))
    _print_menus(console, inspection)
    if inspection.kickstarts:
        console.print("\nkickstarts:")
    for file in inspection.kickstarts:
        console.print(Text(f"  {file.path} ({file.size} bytes, sha256 {file.sha256})"))
    print_checks(console, inspection.checks)


def _print_menus(console: Console, inspection: Inspection) -> None:
    """Print each different menu once, with the places of its copies."""
    copies: dict[tuple[object, ...], list[InspectedMenu]] = {}
    for menu in inspection.menus:
        copies.setdefault((menu.syntax, menu.timeout_s, menu.entries), []).append(menu)
    for same in copies.values():
        menu, places = same[0], [f"{copy.path} ({copy.home})" for copy in same]
        wait = "waits for ever" if menu.timeout_s is None else f"starts after {menu.timeout_s:g} s"
        console.print(Text(f"\n{menu.syntax} menu in {', '.join(places)}; the default (*) {wait}"))
        for entry in menu.entries:
            console.print(Text(f"  {'*' if entry.is_default else ' '} {entry.title}"))
            if entry.kernel:
                console.print(Text(f"      {entry.kernel} {entry.arguments}".rstrip()), style="dim")


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print every check with its verdict, and how many failed."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        word = Text("ok", "green") if check.ok else Text("WRONG", "bold red")
        if check.ok and check.detail.startswith(ABSENT):
            word = Text("-")
        table.add_row(word, Text(check.name), Text(check.detail))
    console.print("\nchecks:")
    console.print(table)
    wrong = sum(not check.ok for check in checks)
    console.print(Text(f"\n{wrong} of {len(checks)} checks failed" if wrong else "\nall checks passed"))
