"""Inspection of stock ISOs, of other tools' output, and of images with one thing broken."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.inspect import MediaCheckState, inspect_iso
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.source import FileSource
from b2ct.plan.iso_facts import EspHome, MenuHome
from tests.rigs.process import run_tool
from tests.rigs.stock import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.iso.inspect import Inspection
    from b2ct.apply.iso.layout import IsoLayout
    from tests.integration.iso.conftest import Built

SECTOR = 2048


def failed(inspection: Inspection) -> set[str]:
    return {check.name for check in inspection.checks if not check.ok}


def absent(inspection: Inspection) -> set[str]:
    return {check.name for check in inspection.checks if check.detail == "absent"}


EXPECTED = {
    StockKind.EL6_BOOT: ("CentOS", "6.7"),
    StockKind.EL7_BOOT: ("CentOS", "7"),
    StockKind.EL7_DVD: ("CentOS", "7"),
    StockKind.EL8_BOOT: ("Rocky Linux", "8.10"),
    StockKind.EL8_DVD: ("Rocky Linux", "8.10"),
    StockKind.EL9_BOOT: ("AlmaLinux", "9.6"),
    StockKind.EL9_DVD: ("AlmaLinux", "9.6"),
    StockKind.EL10_BOOT: ("Rocky Linux", "10.1"),
    StockKind.EL10_DVD: ("Rocky Linux", "10.1"),
}


@pytest.mark.parametrize("kind", list(StockKind))
def test_stocks_are_identified_and_pass(kind: StockKind, get_stock: Callable[[StockKind], Path]) -> None:
    facts = probe_iso(get_stock(kind))
    assert (facts.product, facts.version) == EXPECTED[kind]
    assert (facts.arch, facts.generation, facts.is_dvd) == ("x86_64", kind.generation, kind.is_dvd)
    assert facts.esp_home is (EspHome.APPENDED if kind.generation == 10 else EspHome.EMBEDDED)
    assert facts.has_media_check
    homes = [(menu.home, menu.path) for menu in facts.menus]
    menu = "EFI/BOOT/BOOTX64.conf" if kind.generation == 6 else "EFI/BOOT/grub.cfg"
    bios = "boot/grub2/grub.cfg" if kind.generation == 10 else "isolinux/isolinux.cfg"
    assert {(MenuHome.TREE, menu), (MenuHome.ESP, menu), (MenuHome.TREE, bios)} <= {*homes}

    inspection = inspect_iso(get_stock(kind))
    assert failed(inspection) == set()
    assert inspection.ok
    assert inspection.media_check is MediaCheckState.PASSED
    assert all(menu.entries and menu.timeout_s for menu in inspection.menus)
    assert (
        any("inst.stage2=hd:LABEL=" in e.arguments for m in inspection.menus for e in m.entries) or kind.generation == 6
    )
    json.dumps(asdict(inspection))


def test_output_of_xorriso(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    kickstart = tmp_path / "my.ks"
    kickstart.write_text("text\n")
    stock = get_stock(StockKind.EL9_BOOT)
    run_tool(["xorriso", "-indev", stock, "-outdev", out, "-boot_image", "any", "replay", "-map", kickstart, "/my.ks"])
    inspection = inspect_iso(out)
    # xorriso drops the Joliet tree and the media check unless told otherwise
    assert failed(inspection) == set()
    assert "trees agree" in absent(inspection)
    assert inspection.media_check is MediaCheckState.ABSENT
    assert [file.path for file in inspection.kickstarts] == ["my.ks"]


def test_plain_output_of_mkisofs(tmp_path: Path, get_stock: Callable[[StockKind], Path]) -> None:
    need_tool("genisoimage", "xorriso")
    tree = tmp_path / "tree"
    run_tool(["xorriso", "-osirrox", "on", "-indev", get_stock(StockKind.EL8_BOOT), "-extract", "/", tree])
    run_tool(["chmod", "-R", "u+w", tree])
    out = tmp_path / "out.iso"
    boot = ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-info-table"]
    run_tool(["genisoimage", "-quiet", "-R", "-V", "Rocky-8-10-x86_64-dvd", *boot, "-o", out, tree])
    inspection = inspect_iso(out)
    assert failed(inspection) == set()
    assert {"GPT", "MBR partitions", "hybrid MBR", "trees agree", "EFI boot image"} <= absent(inspection)
    assert (inspection.layout, inspection.media_check) == ("none", MediaCheckState.ABSENT)
    run_tool(["genisoimage", "-quiet", "-V", "PLAIN", "-o", out, tree / "EFI"])
    assert failed(inspect_iso(out)) == {"boot menus"}


def _patch(out: Path, offset: int, data: bytes) -> None:
    with out.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def _descriptor(out: Path, _: IsoLayout) -> None:
    _patch(out, 16 * SECTOR + 84, b"\xff")


def _dotdot(out: Path, layout: IsoLayout) -> None:
    directory = layout.trees[0].find("b2ct")
    assert directory is not None
    at = directory.extents[0].sector * SECTOR
    with out.open("rb") as stream:
        stream.seek(at)
        length = stream.read(1)[0]
    _patch(out, at + length + 2, struct.pack("<I", 99) + struct.pack(">I", 99))


def _record(out: Path, layout: IsoLayout, tree: int, extent: int) -> None:
    """Point the record of b2ct/cn01.ks elsewhere, in one tree."""
    directory = layout.trees[tree].find("b2ct")
    assert directory is not None
    at = directory.extents[0].sector * SECTOR
    entry = layout.trees[tree].find("b2ct/cn01.ks")
    assert entry is not None
    with out.open("rb") as stream:
        stream.seek(at)
        data = stream.read(directory.extents[0].size)
    _patch(out, at + data.index(entry.records[0].raw) + 2, struct.pack("<I", extent) + struct.pack(">I", extent))


def _outside(out: Path, layout: IsoLayout) -> None:
    _record(out, layout, 0, 50_000_000)


def _joliet(out: Path, layout: IsoLayout) -> None:
    _record(out, layout, 1, 100)


def _path_table(out: Path, layout: IsoLayout) -> None:
    extent, _ = layout.trees[0].descriptors[0].table_extents()[1]
    _patch(out, extent * SECTOR + 2 + 10, b"\0\0\0\7")


def _catalog(out: Path, layout: IsoLayout) -> None:
    assert layout.catalog
    _patch(out, layout.catalog.sector * SECTOR + 4, b"vandal")


def _boot_image(out: Path, layout: IsoLayout) -> None:
    assert layout.catalog
    _patch(out, layout.catalog.entries[0].sector * SECTOR + 1000, b"vandal")


def _hybrid(out: Path, _: IsoLayout) -> None:
    _patch(out, 432, b"\1\2\3")


def _mbr(out: Path, _: IsoLayout) -> None:
    _patch(out, 446 + 12, b"\xff\xff\xff\x7f")


def _gpt(out: Path, _: IsoLayout) -> None:
    _patch(out, 1024 + 40, b"\1\2")


def _backup_gpt(out: Path, layout: IsoLayout) -> None:
    assert layout.partitions.gpt
    _patch(out, layout.partitions.gpt.alternate * 512 + 40, b"\1\2")


def _fat(out: Path, layout: IsoLayout) -> None:
    assert layout.esp
    with out.open("rb") as stream:
        stream.seek(layout.esp.offset + 14)
        reserved = int.from_bytes(stream.read(2), "little")
    _patch(out, layout.esp.offset + reserved * 512 + 30, b"\1\2\3")


def _esp_menu(out: Path, layout: IsoLayout) -> None:
    assert layout.esp
    data = out.read_bytes()
    at = data.index(b"# entries of the site", layout.esp.offset, layout.esp.offset + layout.esp.size)
    _patch(out, at, b"# another")


def _label(out: Path, layout: IsoLayout) -> None:
    entry = layout.trees[0].find("isolinux/isolinux.cfg")
    assert entry
    at = out.read_bytes().index(b"hd:LABEL=", entry.extents[0].sector * SECTOR)
    _patch(out, at + 9, b"WRONG")


def _kernel(out: Path, layout: IsoLayout) -> None:
    entry = layout.trees[0].find("isolinux/isolinux.cfg")
    assert entry
    at = out.read_bytes().index(b"initrd=initrd.img", entry.extents[0].sector * SECTOR)
    _patch(out, at, b"initrd=xxitrd.img")


def _content(out: Path, layout: IsoLayout) -> None:
    entry = layout.trees[0].find("images/pxeboot/vmlinuz")
    assert entry
    _patch(out, entry.extents[0].sector * SECTOR + 5000, b"vandal")


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (_descriptor, "descriptors"),
        (_dotdot, "directories"),
        (_outside, "extents"),
        (_joliet, "trees agree"),
        (_path_table, "path tables"),
        (_catalog, "El Torito"),
        (_boot_image, "boot-info table"),
        (_hybrid, "hybrid MBR"),
        (_mbr, "MBR partitions"),
        (_gpt, "GPT"),
        (_backup_gpt, "GPT"),
        (_fat, "EFI boot image"),
        (_esp_menu, "menu copies"),
        (_label, "labels in menus"),
        (_kernel, "kernels in menus"),
        (_content, "media check"),
    ],
)
def test_one_broken_thing_is_found(
    damage: Callable[[Path, IsoLayout], None], name: str, build: Callable[[StockKind], Built], tmp_path: Path
) -> None:
    out = tmp_path / "out.iso"
    out.write_bytes(build(StockKind.EL9_BOOT).path.read_bytes())
    with FileSource(out) as source:
        damage(out, read_layout(source))
    inspection = inspect_iso(out)
    assert not inspection.ok
    assert name in failed(inspection)
    assert "media check" in failed(inspection) or damage is _backup_gpt


def test_a_broken_grub_pointer_is_found(build: Callable[[StockKind], Built], tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    out.write_bytes(build(StockKind.EL10_BOOT).path.read_bytes())
    with FileSource(out) as source:
        catalog = read_layout(source).catalog
    assert catalog
    _patch(out, catalog.entries[0].sector * SECTOR + 2548, b"\7\7")
    assert "GRUB 2 boot pointer" in failed(inspect_iso(out))


def test_a_missing_kickstart_is_found(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    data = get_stock(StockKind.EL9_BOOT).read_bytes()
    at = data.index(b" inst.stage2=hd:LABEL=AlmaLinux-9-6-x86_64-dvd")
    out.write_bytes(data[:at] + b"     inst.ks=hd:LABEL=AlmaLinux-9-6-x86_64-dvd" + data[at + 46 :])
    assert "kickstarts in menus" in failed(inspect_iso(out, media_check=False))


def test_the_media_check_is_optional(get_stock: Callable[[StockKind], Path]) -> None:
    calls: list[tuple[int, int]] = []
    stock = get_stock(StockKind.EL9_BOOT)
    inspection = inspect_iso(stock, media_check=False, progress=lambda *done: calls.append(done))
    assert (inspection.media_check, calls) == (MediaCheckState.NOT_READ, [])
    inspect_iso(stock, progress=lambda *done: calls.append(done))
    assert calls[-1] == (stock.stat().st_size, stock.stat().st_size)
