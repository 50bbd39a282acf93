"""Consistency of what firmware starts from: El Torito, boot-info table, hybrid MBR, GRUB 2's pointers, GPT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.apply.checks import ABSENT, NOTHING, Verdict, judge
from b2ct.apply.iso.eltorito import Platform
from b2ct.apply.iso.source import BLOCK, SECTOR

if TYPE_CHECKING:
    from b2ct.apply.iso.checks import Subject
    from b2ct.apply.iso.eltorito import BootEntry
    from b2ct.apply.iso.partitions import Gpt
    from b2ct.apply.iso.source import Source

_BLOCKS = SECTOR // BLOCK
_BOOT_INFO = 8
_BOOT_INFO_END = 64
_LARGEST_BIOS_IMAGE = 64 * 1024**2
_GRUB2_INFO = 2548
_HYBRID_POINTER = 432
_ESP_TYPE = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_MBR_ESP = 0xEF


def _bios_entry(subject: Subject) -> BootEntry | None:
    entries = subject.layout.catalog.entries if subject.layout.catalog else ()
    return next((entry for entry in entries if entry.platform is Platform.BIOS), None)


def _check_catalog(subject: Subject) -> Verdict:
    source, layout = subject.source, subject.layout
    if layout.catalog is None:
        damaged = [f"no boot catalog at sector {record.catalog}" for record in layout.sets[0].boots]
        return judge(damaged, ABSENT)
    problems = [] if layout.catalog.checksum_ok else ["the checksum of the boot catalog is wrong"]
    problems += [
        f"the {entry.platform.name} boot image at sector {entry.sector} lies behind the end of the file"
        for entry in layout.catalog.entries
        if entry.sector * SECTOR >= source.size
    ]
    if any(entry.platform is Platform.EFI for entry in layout.catalog.entries) and layout.esp is None:
        problems.append("the EFI boot image is neither a file of the tree nor a partition")
    found = ", ".join(f"{entry.platform.name} at sector {entry.sector}" for entry in layout.catalog.entries)
    return judge(problems, found)


def _check_boot_info(subject: Subject) -> Verdict:
    """Check the table that mkisofs patches into the BIOS boot image (mkisofs(8), -boot-info-table)."""
    source, layout, bios = subject.source, subject.layout, _bios_entry(subject)
    if bios is None or (bios.sector + 1) * SECTOR > source.size:
        return NOTHING
    table = source.read(bios.sector * SECTOR + _BOOT_INFO, 16)
    descriptor, image, length, checksum = (int.from_bytes(table[at : at + 4], "little") for at in range(0, 16, 4))
    size = next((e.size for e, is_dir in layout.trees[0].runs() if not is_dir and e.sector == bios.sector), length)
    if descriptor not in {s.sector for s in layout.sets} and image != bios.sector:
        return NOTHING
    problems = []
    if descriptor not in {s.sector for s in layout.sets}:
        problems.append(f"names a volume descriptor at sector {descriptor}, where none is")
    if image != bios.sector:
        problems.append(f"says that the image is at sector {image}, but it is at {bios.sector}")
    if length != size:
        problems.append(f"says that the image has {length} bytes, but it has {size}")
    elif length <= _LARGEST_BIOS_IMAGE and bios.sector * SECTOR + length <= source.size:
        data = source.read(bios.sector * SECTOR, length)[_BOOT_INFO_END:]
        data += bytes(-len(data) % 4)
        total = sum(int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)) & 0xFFFFFFFF
        if total != checksum:
            problems.append("the checksum of the boot image is wrong")
    return judge(problems, f"descriptor at {descriptor}, image at {image}, {length} bytes")


def _check_grub2_info(subject: Subject) -> Verdict:
    """Check the pointer that xorriso patches into GRUB's eltorito.img (xorrisofs(1), --grub2-boot-info)."""
    source, bios = subject.source, _bios_entry(subject)
    if bios is None or bios.sector * SECTOR + _GRUB2_INFO + 8 > source.size:
        return NOTHING
    block = int.from_bytes(source.read(bios.sector * SECTOR + _GRUB2_INFO, 8), "little")
    head = source.read(bios.sector * SECTOR, SECTOR)
    if b"isolinux" in head.lower() or not _is_grub2(source):
        return NOTHING
    wanted = bios.sector * _BLOCKS + 5
    return judge([] if block == wanted else [f"points at block {block} instead of {wanted}"], f"block {block}")


