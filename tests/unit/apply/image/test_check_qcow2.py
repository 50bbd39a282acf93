"""Headers of disk images: what is read, and that no bytes at all make more than an error of it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.apply.image.qcow2 import DiskFormat, Qcow2Error, detect_format, parse_qcow2


def header(**changes: int) -> bytes:
    values = {"version": 3, "backing_at": 0, "backing_length": 0, "cluster_bits": 16, "size": 1 << 30, "crypt": 0}
    values |= {"snapshots": 0, "incompatible": 0, **changes}
    first = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        *(values[name] for name in ("version", "backing_at", "backing_length", "cluster_bits", "size", "crypt")),
        *(16, 0x30000, 0x10000, 1, values["snapshots"], 0),
    )
    return first + struct.pack(">QQQII", values["incompatible"], 0, 0, 4, 104) + bytes(408)


def test_a_plain_header() -> None:
    found = parse_qcow2(header())
    assert (found.version, found.virtual_bytes, found.cluster_bytes) == (3, 1 << 30, 65536)
    assert (found.backing_file, found.external_data, found.encrypted, found.snapshots) == ("", False, False, 0)
    assert not found.marked_corrupt


def test_what_an_image_leans_on() -> None:
    assert parse_qcow2(header(crypt=2)).encrypted
    assert parse_qcow2(header(snapshots=3)).snapshots == 3
    assert parse_qcow2(header(incompatible=4)).external_data
    assert parse_qcow2(header(incompatible=2)).marked_corrupt
    # the bits of version 3 mean nothing in version 2
    assert not parse_qcow2(header(version=2, incompatible=6)).external_data


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"/base.qcow2", "/base.qcow2"),
        (b"a\nb\x1b[2J", r"a\nb\x1b[2J"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("b\u00e4\u202ese".encode(), "b\u00e4\\u202ese"),
        (b"", "an empty name"),
    ],
)
def test_names_of_backing_files_are_shown_harmlessly(name: bytes, shown: str) -> None:
    assert parse_qcow2(header(backing_at=512, backing_length=len(name)) + name).backing_file == shown


def test_a_backing_file_whose_name_lies_elsewhere_is_one_too() -> None:
    assert parse_qcow2(header(backing_at=1 << 40, backing_length=4)).backing_file
    assert parse_qcow2(header(backing_at=512, backing_length=5000)).backing_file


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"version": 4}, {"cluster_bits": 8}, {"cluster_bits": 22}, {"cluster_bits": 2**31}]
)
def test_what_no_qemu_writes_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(Qcow2Error):
        parse_qcow2(header(**changes))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_an_error(data: bytes) -> None:
    for head in (data, b"QFI\xfb" + data, header()[:20] + data):
        detect_format(head)
        try:
            parse_qcow2(head)
        except Qcow2Error:
            continue


def test_formats_are_told_by_their_bytes() -> None:
    assert detect_format(header()) is DiskFormat.QCOW2
    assert detect_format(b"") is DiskFormat.RAW
    assert detect_format(b"\x1f\x8b\x08\0") is DiskFormat.GZIP
    assert detect_format(bytes(0x40) + b"\x7f\x10\xda\xbe") is DiskFormat.VDI
    assert detect_format(bytes(0x8001) + b"CD001") is DiskFormat.ISO
