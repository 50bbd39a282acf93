"""The look-alikes have the traps of the stock ISOs: they are worth testing against only as long as they do."""

from __future__ import annotations

import filecmp
from typing import TYPE_CHECKING

import pytest

from tests.rigs.process import run_tool
from tests.rigs.stock import StockKind, make_stock
from tests.rigs.stock_release import make_release
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DESCRIPTOR_SETS = {
    StockKind.EL6_BOOT: [16],
    StockKind.EL7_BOOT: [16],
    StockKind.EL7_DVD: [16],
    StockKind.EL8_BOOT: [16],
    StockKind.EL8_DVD: [16],
    StockKind.EL9_BOOT: [16],
    StockKind.EL9_DVD: [16, 48],
    StockKind.EL10_BOOT: [16, 32],
    StockKind.EL10_DVD: [16, 32, 64, 80],
}


def primary_descriptors(iso: Path) -> list[int]:
    """The sectors below 128 that hold a primary volume descriptor (ECMA-119 8.4)."""
    with iso.open("rb") as stream:
        head = stream.read(128 * 2048)
    return [sector for sector in range(16, 128) if head[sector * 2048 :].startswith(b"\x01CD001\x01")]


@pytest.mark.parametrize("kind", StockKind)
def test_descriptor_sets_lie_where_the_real_ones_have_them(
    kind: StockKind, get_stock: Callable[[StockKind], Path]
) -> None:
    assert primary_descriptors(get_stock(kind)) == DESCRIPTOR_SETS[kind]


@pytest.mark.parametrize("kind", StockKind)
def test_media_check_passes_and_the_volume_id_is_real(kind: StockKind, get_stock: Callable[[StockKind], Path]) -> None:
    need_tool("checkisomd5", "isoinfo")
    iso = get_stock(kind)
    run_tool(["checkisomd5", iso])
    assert f"Volume id: {make_release(kind).volume_id}\n" in run_tool(["isoinfo", "-d", "-i", iso])


def test_el10_has_a_gap_partition_behind_its_esp(get_stock: Callable[[StockKind], Path]) -> None:
    need_tool("sgdisk")
    table = run_tool(["sgdisk", "-p", get_stock(StockKind.EL10_BOOT)])
    assert [line.split()[-1] for line in table.splitlines() if line.split()[:1] in (["1"], ["2"], ["3"])] == [
        "ISO9660",
        "Appended2",
        "Gap1",
    ]


def test_el6_has_no_gpt(get_stock: Callable[[StockKind], Path]) -> None:
    head = get_stock(StockKind.EL6_BOOT).read_bytes()[:1024]
    assert head[450] == 0x17
    assert head[512:520] != b"EFI PART"


@pytest.mark.parametrize("kind", [StockKind.EL9_DVD, StockKind.EL10_BOOT])
def test_xorriso_masters_the_same_bytes_every_time(kind: StockKind, tmp_path: Path) -> None:
    need_tool("xorriso", "implantisomd5", "mcopy", "grub-mkimage", "apt-get")
    first, second = (make_stock(kind, tmp_path / name) for name in ("first.iso", "second.iso"))
    assert filecmp.cmp(first, second, shallow=False)


def test_padding_and_names_follow_the_arguments(tmp_path: Path) -> None:
    need_tool("xorriso", "isoinfo", "implantisomd5", "mcopy", "grub-mkimage", "apt-get")
    iso = make_stock(
        StockKind.EL9_DVD, tmp_path / "x.iso", padding_mib=70, product="Rocky Linux", version="9.5", files=10
    )
    assert iso.stat().st_size > 70 * 1024 * 1024
    assert "Volume id: Rocky-9-5-x86_64-dvd\n" in run_tool(["isoinfo", "-d", "-i", iso])
    names = run_tool(["isoinfo", "-f", "-R", "-i", iso]).splitlines()
    assert len([name for name in names if name.endswith(".rpm")]) == 10 + 2