def _is_grub2(source: Source) -> bool:
    return b"GRUB" in source.read(0, BLOCK)


def _check_hybrid_mbr(subject: Subject) -> Verdict:
    """Check where the MBR's code finds the BIOS boot image (isohdpfx.bin and GRUB's boot_hybrid.img, byte 432)."""
    source, layout, bios = subject.source, subject.layout, _bios_entry(subject)
    if not any(partition.count for partition in layout.partitions.mbr) or bios is None or not any(source.read(0, 32)):
        return NOTHING
    block = int.from_bytes(source.read(_HYBRID_POINTER, 8), "little")
    wanted = bios.sector * _BLOCKS + (4 if _is_grub2(source) else 0)
    return judge([] if block == wanted else [f"points at block {block} instead of {wanted}"], f"block {block}")


def _check_partitions(subject: Subject) -> Verdict:
    """MBR partitions lie inside the file, and one of the EFI type is the EFI boot image."""
    source, layout = subject.source, subject.layout
    used = [partition for partition in layout.partitions.mbr if partition.count]
    if not used:
        return NOTHING
    problems = [
        f"partition of type {p.kind:#04x} ends at block {p.start + p.count}, behind the end of the file"
        for p in used
        if (p.start + p.count) * BLOCK > source.size
    ]
    starts = [p.start * BLOCK for p in used if p.kind == _MBR_ESP]
    if starts and layout.esp and layout.esp.offset not in starts:
        problems.append("the EFI partition is not the EFI boot image of the boot catalog")
    return judge(problems, ", ".join(f"{p.kind:#04x} {p.start}+{p.count}" for p in used))


def _check_gpt(subject: Subject) -> Verdict:
    source, layout = subject.source, subject.layout
    primary, backup = layout.partitions.gpt, layout.partitions.backup
    if primary is None:
        return NOTHING
    problems = _table_problems("primary", primary, source)
    if backup is None:
        problems.append(f"no backup at block {primary.alternate}")
    else:
        problems += _table_problems("backup", backup, source)
        if backup.array != primary.array:
            problems.append("primary and backup name different partitions")
        if (backup.my_lba, backup.alternate) != (primary.alternate, primary.my_lba):
            problems.append("primary and backup do not name each other")
    starts = [p.first * BLOCK for p in primary.partitions if p.raw[:16] == _ESP_TYPE]
    starts = starts or [p.first * BLOCK for p in primary.partitions]
    if layout.esp and layout.esp.offset not in starts:
        problems.append("no partition is the EFI boot image of the boot catalog")
    return judge(problems, ", ".join(f"{p.number}: {p.first}-{p.last} {p.name}" for p in primary.partitions))


def _table_problems(which: str, table: Gpt, source: Source) -> list[str]:
    problems = []
    if not table.header_crc_ok:
        problems.append(f"the checksum of the {which} header is wrong")
    if not table.array_crc_ok:
        problems.append(f"the checksum of the {which} partition array is wrong")
    problems += [
        f"{which}: partition {p.number} ends at block {p.last}, behind the end of the file"
        for p in table.partitions
        if (p.last + 1) * BLOCK > source.size
    ]
    return problems


CHECKS = (
    ("El Torito", _check_catalog),
    ("boot-info table", _check_boot_info),
    ("GRUB 2 boot pointer", _check_grub2_info),
    ("hybrid MBR", _check_hybrid_mbr),
    ("MBR partitions", _check_partitions),
    ("GPT", _check_gpt),
)
