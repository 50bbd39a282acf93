"""The FAT editor on FAT12, FAT16 and FAT32, judged by fsck.fat and mtools."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.check_menus import fat_problems
from b2ct.apply.iso.fat import FatVolume
from b2ct.errors import IsoError
from tests.rigs import iso_judges as judges
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

STAMP = (44 << 9 | 6 << 5 | 10, 12 << 11)
SIZES = {12: 2048, 16: 20_000, 32: 80_000}
"""KiB of a file system of each kind."""


@pytest.fixture(params=[12, 16, 32])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    need_tool("mkfs.fat", "fsck.fat", "mtype", "mcopy", "mmd")
    path = tmp_path / "esp.img"
    bits = request.param
    sectors = ["-s", "1"] if bits == 32 else []
    run_tool(["mkfs.fat", "-C", "-n", "ANACONDA", "-F", str(bits), *sectors, path, str(SIZES[bits])])
    run_tool(["mmd", "-i", path, "::/EFI", "::/EFI/BOOT"])
    menu = tmp_path / "grub.cfg"
    menu.write_bytes(b"menu\n" * 300)
    for name in ("grub.cfg", "BOOT.conf", "a rather long name.txt"):
        run_tool(["mcopy", "-i", path, menu, f"::/EFI/BOOT/{name}"])
    return path


def open_bytes(data: bytes) -> FatVolume:
    return FatVolume(lambda offset, length: data[offset : offset + length], len(data), "test")


def open_volume(image: Path) -> FatVolume:
    return open_bytes(image.read_bytes())


def save(volume: FatVolume, image: Path) -> None:
    with image.open("r+b") as stream:
        for offset, data in volume.patches():
            stream.seek(offset)
            stream.write(data)


def test_files_are_read(image: Path) -> None:
    volume = open_volume(image)
    for name in ("EFI/BOOT/grub.cfg", "efi/boot/GRUB.CFG", "EFI/BOOT/a rather long name.txt", "EFI/BOOT/ARATHE~1.TXT"):
        entry = volume.find(name)
        assert entry is not None, name
        assert volume.read_file(entry) == b"menu\n" * 300
    assert volume.find("EFI/BOOT/none") is None
    assert volume.find("EFI/BOOT/grub.cfg/x") is None
    assert {path for path, entry in volume.walk() if not entry.is_directory} == {
        "EFI/BOOT/grub.cfg",
        "EFI/BOOT/BOOT.conf",
        "EFI/BOOT/a rather long name.txt",
    }
    assert fat_problems(volume) == []


@pytest.mark.parametrize("size", [0, 1, 1500, 5000, 100_000])
def test_a_file_is_replaced_by_one_of_any_size(image: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)  # noqa: S311 - filler
    volume = open_volume(image)
    volume.write_file("EFI/BOOT/grub.cfg", data, STAMP)
    save(volume, image)
    assert judges.read_from_fat(image, "EFI/BOOT/grub.cfg") == data
    assert judges.read_from_fat(image, "EFI/BOOT/BOOT.conf") == b"menu\n" * 300
    assert judges.fat_is_clean(image)
    assert fat_problems(open_volume(image)) == []


def test_many_random_edits_leave_it_clean(image: Path) -> None:
    choose = random.Random(image.stat().st_size)  # noqa: S311 - the same edits every time
    names = ["EFI/BOOT/grub.cfg", "EFI/b2ct/a long name of a file.ks", "NEW.TXT", "deep/er/and/deeper/x.conf", "x.y.z"]
    names += [f"EFI/BOOT/many files make the directory grow {number}.ks" for number in range(40)]
    expected: dict[str, bytes] = {}
    for _ in range(3):
        volume = open_volume(image)
        for name in choose.sample(names, 30):
            expected[name] = choose.randbytes(choose.choice([0, 10, 600, 3000, 20_000]))
            volume.write_file(name, expected[name], STAMP)
        save(volume, image)
        assert judges.fat_is_clean(image)
    for name, data in expected.items():
        assert judges.read_from_fat(image, name) == data
    assert fat_problems(open_volume(image)) == []


def test_a_full_volume_is_refused_and_unchanged(image: Path) -> None:
    volume = open_volume(image)
    free = volume.free_clusters() * volume.cluster_size
    with pytest.raises(IsoError, match="no room in the EFI boot image"):
        volume.write_file("big", bytes(free + 1), STAMP)
    volume = open_volume(image)
    volume.write_file("EFI/BOOT/grub.cfg", bytes(free), STAMP)
    save(volume, image)
    assert judges.fat_is_clean(image)


def test_a_directory_is_not_overwritten(image: Path) -> None:
    volume = open_volume(image)
    with pytest.raises(IsoError, match="is a directory"):
        volume.write_file("EFI/BOOT", b"x", STAMP)
    with pytest.raises(IsoError, match="names a file"):
        volume.write_file("EFI/BOOT/grub.cfg/x", b"x", STAMP)


@pytest.mark.parametrize("data", [bytes(4096), b"\xff" * 4096])
def test_what_is_no_fat(data: bytes) -> None:
    with pytest.raises(IsoError, match="no FAT file system"):
        open_bytes(data)


def test_the_labels_and_dates_that_linux_sees(image: Path) -> None:
    volume = open_volume(image)
    volume.write_file("EFI/BOOT/new.cfg", b"x", STAMP)
    save(volume, image)
    listing = run_tool(["mdir", "-i", image, "::/EFI/BOOT"])
    assert "is ANACONDA" in listing
    assert "2024-06-10 12:00 new.cfg" in " ".join(listing.split())
