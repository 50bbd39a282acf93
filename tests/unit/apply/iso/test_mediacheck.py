from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.apply.iso.mediacheck import MediaRecord, MediaSum, make_media_field, parse_media_record

IMAGE = bytes(range(256)) * 8 * 600
"""600 sectors."""

# The algorithm written as isomd5sum does it: chunk by chunk, looking at the fragment number after each.


def by_the_book(image: bytes, sectors: int) -> tuple[str, str]:
    total = (sectors - 15) * 2048
    size = total // 21
    md5 = hashlib.md5(usedforsecurity=False)
    sums = ""
    previous = 0
    for start in range(0, total, 32768):
        md5.update(image[start : min(start + 32768, total)])
        if start // size != previous and len(sums) < 60:
            previous = start // size
            sums += "".join(f"{byte:x}"[0] for byte in md5.digest()[:3])
    return md5.hexdigest(), sums


@settings(deadline=None)
@given(st.integers(40, 600), st.lists(st.integers(5_000, 200_000), min_size=1, max_size=20))
def test_the_sum_is_the_same_however_the_image_is_cut(sectors: int, cuts: list[int]) -> None:
    running = MediaSum(sectors)
    at = 0
    while at < len(IMAGE):
        for cut in cuts:
            running.update(memoryview(IMAGE)[at : at + cut])
            at += cut
    record = running.record(supported=False)
    assert (record.md5, record.fragments) == by_the_book(IMAGE, sectors)


@pytest.mark.parametrize("sectors", [0, 14, 15, 16, 20])
def test_tiny_images_have_a_sum_without_failing(sectors: int) -> None:
    running = MediaSum(sectors)
    running.update(IMAGE)
    expected = hashlib.md5(IMAGE[: max(0, sectors - 15) * 2048], usedforsecurity=False).hexdigest()
    assert running.record(supported=False).md5 == expected


def test_a_record_comes_back_from_its_field() -> None:
    record = MediaRecord("0123456789abcdef" * 2, 15, supported=True, fragments="a" * 60)
    field = make_media_field(record)
    assert len(field) == 512
    assert field.endswith(b"THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!" + b" " * (512 - len(field.rstrip())))
    assert parse_media_record(field) == record


@pytest.mark.parametrize("field", [b" " * 512, bytes(512), b"ISO MD5SUM = 0123;"])
def test_no_record(field: bytes) -> None:
    assert parse_media_record(field) is None
