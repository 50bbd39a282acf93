"""What cannot be a disk that machines boot from is told from what can, in every layout that qemu-img writes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.boot_record import need_boot_record
from b2ct.apply.image.check_container import ImageError
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024**2
NO_RECORD = "neither partition table nor boot record"
LAYOUTS = {
    "plain": [],
    "compressed": ["-c"],
    "small clusters": ["-o", "cluster_size=512"],
    "small clusters, compressed": ["-c", "-o", "cluster_size=512"],
    "large clusters": ["-o", "cluster_size=2M"],
    "large clusters, compressed": ["-c", "-o", "cluster_size=2M"],
    "version 2": ["-o", "compat=0.10"],
    "zstd": ["-c", "-o", "compression_type=zstd"],
    "extended": ["-o", "extended_l2=on"],
}
UNKNOWN = {"zstd", "extended"}


def make_disk(path: Path, layout: str, *, end: bytes) -> Path:
    """Write a qcow2 disk of 16 MiB whose first block ends with ``end``, with data behind it."""
    need_tool("qemu-img")
    raw = path.with_suffix(".raw")
    raw.write_bytes((bytes(range(100)) * 4).ljust(510, b"\0") + end + b"data" * 100_000 + bytes(15 * MIB))
    run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *LAYOUTS[layout], raw, path])
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_disk_with_a_boot_record_is_taken(tmp_path: Path, layout: str) -> None:
    need_boot_record(make_disk(tmp_path / "disk.qcow2", layout, end=b"\x55\xaa"))
    need_boot_record(tmp_path / "disk.raw")


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - UNKNOWN))
def test_a_disk_without_is_refused(tmp_path: Path, layout: str) -> None:
    disk = make_disk(tmp_path / "disk.qcow2", layout, end=b"..")
    for path in (disk, disk.with_suffix(".raw")):
        with pytest.raises(ImageError, match=NO_RECORD) as caught:
            need_boot_record(path)
        assert caught.value.hint == f"`b2ct image check {path}` says more"


@pytest.mark.parametrize("option", ["preallocation=off", "preallocation=metadata", "cluster_size=512"])
def test_an_empty_disk_is_refused(tmp_path: Path, option: str) -> None:
    need_tool("qemu-img")
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-o", option, tmp_path / "disk.qcow2", "8M"])
    with pytest.raises(ImageError, match=NO_RECORD):
        need_boot_record(tmp_path / "disk.qcow2")


def test_a_damaged_disk_is_refused_without_a_traceback(tmp_path: Path) -> None:
    data = make_disk(tmp_path / "disk.qcow2", "compressed", end=b"\x55\xaa").read_bytes()
    for length in (1, 4, 30, 71, 73, 100, 4096, 66_000, 140_000, 200_000):
        (tmp_path / "part.qcow2").write_bytes(data[:length])
        with pytest.raises(ImageError, match="is no golden image"):
            need_boot_record(tmp_path / "part.qcow2")
    (tmp_path / "part.qcow2").write_bytes(data[:40] + b"\xff" * 8 + data[48:])  # a table where no file reaches
    with pytest.raises(ImageError):
        need_boot_record(tmp_path / "part.qcow2")


def test_what_is_no_whole_disk_is_refused(tmp_path: Path) -> None:
    base = make_disk(tmp_path / "disk.qcow2", "plain", end=b"\x55\xaa")
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", tmp_path / "part.qcow2"])
    with pytest.raises(ImageError, match="it is a difference to another file"):
        need_boot_record(tmp_path / "part.qcow2")
    (tmp_path / "packed.img").write_bytes(gzip.compress(base.read_bytes()))
    with pytest.raises(ImageError, match="gzip; only qcow2 and raw can be used"):
        need_boot_record(tmp_path / "packed.img")
    (tmp_path / "empty.img").write_bytes(b"")
    with pytest.raises(ImageError, match="is empty"):
        need_boot_record(tmp_path / "empty.img")
