"""Damaged and foreign images: what is wrong is an IsoError or a failed check, never another exception."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.descriptors import CREATED
from b2ct.apply.iso.edit import IsoEdit
from b2ct.apply.iso.inspect import inspect_iso
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.make import make_overlay
from b2ct.apply.iso.menus import open_esp
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.source import BLOCK, SECTOR, FileSource
from b2ct.apply.iso.write import write_iso
from b2ct.errors import IsoError
from b2ct.plan.artifact import Artifact
from tests.rigs.stock import StockKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EDIT = IsoEdit(
    tree=(
        *(Artifact(f"b2ct/host{number}.ks", b"#\n" * 1500) for number in range(60)),
        Artifact("boot/grub2/grub.cfg", b"#\n" * 4000),
    ),
    esp=(Artifact("EFI/BOOT/grub.cfg", b"#\n" * 4000), Artifact("EFI/b2ct/some long name.txt", b"text")),
    volume_id="OTHER",
)
ROUNDS = 25


def regions(path: Path) -> list[tuple[int, int]]:
    """(offset, length) of everything on an image that says where something is."""
    with FileSource(path) as source:
        layout = read_layout(source)
        found = [(0, BLOCK), (16 * SECTOR, 4 * SECTOR)]
        for tree in layout.trees:
            for descriptor in tree.descriptors:
                found.append((descriptor.sector * SECTOR, 190))
                found += [((e + tree.base) * SECTOR, descriptor.path_table_size) for e, _ in descriptor.table_extents()]
            found += [(here.sector * SECTOR, min(here.size, 1200)) for here, _, _ in tree.directories()]
        if layout.catalog:
            found.append((layout.catalog.sector * SECTOR, 192))
        for gpt in (layout.partitions.gpt, layout.partitions.backup):
            found += [(gpt.my_lba * BLOCK, 92), (gpt.entries_lba * BLOCK, 512)] if gpt else []
        assert layout.esp is not None
        found += [(layout.esp.offset, 64), (layout.esp.offset + 512, 40 * 1024)]
        return found


def damage(path: Path, where: list[tuple[int, int]], seed: int) -> list[tuple[int, bytes]]:
    """Change some bytes of an image and return (offset, bytes) that were there."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    undo = []
    with path.open("r+b") as stream:
        for _ in range(chance.choice((1, 2, 4, 16))):
            start, length = chance.choice(where)
            offset, count = start + chance.randrange(length), chance.choice((1, 2, 4))
            stream.seek(offset)
            undo.append((offset, stream.read(count)))
            stream.seek(offset)
            stream.write(chance.choice((bytes(count), b"\xff" * count, chance.randbytes(count))))
    return undo


def put(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


@pytest.fixture
def copy_stock(get_stock: Callable[[StockKind], Path], tmp_path: Path) -> Callable[[StockKind], Path]:
    def copy(kind: StockKind) -> Path:
        path = tmp_path / "damaged.iso"
        path.write_bytes(get_stock(kind).read_bytes())
        return path

    return copy


def plan_edit(path: Path) -> None:
    with FileSource(path) as source:
        make_overlay(path, source, read_layout(source), EDIT, datetime(2020, 1, 1, tzinfo=UTC))


def print_inspection(path: Path) -> None:
    json.dumps(asdict(inspect_iso(path, media_check=False)), ensure_ascii=False).encode()


@pytest.mark.parametrize("kind", [StockKind.EL9_BOOT, StockKind.EL10_BOOT])
def test_random_damage(kind: StockKind, copy_stock: Callable[[StockKind], Path]) -> None:
    path = copy_stock(kind)
    where = regions(path)
    for seed in range(ROUNDS):
        undo = damage(path, where, seed)
        for act in (probe_iso, print_inspection, plan_edit):
            with suppress(IsoError):
                act(path)
        for offset, data in reversed(undo):
            put(path, offset, data)


def find_root_record(path: Path, *, joliet: bool, directory: bool = False) -> tuple[int, int]:
    """(offset, length) of the last file's record in a root directory."""
    with FileSource(path) as source:
        tree = next(tree for tree in read_layout(source).trees if tree.joliet is joliet)
        at, found = tree.root.extents[0].sector * SECTOR, (0, 0)
        for record in tree.read_records(tree.root.extents[0]):
            if not record.is_dot and record.is_directory is directory:
                found = at, len(record.raw)
            at += len(record.raw)
        return found


def test_a_name_that_is_no_utf8_can_be_printed(copy_stock: Callable[[StockKind], Path]) -> None:
    """As a foreign tool writes Latin-1."""
    path = copy_stock(StockKind.EL9_BOOT)
    edited = path.with_name("edited.iso")
    write_iso(path, edited, IsoEdit(tree=(Artifact("xyzzy.ks", b"#\n"),)))
    data = edited.read_bytes()
    edited.write_bytes(data.replace(b"xyzzy.ks", b"xytt\xe0.ks"))
    inspection = inspect_iso(edited)
    assert [file.path for file in inspection.kickstarts] == [r"xytt\xe0.ks"]
    json.dumps(asdict(inspection), ensure_ascii=False).encode()


def test_a_joliet_name_of_an_odd_length(copy_stock: Callable[[StockKind], Path]) -> None:
    path = copy_stock(StockKind.EL9_BOOT)
    at, _ = find_root_record(path, joliet=True)
    put(path, at + 32, bytes([path.read_bytes()[at + 32] - 1]))
    failed = {check.name for check in inspect_iso(path).checks if not check.ok}
    assert "trees agree" in failed


def test_a_volume_older_than_directory_records_can_say(copy_stock: Callable[[StockKind], Path], tmp_path: Path) -> None:
    path = copy_stock(StockKind.EL9_BOOT)
    put(path, 16 * SECTOR + CREATED.start, b"1812")
    write_iso(path, tmp_path / "out.iso", EDIT)
    assert probe_iso(tmp_path / "out.iso").volume_id == "OTHER"


def test_directories_that_run_in_circles_end(copy_stock: Callable[[StockKind], Path]) -> None:
    """Pycdlib alone would follow them for ever."""
    path = copy_stock(StockKind.EL9_BOOT)
    at, _ = find_root_record(path, joliet=False, directory=True)
    with FileSource(path) as source:
        root = read_layout(source).trees[0].root.extents[0].sector
    put(path, at + 2, root.to_bytes(4, "little") + root.to_bytes(4, "big"))
    with pytest.raises(IsoError, match="found twice"):
        probe_iso(path)
    checks = {check.name: check for check in inspect_iso(path).checks}
    assert "found twice" in checks["pycdlib"].detail


@pytest.mark.parametrize("cluster", [1, 0xFFF0], ids=["reserved", "behind the end"])
def test_a_directory_of_the_boot_image_without_clusters(
    copy_stock: Callable[[StockKind], Path], tmp_path: Path, cluster: int
) -> None:
    """It is no empty directory that could grow: where its files are is not known."""
    path = copy_stock(StockKind.EL9_BOOT)
    with FileSource(path) as source:
        esp = read_layout(source).esp
        assert esp is not None
        volume = open_esp(source, esp)
        found = volume.find("EFI")
        assert found is not None
    put(path, esp.offset + found.offset + 26, cluster.to_bytes(2, "little"))
    with pytest.raises(IsoError, match=r"a directory of its FAT file system is damaged"):
        write_iso(path, tmp_path / "out.iso", EDIT)
