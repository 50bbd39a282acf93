from __future__ import annotations

import binascii
import struct

import pytest

from b2ct.apply.iso.partitions import MbrPartition, read_partitions
from b2ct.errors import IsoError


class Image:
    """An image in memory."""

    name = "image"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def gpt_image(blocks: int = 4096) -> bytearray:
    """An image with one partition, its primary GPT, and the backup in the last blocks."""
    image = bytearray(blocks * 512)
    array = bytearray(128 * 128)
    array[:56] = bytes(range(1, 33)) + struct.pack("<QQQ", 64, blocks - 65, 0)
    image[1024 : 1024 + len(array)] = array
    image[(blocks - 33) * 512 : (blocks - 1) * 512] = array
    for mine, other, entries in ((1, blocks - 1, 2), (blocks - 1, 1, blocks - 33)):
        fields = [b"EFI PART", 0x10000, 92, 0, 0, mine, other, 34, blocks - 34, bytes(16), entries, 128, 128]
        header = struct.pack("<8sIIIIQQQQ16sQIII", *fields, binascii.crc32(array))
        header = header[:16] + struct.pack("<I", binascii.crc32(header)) + header[20:]
        image[mine * 512 : mine * 512 + 92] = header
    return image


def test_both_tables_are_read_and_their_sums_verified() -> None:
    image = gpt_image()
    tables = read_partitions(Image(bytes(image)))
    assert tables.gpt
    assert tables.backup
    assert (tables.gpt.my_lba, tables.backup.my_lba, tables.gpt.last_usable) == (1, 4095, 4062)
    assert all(t.header_crc_ok and t.array_crc_ok for t in (tables.gpt, tables.backup))
    assert [(p.number, p.first, p.last) for p in tables.gpt.partitions] == [(1, 64, 4031)]
    assert tables.bases() == (16,)
    image[1024 + 33] ^= 1
    image[512 + 60] ^= 1
    damaged = read_partitions(Image(bytes(image))).gpt
    assert damaged
    assert (damaged.header_crc_ok, damaged.array_crc_ok) == (False, False)


def test_a_shifted_table_is_whole_and_names_the_new_places() -> None:
    image = gpt_image()
    tables = read_partitions(Image(bytes(image)))
    assert tables.gpt
    assert tables.backup

    def move(block: int) -> int:
        return block + 1000 if block >= 4032 else block

    shifted = [table.shifted(move) for table in (tables.gpt, tables.backup)]
    grown = bytearray(image[: 4032 * 512] + bytes(1000 * 512) + image[4032 * 512 :])
    for table in shifted:
        grown[table.my_lba * 512 : table.my_lba * 512 + 92] = table.header
        grown[table.entries_lba * 512 : table.entries_lba * 512 + len(table.array)] = table.array
    again = read_partitions(Image(bytes(grown)))
    assert again.gpt
    assert again.backup
    assert all(table.header_crc_ok and table.array_crc_ok for table in (again.gpt, again.backup))
    assert (again.gpt.alternate, again.backup.my_lba, again.gpt.last_usable) == (5095, 5095, 5062)
    assert [(p.first, p.last) for p in again.gpt.partitions] == [(64, 5031)]


def test_a_damaged_header_is_refused_and_a_far_array_is_not_read() -> None:
    image = gpt_image()
    struct.pack_into("<I", image, 512 + 84, 77)
    with pytest.raises(IsoError, match="damaged GPT header at block 1"):
        read_partitions(Image(bytes(image)))
    image = gpt_image()
    struct.pack_into("<Q", image, 512 + 72, 10**9)
    gpt = read_partitions(Image(bytes(image))).gpt
    assert gpt
    assert not gpt.array_crc_ok


def test_chs_addresses_follow_the_geometry_of_isohybrid() -> None:
    old = MbrPartition(bytes.fromhex("80000100003f2028") + struct.pack("<II", 0, 83968))
    grown = old.resized(0, 86016)
    assert (grown.start, grown.count, grown.raw[5:8].hex()) == (0, 86016, "3f2029")
    assert old.resized(0, 83968) == old
    assert old.resized(0, 4 * 2**20 * 2).raw[5:8].hex() == "feffff"


def test_an_image_without_tables() -> None:
    tables = read_partitions(Image(bytes(100_000)))
    assert (tables.mbr, tables.gpt, tables.backup, tables.apple_map) == ((), None, None, False)
