"""An edit of every generation, boot ISO and DVD, as the real tools see it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from b2ct.apply.iso.inspect import MediaCheckState, inspect_iso
from b2ct.plan.iso_facts import MenuHome
from tests.rigs import iso_judges as judges
from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.iso.conftest import Built


def test_media_check_passes_and_agrees_with_isomd5sum(built: Built, tmp_path: Path) -> None:
    assert judges.media_check_passes(built.path)
    ours = judges.implanted_field(built.path)
    copy = tmp_path / "copy.iso"
    shutil.copy(built.path, copy)
    supported = ["--supported-iso"] if b"RHLISOSTATUS=1" in ours else []
    run_tool(["implantisomd5", "--force", *supported, copy])
    assert judges.implanted_field(copy) == ours
    assert f"ISO MD5SUM = {built.report.md5};".encode() in ours


def test_untouched_files_and_modes_are_the_same(built: Built, tmp_path: Path) -> None:
    before = judges.extract_with_xorriso(built.stock, tmp_path / "before")
    after = judges.extract_with_xorriso(built.path, tmp_path / "after")
    replaced = {path for path in built.changed if path in before}
    # the EFI boot image of EL6 to EL9 is a file of the tree, edited inside
    replaced |= {"images/efiboot.img"} & before.keys()
    assert {path: before[path] for path in before.keys() - replaced} == {
        path: after[path] for path in before.keys() - replaced
    }
    assert all(before[path].mode == after[path].mode for path in replaced)
    new_directories = {path for path in after.keys() - before.keys() if not after[path].sha256}
    assert after.keys() - before.keys() - new_directories == built.changed.keys() - before.keys()
    assert oct(after["B2CT"].mode) == oct(0o100600)


def test_label_and_identity_are_the_same(built: Built) -> None:
    assert judges.label_of(built.path) == judges.label_of(built.stock) == built.facts.volume_id


def test_real_tools_read_the_new_files(built: Built) -> None:
    for path, data in built.changed.items():
        assert judges.read_with_isoinfo(built.path, path, joliet=False) == data, path
        assert judges.read_with_pycdlib(built.path, path, joliet=False) == data, path
        if len(path) < 100 and path.isascii():
            assert judges.read_with_isoinfo(built.path, path, joliet=True) == data, path
            assert judges.read_with_pycdlib(built.path, path, joliet=True) == data, path


def test_both_trees_show_the_same_files_and_extents(built: Built) -> None:
    rock_ridge = judges.list_with_isoinfo(built.path, joliet=False)
    joliet = judges.list_with_isoinfo(built.path, joliet=True)
    same_name = {path for path in rock_ridge if path.isascii() and len(path.rpartition("/")[2]) <= 64}
    assert {path: rock_ridge[path] for path in same_name} == {path: joliet.get(path) for path in same_name}
    assert sorted(found.lba for found in joliet.values() if found.size) == sorted(
        found.lba for found in rock_ridge.values() if found.size
    )
    for written in built.report.files:
        if written.home is MenuHome.TREE and written.path.isascii() and written.size:
            assert rock_ridge[written.path] == judges.FoundFile(written.sector or 0, written.size)


def test_second_trees_show_the_same_files(built: Built, tmp_path: Path) -> None:
    """Partition 1 of EL10, and the last session of EL9 and EL10 DVDs, are ISO 9660 images of their own."""
    offset = {9: 32, 10: 16}.get(built.kind.generation, 0)
    if not offset or (built.kind.generation == 9 and not built.kind.is_dvd):
        return
    partition = judges.cut_partition(built.path, offset, tmp_path / "partition.iso")
    if built.kind.generation == 9:  # the session's addresses count from the start of the image
        assert "Volume id: AlmaLinux-9-6-x86_64-dvd" in run_tool(["isoinfo", "-d", "-i", partition])
        return
    for joliet in (False, True):
        whole = judges.list_with_isoinfo(built.path, joliet=joliet)
        part = judges.list_with_isoinfo(partition, joliet=joliet)
        assert part == {path: judges.FoundFile(found.lba - offset, found.size) for path, found in whole.items()}
        assert judges.read_with_isoinfo(partition, "b2ct/cn01.ks", joliet=joliet) == built.changed["b2ct/cn01.ks"]


def test_firmware_finds_the_same_boot_images(built: Built) -> None:
    before, after = judges.report_with_xorriso(built.stock), judges.report_with_xorriso(built.path)
    for key in ("El Torito img path", "El Torito img opts", "System area summary", "Partition offset", "GPT type GUID"):
        assert before.get(key) == after.get(key), key
    bios_before, efi_before = (line.split() for line in before["El Torito boot img"])
    bios_after, efi_after = (line.split() for line in after["El Torito boot img"])
    assert bios_before == bios_after
    assert efi_before[:-1] == efi_after[:-1]
    with built.stock.open("rb") as stock, built.path.open("rb") as out:
        assert stock.read(446) == out.read(446), "boot code and its pointer to the boot image"


def test_partition_tables_are_no_worse_than_the_stocks(built: Built) -> None:
    after = judges.report_with_xorriso(built.path)
    if built.kind.generation == 6:
        assert "GPT" not in after
    else:
        assert judges.count_gpt_problems(built.path) <= judges.count_gpt_problems(built.stock)
        backup = int(after["GPT lba range"][0].split()[2])
        with built.path.open("rb") as stream:
            stream.seek(backup * 512)
            assert stream.read(8) == b"EFI PART"
    image_blocks = int(after["ISO image size/512"][0])
    partitions = [[int(number, 0) for number in line.split()[1:]] for line in after["MBR partition"]]
    assert all((start + count) * 512 <= built.path.stat().st_size for _, _, start, count in partitions)
    assert max(start + count for _, _, start, count in partitions) >= image_blocks


def test_efi_boot_image_is_clean_and_its_menu_is_the_trees(built: Built, tmp_path: Path) -> None:
    esp = judges.extract_esp(built.path, tmp_path / "esp.img")
    assert judges.fat_is_clean(esp)
    assert esp.stat().st_size == judges.extract_esp(built.stock, tmp_path / "stock.img").stat().st_size
    for artifact in built.edit.esp:
        assert judges.read_from_fat(esp, artifact.path) == artifact.data
        if artifact.path in built.changed:
            assert built.changed[artifact.path] == artifact.data


def test_our_own_inspection_passes(built: Built) -> None:
    inspection = inspect_iso(built.path)
    assert [check for check in inspection.checks if not check.ok] == []
    assert inspection.ok
    assert inspection.media_check is MediaCheckState.PASSED
    assert {"b2ct/host one.ks", "b2ct/cn01.ks"} <= {kickstart.path for kickstart in inspection.kickstarts}
