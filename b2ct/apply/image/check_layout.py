"""Checks of what a disk holds: its partition table, its file systems, and the firmware that it boots with."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.apply.checks import Verdict, judge
from b2ct.apply.iso.partitions import PROTECTIVE, Gpt, MbrPartition, read_partitions
from b2ct.apply.iso.source import BLOCK, FileSource
from b2ct.apply.tool import ToolError, run_tool
from b2ct.plan.image import BootMode

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.image.check_files import GuestFiles

_BOOT_CODE_BYTES = 440
_BOOT_SIGNATURE = b"\x55\xaa"
_ACTIVE = 0x80
_PROBE_TIMEOUT_S = 60.0
_NOTHING_FOUND = 2
"""blkid(8): no tags could be found."""


class Table(StrEnum):
    """Kinds of partition tables."""

    GPT = "gpt"
    MBR = "mbr"
    NONE = "none"


class PartitionKind(StrEnum):
    """What partitions are for, as far as booting is concerned."""

    BIOS_BOOT = "BIOS boot"
    ESP = "EFI system"
    EXTENDED = "extended"
    DATA = "data"


_GPT_KINDS = {
    uuid.UUID("21686148-6449-6e6f-744e-656564454649"): PartitionKind.BIOS_BOOT,
    uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"): PartitionKind.ESP,
}
"""Partition types (GRUB manual, "BIOS installation"; UEFI 2.10, table 5-7)."""

_MBR_KINDS = {0xEF: PartitionKind.ESP, **dict.fromkeys((0x05, 0x0F, 0x85), PartitionKind.EXTENDED)}


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; sizes in bytes."""

    number: int
    start: int
    bytes: int
    kind: PartitionKind
    file_system: str
    """As blkid names it, ``ext4``; empty when it knows none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a disk is divided."""

    table: Table
    partitions: tuple[Partition, ...]
    problems: tuple[str, ...]
    """What is wrong with the partition table."""
    bios_code: bool
    """True when the first block holds code, and there is more of it where it would be loaded from."""


def read_disk_layout(raw: Path) -> Layout:
    """Return how the raw disk ``raw`` is divided.

    Raises:
        IsoError: it cannot be read, or its partition table is damaged.
    """
    with FileSource(raw) as source:
        if source.size < BLOCK:
            return Layout(Table.NONE, (), (f"a disk of {source.size} bytes",), bios_code=False)
        tables = read_partitions(source)
        mbr = [(number, entry) for number, entry in enumerate(tables.mbr, 1) if entry.kind]
        if tables.gpt is not None:
            partitions = _gpt_partitions(raw, tables.gpt)
            problems = _gpt_problems(tables.gpt, tables.backup, tables.mbr, source.size)
        else:
            partitions = tuple(_mbr_partition(raw, number, entry) for number, entry in mbr)
            problems = []
        problems += _place_problems(partitions, source.size)
        table = Table.GPT if tables.gpt is not None else Table.MBR if partitions else Table.NONE
        first = source.read(0, BLOCK)
        has_code = first.endswith(_BOOT_SIGNATURE) and any(first[:_BOOT_CODE_BYTES])
        cores = [p.start for p in partitions if p.kind is PartitionKind.BIOS_BOOT]
        if table is Table.MBR:
            cores = [BLOCK, *(entry.start * BLOCK for _, entry in mbr if entry.raw[0] == _ACTIVE)]
        has_core = any(at + BLOCK <= source.size and any(source.read(at, BLOCK)) for at in cores)
    return Layout(table, partitions, tuple(problems), bios_code=has_code and has_core)


def _gpt_partitions(raw: Path, gpt: Gpt) -> tuple[Partition, ...]:
    found = []
    for entry in gpt.partitions:
        start, size = entry.first * BLOCK, max(0, (entry.last - entry.first + 1) * BLOCK)
        kind = _GPT_KINDS.get(uuid.UUID(bytes_le=entry.raw[:16]), PartitionKind.DATA)
        found.append(Partition(entry.number, start, size, kind, probe_file_system(raw, start, size)))
    return tuple(found)


