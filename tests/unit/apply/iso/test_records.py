from __future__ import annotations

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.apply.iso.records import (
    FileFlag,
    RockRidge,
    join_records,
    make_record,
    record_room,
    rock_ridge_entries,
    split_records,
    susp_entries,
)
from b2ct.errors import IsoError

DATE = bytes([124, 6, 10, 12, 0, 0, 0])


def no_continuation(_sector: int, _offset: int, _length: int) -> bytes:
    raise AssertionError("no continuation was expected")


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=100), max_size=80))
def test_records_never_cross_a_sector_and_come_back_whole(identifiers: list[bytes]) -> None:
    records = [make_record(identifier, FileFlag(0), DATE) for identifier in identifiers]
    data = join_records(records)
    assert len(data) % 2048 == 0
    assert split_records(data, "test") == records


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_record_moves_without_changing_otherwise(identifier: bytes, extent: int, size: int) -> None:
    record = make_record(identifier, FileFlag.DIRECTORY, DATE)
    moved = record.moved(extent, size)
    assert (moved.extent, moved.size, moved.identifier, moved.is_directory) == (extent, size, identifier, True)
    assert moved.raw[18:] == record.raw[18:]
    assert len(moved.raw) % 2 == 0
    assert moved.raw[6:10] == extent.to_bytes(4, "big")


@pytest.mark.parametrize("length", range(1, 60))
def test_the_room_of_a_record_is_just_what_fits(length: int) -> None:
    identifier = b"A" * length
    room = record_room(identifier)
    assert len(make_record(identifier, FileFlag(0), DATE, bytes(room)).raw) <= 254
    with pytest.raises(ValueError, match="2"):
        make_record(identifier, FileFlag(0), DATE, bytes(room + 1))


def test_a_damaged_record_is_refused() -> None:
    with pytest.raises(IsoError, match="damaged directory record at byte 0"):
        split_records(bytes([20]) + bytes(2047), "here")
    with pytest.raises(IsoError, match="at byte 2016"):
        split_records(_overrun(), "here")


def _overrun() -> bytes:
    """A sector whose last record would run over its end."""
    record = make_record(b"X" * 9, FileFlag(0), DATE).raw
    count = 2048 // len(record)
    return record * count + bytes([100]) + bytes(4096 - count * len(record) - 1)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_a_name_comes_back_from_its_entries(name: str) -> None:
    inline, entries = rock_ridge_entries(RockRidge(with_rr=True, px_length=36), name, stat.S_IFREG | 0o640, 1, DATE)
    found = list(susp_entries(inline + entries, no_continuation))
    assert [signature for signature, _ in found[:3]] == [b"RR", b"PX", b"TF"]
    assert b"".join(payload[1:] for signature, payload in found if signature == b"NM").decode() == name
    flags = [payload[0] for signature, payload in found if signature == b"NM"]
    assert flags == [1] * (len(flags) - 1) + [0]
    assert dict(found)[b"PX"][:4] == (stat.S_IFREG | 0o640).to_bytes(4, "little")


def test_px_has_the_length_of_the_tree() -> None:
    for length in (36, 44):
        inline, _ = rock_ridge_entries(RockRidge(with_rr=False, px_length=length), None, stat.S_IFDIR, 2, DATE)
        assert (inline[:2], inline[2]) == (b"PX", length)
        assert dict(susp_entries(inline, no_continuation)).keys() == {b"PX", b"TF"}


def test_continuations_are_followed_and_circles_end() -> None:
    circle = b"CE\x1c\x01" + bytes(24)
    assert list(susp_entries(circle, lambda *_: circle)) == []
    areas = {7: b"NM\x06\x01\x00b"}
    area = b"NM\x06\x01\x01a" + b"CE\x1c\x01" + (7).to_bytes(4, "little") + bytes(20)
    assert [payload for _, payload in susp_entries(area, lambda sector, *_: areas[sector])] == [b"\1a", b"\0b"]


@pytest.mark.parametrize("length", [34, 40, 60])
def test_a_record_cut_off_by_the_end_of_the_data_is_refused(length: int) -> None:
    with pytest.raises(IsoError, match="damaged directory record at byte 0"):
        split_records(bytes([length]) + bytes(10), "here")
