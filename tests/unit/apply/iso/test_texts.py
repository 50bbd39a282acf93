"""Dates, volume ids, menu names, labels: small things that are read and written as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from b2ct.apply.checks import judge
from b2ct.apply.iso.check_menus import unescape
from b2ct.apply.iso.dates import fat_stamp, parse_volume_date, record_date
from b2ct.apply.iso.edit import check_volume_id
from b2ct.apply.iso.menus import menu_syntax
from b2ct.errors import IsoError
from b2ct.plan.iso_facts import MenuSyntax


def test_dates_of_descriptors() -> None:
    moment = parse_volume_date(b"2024061012304500\x08")
    assert moment == datetime(2024, 6, 10, 12, 30, 45, tzinfo=timezone(timedelta(hours=2)))
    assert record_date(moment) == bytes([124, 6, 10, 12, 30, 45, 8])
    assert record_date(parse_volume_date(b"2024061012304500\xf8"))[6] == 0xF8
    assert parse_volume_date(b"0000000000000000\x00") == datetime(1980, 1, 1, tzinfo=UTC)


def test_dates_of_fat() -> None:
    assert fat_stamp(datetime(2024, 6, 10, 12, 30, 45, tzinfo=UTC)) == (44 << 9 | 6 << 5 | 10, 12 << 11 | 30 << 5 | 22)
    assert fat_stamp(datetime(1970, 1, 1, tzinfo=UTC)) == (1 << 5 | 1, 0)


@pytest.mark.parametrize("volume_id", ["B2CT", "AlmaLinux-9-6-x86_64-dvd", "x" * 32, "a.b_c"])
def test_volume_ids_that_can_be(volume_id: str) -> None:
    check_volume_id(volume_id)


@pytest.mark.parametrize("volume_id", ["", "x" * 33, "two words", "a:b", "a/b", "é", "a'b", 'a"b', "a\\b", "a\nb"])
def test_volume_ids_that_cannot_be(volume_id: str) -> None:
    with pytest.raises(IsoError, match="cannot be a volume id"):
        check_volume_id(volume_id)


@pytest.mark.parametrize(
    ("path", "data", "syntax"),
    [
        ("isolinux/isolinux.cfg", b"", MenuSyntax.ISOLINUX),
        ("ISOLINUX/ISOLINUX.CFG", b"", MenuSyntax.ISOLINUX),
        ("EFI/BOOT/grub.cfg", b"", MenuSyntax.GRUB2),
        ("boot/grub2/grub.cfg", b"", MenuSyntax.GRUB2),
        ("EFI/BOOT/BOOTX64.conf", b"title CentOS\n", MenuSyntax.GRUB_LEGACY),
        ("EFI/BOOT/BOOT.conf", b"menuentry 'x' {}", MenuSyntax.GRUB2),
        ("isolinux/grub.conf", b"title", None),
        ("EFI/BOOT/fonts/unicode.pf2", b"", None),
    ],
)
def test_menus_are_known_by_their_path(path: str, data: bytes, syntax: MenuSyntax | None) -> None:
    assert menu_syntax(path, data) is syntax


def test_labels_are_unescaped() -> None:
    assert unescape(r"CentOS\x207\x20x86_64") == "CentOS 7 x86_64"
    assert unescape("plain") == "plain"


def test_only_the_first_problems_are_quoted() -> None:
    assert judge([], "fine").detail == "fine"
    assert judge(["a", "b", "c", "d", "e", "f"], "fine").detail == "a; b; c; d (and 2 more)"
