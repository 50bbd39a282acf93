"""The disk of a golden image, judged by the tools that read disks; the same folder gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.disk import write_disk
from b2ct.apply.tool import ToolError
from b2ct.errors import OutputError
from b2ct.plan.image_disk import SECTOR
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool
from tests.unit.plan.images import EPOCH, PLAN

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "blank and 'quote' <2> \n"


def make_root(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "fstab").write_text("", encoding="utf-8")
    (root / "etc" / HOSTILE).write_text("x", encoding="utf-8")
    (root / "etc" / "link").symlink_to("fstab")
    (root / "big").write_bytes(b"\x5a" * 3_000_000)
    (root / "secret").write_text("s", encoding="utf-8")
    (root / "secret").chmod(0o600)
    return root


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("sfdisk", "mke2fs", "mkfs.fat", "mcopy", "grub-mkimage", "/usr/lib/grub/i386-pc/boot.img")
    folder = tmp_path_factory.mktemp("disk")
    write_disk(make_root(folder / "root"), PLAN, folder / "disk.raw", EPOCH)
    return folder / "disk.raw"


def cut(disk: Path, start: int, size: int) -> Path:
    """Copy a partition out of the disk."""
    out = disk.with_name(f"part-{start}")
    with disk.open("rb") as file:
        file.seek(start)
        out.write_bytes(file.read(size))
    return out


def test_the_partition_table_is_sound(disk: Path) -> None:
    need_tool("sgdisk")
    assert "No problems found" in run_tool(["sgdisk", "-v", disk])
    table = json.loads(run_tool(["sfdisk", "--json", disk]))["partitiontable"]
    assert table["id"].lower() == PLAN.uuid
    found = [(part["start"] * SECTOR, part["size"] * SECTOR, part["uuid"].lower()) for part in table["partitions"]]
    assert found == [(part.start, part.size, part.uuid) for part in (PLAN.bios, PLAN.esp, PLAN.root)]


def test_the_root_file_system_is_sound_and_holds_the_folder(disk: Path) -> None:
    need_tool("e2fsck", "debugfs", "blkid")
    root = cut(disk, PLAN.root.start, PLAN.root.size)
    run_tool(["e2fsck", "-fn", root])
    assert run_tool(["blkid", "-o", "value", "-s", "UUID", root]).strip() == PLAN.root.uuid
    assert "Mode:  0600" in run_tool(["debugfs", "-R", "stat /secret", root])
    assert "blank and 'quote' <2>" in run_tool(["debugfs", "-R", "ls -l /etc", root])
    assert 'dest: "fstab"' in run_tool(["debugfs", "-R", "stat /etc/link", root])


def test_the_efi_system_partition_is_sound_and_holds_grub(disk: Path) -> None:
    need_tool("fsck.fat", "mdir", "file")
    esp = cut(disk, PLAN.esp.start, PLAN.esp.size)
    run_tool(["fsck.fat", "-n", esp])
    run_tool(["mcopy", "-n", "-i", esp, "::/EFI/BOOT/BOOTX64.EFI", esp.with_name("loader")])
    assert esp.with_name("loader").read_bytes()[:2] == b"MZ"


def test_the_same_folder_gives_the_same_bytes(disk: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.raw"
    root = make_root(tmp_path / "root")
    time.sleep(1.1)  # another second than the first disk's
    write_disk(root, PLAN, again, EPOCH)
    with disk.open("rb") as first, again.open("rb") as second:
        assert hashlib.file_digest(first, "sha256").digest() == hashlib.file_digest(second, "sha256").digest()


def test_what_does_not_fit_is_told(disk: Path, tmp_path: Path) -> None:
    assert disk.exists()  # the tools are there
    root = make_root(tmp_path / "root")
    with (root / "noise").open("wb") as file:
        for number in range(70):
            file.write(bytes([number + 1]) * 1024**2)
    with pytest.raises(OutputError, match="do not fit its disk"):
        write_disk(root, PLAN, tmp_path / "disk.raw", EPOCH)


def test_a_full_build_host_is_not_taken_for_a_full_guest(disk: Path, tmp_path: Path) -> None:
    need_root()
    need_tool("mount", "umount")
    assert disk.exists()  # the tools are there
    small = tmp_path / "small"
    small.mkdir()
    run_tool(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small])
    try:
        with pytest.raises(ToolError) as caught:
            write_disk(make_root(tmp_path / "root"), PLAN, small / "disk.raw", EPOCH)
    finally:
        run_tool(["umount", small])
    assert caught.value.hint == "the disk is full: make room, or write elsewhere"
