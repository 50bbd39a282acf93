"""Edits that strain one thing each: crowded directories, huge files, labels, our own output as input, shared data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.inspect import inspect_iso
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.source import FileSource
from b2ct.apply.iso.write import AddedFile, IsoEdit, write_iso
from b2ct.errors import IsoError
from b2ct.plan.artifact import Artifact
from b2ct.plan.iso_facts import MenuHome
from tests.rigs import iso_judges as judges
from tests.rigs.process import run_tool
from tests.rigs.stock import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.iso.inspect import Inspection
    from tests.integration.iso.conftest import Built

CORNERS = [StockKind.EL6_BOOT, StockKind.EL7_DVD, StockKind.EL9_DVD, StockKind.EL10_DVD]
"""One of every way to master an ISO."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tool(*judges.TOOLS)


def failures(inspection: Inspection) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in inspection.checks if not check.ok]


@pytest.mark.parametrize("kind", CORNERS)
def test_directories_that_overflow_move_with_everything_that_names_them(
    kind: StockKind, get_stock: Callable[[StockKind], Path], tmp_path: Path
) -> None:
    names = [f"{folder}crowd-{number:03}.txt" for folder in ("", "EFI/BOOT/", "new/") for number in range(90)]
    edit = IsoEdit(tree=tuple(Artifact(name, name.encode()) for name in names))
    out = tmp_path / "out.iso"
    write_iso(get_stock(kind), out, edit)
    before = judges.list_with_isoinfo(get_stock(kind), joliet=False).keys()
    for joliet in (False, True):
        assert judges.list_with_isoinfo(out, joliet=joliet).keys() >= {*names}
        assert judges.read_with_isoinfo(out, "EFI/BOOT/crowd-042.txt", joliet=joliet) == b"EFI/BOOT/crowd-042.txt"
    assert judges.list_with_isoinfo(out, joliet=False).keys() == before | {*names}
    assert failures(inspect_iso(out)) == []
    assert judges.media_check_passes(out)


