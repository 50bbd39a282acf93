from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.apply.iso.pathtable import PathEntry, insert_directories, make_path_table, parse_path_table
from b2ct.errors import IsoError

ROOT = PathEntry(b"\0", 20, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.integers(0, 2**32 - 1)), max_size=40), st.booleans())
def test_a_table_comes_back_in_either_byte_order(rows: list[tuple[bytes, int]], big_endian: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    entries = [ROOT, *(PathEntry(name, extent, number // 3 + 1) for number, (name, extent) in enumerate(rows))]
    assert parse_path_table(make_path_table(entries, big_endian=big_endian), big_endian=big_endian) == entries


def test_new_directories_stand_by_level_parent_and_name() -> None:
    old = [
        ROOT,
        PathEntry(b"EFI", 21, 1),
        PathEntry(b"IMAGES", 22, 1),
        PathEntry(b"BOOT", 23, 2),
        PathEntry(b"PXE", 24, 3),
    ]
    added = [PathEntry(b"B2CT", 90, 1), PathEntry(b"DEEP", 91, 6), PathEntry(b"ADDED", 92, 3)]
    made = insert_directories(old, added, joliet=False)
    assert [(entry.identifier, made[entry.parent - 1].identifier) for entry in made] == [
        (b"\0", b"\0"),
        (b"B2CT", b"\0"),
        (b"EFI", b"\0"),
        (b"IMAGES", b"\0"),
        (b"DEEP", b"B2CT"),
        (b"BOOT", b"EFI"),
        (b"ADDED", b"IMAGES"),
        (b"PXE", b"IMAGES"),
    ]
    assert {entry.identifier: entry.extent for entry in made}[b"DEEP"] == 91


@pytest.mark.parametrize(
    "data", [bytes(10), b"\x09\0" + bytes(6) + b"A", b"\1\0\0\0\0\0\7\0A\0", b"\1\0\0\0\0\0\0\0A\0"]
)
def test_a_damaged_table_is_refused(data: bytes) -> None:
    with pytest.raises(IsoError, match="damaged path table"):
        parse_path_table(data, big_endian=False)