def _mbr_partition(raw: Path, number: int, entry: MbrPartition) -> Partition:
    start, size = entry.start * BLOCK, entry.count * BLOCK
    kind = _MBR_KINDS.get(entry.kind, PartitionKind.DATA)
    return Partition(number, start, size, kind, probe_file_system(raw, start, size))


def _gpt_problems(gpt: Gpt, backup: Gpt | None, mbr: tuple[MbrPartition, ...], size: int) -> list[str]:
    """Return what is wrong with a GPT (UEFI 2.10, 5.3.2); firmware and guests would repair or refuse it."""
    problems = []
    if not gpt.header_crc_ok or not gpt.array_crc_ok:
        problems.append("the GPT's checksum is wrong")
    if not any(entry.kind == PROTECTIVE for entry in mbr):
        problems.append("no protective MBR before the GPT")
    if backup is None or not backup.header_crc_ok or not backup.array_crc_ok:
        problems.append("the GPT's backup is missing or damaged")
    elif gpt.alternate != size // BLOCK - 1:
        problems.append("the GPT's backup is not at the end of the disk: sgdisk -e moves it")
    return problems


def _place_problems(partitions: tuple[Partition, ...], size: int) -> list[str]:
    problems = [f"partition {p.number} reaches out of the disk" for p in partitions if p.start + p.bytes > size]
    ordered = sorted((p for p in partitions if p.bytes), key=lambda p: p.start)
    for before, after in itertools.pairwise(ordered):
        if before.start + before.bytes > after.start:
            problems.append(f"partitions {before.number} and {after.number} overlap")
    return problems


def probe_file_system(raw: Path, start: int, size: int) -> str:
    """Return blkid's name of the file system at ``start`` of the file ``raw``; empty when there is none that it knows.

    Raises:
        ToolError: blkid cannot be run.
    """
    if size <= 0 or start + size > raw.stat().st_size:
        return ""
    argv = ["blkid", "-p", "-O", str(start), "-S", str(size), "-s", "TYPE", "-o", "value", str(raw.absolute())]
    try:
        return run_tool(argv, timeout_s=_PROBE_TIMEOUT_S).strip()
    except ToolError as error:
        if error.returned == _NOTHING_FOUND:
            return ""
        raise


def check_table(layout: Layout) -> Verdict:
    """The partition table is whole, and fits the disk."""
    if layout.table is Table.NONE:
        return judge([*layout.problems, "no partition table"], "")
    parts = [f"{p.number}: {p.bytes // 1024**2} MiB {p.file_system or p.kind}" for p in layout.partitions]
    return judge(list(layout.problems), f"{layout.table}; {', '.join(parts) or 'no partitions'}")


def find_boot_modes(layout: Layout, files: GuestFiles) -> tuple[BootMode, ...]:
    """Return the firmware that a disk has a boot loader for."""
    modes = [BootMode.BIOS] if layout.bios_code else []
    for partition in layout.partitions:
        if partition.kind is PartitionKind.ESP:
            device = files.device(layout.table, partition.number)
            loaders = files.list_folder(device, "/EFI/BOOT")
            if any(name.upper() == "BOOTX64.EFI" and size for name, size in loaders.items()):
                modes.append(BootMode.UEFI)
                break
    return tuple(modes)


def check_boot(found: tuple[BootMode, ...], wanted: tuple[BootMode, ...]) -> Verdict:
    """There is a boot loader, and one for each firmware of ``wanted`` (the record's)."""
    problems = [f"nothing to boot with {mode.upper()}" for mode in wanted if mode not in found]
    if not found:
        problems = ["no boot loader for BIOS, and no EFI/BOOT/BOOTX64.EFI for UEFI"]
    return judge(problems, " and ".join(mode.upper() for mode in found))