@pytest.mark.parametrize("kind", [StockKind.EL7_BOOT, StockKind.EL10_BOOT])
def test_more_directories_than_the_path_table_has_room_for(
    kind: StockKind, get_stock: Callable[[StockKind], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.iso"
    names = [f"tree/branch-number-{number:03}/leaf" for number in range(150)]
    write_iso(get_stock(kind), out, IsoEdit(tree=tuple(Artifact(name, b"leaf") for name in names)))
    assert judges.list_with_isoinfo(out, joliet=False).keys() >= {*names}
    assert failures(inspect_iso(out)) == []


def test_files_beyond_4_gib_have_several_sections(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    size = 2**32 + 12_345
    big = tmp_path / "big.img"
    with big.open("wb") as stream:
        stream.truncate(size)
        stream.seek(2**32 - 5)
        stream.write(b"across the border")
    out = tmp_path / "out.iso"
    write_iso(get_stock(StockKind.EL9_BOOT), out, IsoEdit(files=(AddedFile("images/big.img", big),)))
    sections = run_tool(["xorriso", "-indev", out, "-find", "/images/big.img", "-exec", "report_lba"]).splitlines()[1:]
    _, lba, _, whole = (int(word) for word in sections[0].split(":")[1].split("'")[0].split(",")[:4])
    assert (len(sections), whole) == (2, size)
    with out.open("rb") as stream:
        stream.seek(lba * judges.SECTOR + 2**32 - 5)
        assert stream.read(17) == b"across the border"
    for joliet in (False, True):
        assert judges.list_with_isoinfo(out, joliet=joliet)["images/big.img"] == judges.FoundFile(lba, size)
    assert failures(inspect_iso(out, media_check=False)) == []
    assert judges.media_check_passes(out)
    out.unlink()


@pytest.mark.parametrize("kind", list(StockKind))
def test_a_new_volume_id_stands_in_every_descriptor(
    kind: StockKind, get_stock: Callable[[StockKind], Path], tmp_path: Path
) -> None:
    stock = get_stock(kind)
    facts = probe_iso(stock)
    old = (facts.volume_id.encode(), facts.volume_id.replace(" ", r"\x20").encode())
    menus = [replace(m, data=m.data.replace(old[1], b"B2CT-site").replace(old[0], b"B2CT-site")) for m in facts.menus]
    if kind.generation == 6:  # its label is a word of its menus, and no entry names it
        menus = []
    edit = IsoEdit(
        tree=tuple(Artifact(menu.path, menu.data) for menu in menus if menu.home is MenuHome.TREE),
        esp=tuple(Artifact(menu.path, menu.data) for menu in menus if menu.home is MenuHome.ESP),
        volume_id="B2CT-site",
    )
    out = tmp_path / "out.iso"
    write_iso(stock, out, edit)
    assert judges.label_of(out) == "B2CT-site"
    assert probe_iso(out).volume_id == "B2CT-site"
    head = out.read_bytes()[: 200 * judges.SECTOR]
    if kind.generation > 6:
        assert old[0].ljust(32) not in head
    assert failures(inspect_iso(out)) == []


@pytest.mark.parametrize("kind", CORNERS)
def test_our_own_output_can_be_edited_again(
    kind: StockKind, build: Callable[[StockKind], Built], tmp_path: Path
) -> None:
    built = build(kind)
    edit = replace(built.edit, tree=(*built.edit.tree, Artifact("second.ks", b"second\n")))
    out = tmp_path / "out.iso"
    write_iso(built.path, out, edit)
    assert failures(inspect_iso(out)) == []
    assert judges.media_check_passes(out)
    assert judges.read_with_isoinfo(out, "second.ks", joliet=True) == b"second\n"
    assert judges.read_with_isoinfo(out, "b2ct/cn01.ks", joliet=False) == built.changed["b2ct/cn01.ks"]
    if kind.generation > 6:
        assert judges.count_gpt_problems(out) <= judges.count_gpt_problems(built.stock)


@pytest.mark.parametrize("kind", CORNERS)
def test_same_input_gives_the_same_bytes(kind: StockKind, build: Callable[[StockKind], Built], tmp_path: Path) -> None:
    built = build(kind)
    out = tmp_path / "again.iso"
    write_iso(built.stock, out, built.edit)
    assert out.read_bytes() == built.path.read_bytes()


@pytest.mark.parametrize("kind", [StockKind.EL7_BOOT, StockKind.EL9_BOOT, StockKind.EL10_BOOT])
def test_media_check_covers_a_file_that_just_fills_the_growth(
    kind: StockKind, get_stock: Callable[[StockKind], Path], tmp_path: Path
) -> None:
    """It leaves out the last 15 sectors, and readers that read ahead need some room behind the last file."""
    out = tmp_path / "out.iso"
    write_iso(get_stock(kind), out, IsoEdit(tree=(Artifact("images/exact.img", bytes(1024 * 1024)),)))
    found = judges.list_with_isoinfo(out, joliet=False)["images/exact.img"]
    with FileSource(out) as source:
        assert found.lba + 512 <= read_layout(source).volume_size - 15
    assert failures(inspect_iso(out)) == []


def test_time_stamps_can_be_given(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    write_iso(get_stock(StockKind.EL9_BOOT), out, IsoEdit(tree=(Artifact("new", b"x"),)), timestamp=1_000_000_000)
    extracted = tmp_path / "new"
    run_tool(["xorriso", "-osirrox", "on", "-indev", out, "-extract", "/new", extracted])
    assert extracted.stat().st_mtime == 1_000_000_000


def test_a_menu_that_fits_stays_where_it_was(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    stock = get_stock(StockKind.EL9_BOOT)
    menu = next(m for m in probe_iso(stock).menus if m.path == "isolinux/isolinux.cfg")
    out = tmp_path / "out.iso"
    write_iso(stock, out, IsoEdit(tree=(Artifact(menu.path, menu.data[:-1] + b"# a little longer\n"),)))
    assert out.stat().st_size == stock.stat().st_size
    before, after = (judges.list_with_isoinfo(iso, joliet=False)[menu.path] for iso in (stock, out))
    assert (before.lba, before.size) == (after.lba, after.size - 17)


def test_data_that_two_names_share_are_not_overwritten(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    """The kernel of isolinux and that of UEFI are one file with two names."""
    stock = get_stock(StockKind.EL9_BOOT)
    listed = judges.list_with_isoinfo(stock, joliet=False)
    assert listed["isolinux/vmlinuz"] == listed["images/pxeboot/vmlinuz"]
    out = tmp_path / "out.iso"
    write_iso(stock, out, IsoEdit(tree=(Artifact("isolinux/vmlinuz", b"another kernel"),)))
    assert judges.read_with_isoinfo(out, "isolinux/vmlinuz", joliet=False) == b"another kernel"
    kept = judges.read_with_isoinfo(out, "images/pxeboot/vmlinuz", joliet=False)
    assert kept == judges.read_with_isoinfo(stock, "images/pxeboot/vmlinuz", joliet=False)


@pytest.mark.parametrize("path", ["isolinux/isolinux.bin", "images/efiboot.img"])
def test_boot_images_are_not_replaced(path: str, get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    with pytest.raises(IsoError, match="is a boot image"):
        write_iso(get_stock(StockKind.EL9_BOOT), tmp_path / "out.iso", IsoEdit(tree=(Artifact(path, b"x"),)))
    assert list(tmp_path.iterdir()) == []


def test_no_media_check_leaves_none_behind(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    report = write_iso(get_stock(StockKind.EL9_BOOT), out, IsoEdit(implant_media_check=False))
    assert report.md5 is None
    assert judges.implanted_field(out) == b" " * 512
    assert not probe_iso(out).has_media_check
    assert inspect_iso(out).ok


def test_no_room_in_the_efi_boot_image(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    edit = IsoEdit(esp=(Artifact("EFI/BOOT/big.img", bytes(2_000_000)),))
    with pytest.raises(IsoError, match=r"no room in the EFI boot image: \d+ bytes short"):
        write_iso(get_stock(StockKind.EL9_BOOT), tmp_path / "out.iso", edit)
    assert list(tmp_path.iterdir()) == []
