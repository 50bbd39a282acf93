"""GRUB's BIOS image is laid out as grub-bios-setup lays it out."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.disk import clamp_times, make_bios_loader
from b2ct.errors import OutputError
from tests.unit.plan.images import PLAN

if TYPE_CHECKING:
    from pathlib import Path

BOOT = bytes(range(256)) * 2


def test_the_boot_record_leads_to_the_partition_and_leaves_the_table_alone() -> None:
    first, _ = make_bios_loader(BOOT, b"x" * 1024, PLAN)
    assert len(first) == 440
    assert struct.unpack_from("<Q", first, 0x5C) == (2048,)
    assert first[0x64] == 0xFF
    assert first[0x66:0x68] == b"\x90\x90"


def test_the_first_sector_of_the_core_loads_the_others() -> None:
    _, rest = make_bios_loader(BOOT, b"x" * (512 * 7 + 1), PLAN)
    assert len(rest) == 512 * 8
    assert struct.unpack_from("<QHH", rest, 500) == (2049, 7, 0x820)


def test_a_core_that_does_not_fit_is_refused() -> None:
    small = replace(PLAN, bios=replace(PLAN.bios, size=1024))
    with pytest.raises(OutputError, match="does not fit its partition"):
        make_bios_loader(BOOT, b"x" * 1025, small)


def test_nothing_is_younger_than_the_epoch_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "new").write_text("")
    (root / "a" / "link").symlink_to(outside)
    (root / "a" / "folder").symlink_to(tmp_path)
    before = outside.stat().st_mtime
    clamp_times(root, 1000)
    assert {
        path.lstat().st_mtime for path in (root, root / "a", root / "a/new", root / "a/link", root / "a/folder")
    } == {1000}
    assert outside.stat().st_mtime == before
