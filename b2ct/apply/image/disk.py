"""Makes a bootable raw disk of a folder: no loop devices, no mounts, the same bytes for the same folder."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.tool import Program, ToolError, find_program, run_tool
from b2ct.errors import OutputError
from b2ct.plan.image_disk import SECTOR
from b2ct.render.disk import MKE2FS_CONF, render_grub_start, render_sfdisk

if TYPE_CHECKING:
    from b2ct.plan.image_disk import DiskPlan

GRUB_FOLDERS = (Path("/usr/lib/grub/i386-pc"), Path("/usr/lib/grub/x86_64-efi"))
"""Where GRUB's modules are, on Debian and EL alike: for BIOS and for UEFI."""

_GRUB_MKIMAGE = ("grub-mkimage", "grub2-mkimage")
"""Debian's and EL's name of it."""

_PROGRAMS = (
    Program("sfdisk", debian="fdisk", el="util-linux"),
    Program("mke2fs", debian="e2fsprogs", el="e2fsprogs"),
    Program("debugfs", debian="e2fsprogs", el="e2fsprogs"),
    Program("dumpe2fs", debian="e2fsprogs", el="e2fsprogs"),
    Program("mkfs.fat", debian="dosfstools", el="dosfstools"),
    Program("mcopy", debian="mtools", el="mtools"),
    Program(str(GRUB_FOLDERS[0] / "boot.img"), debian="grub-pc-bin", el="grub2-pc-modules"),
    Program(str(GRUB_FOLDERS[1] / "kernel.img"), debian="grub-efi-amd64-bin", el="grub2-efi-x64-modules"),
)

_COMMON_MODULES = (
    "boot configfile echo ext2 gzio halt linux ls minicmd normal part_gpt reboot search search_fs_uuid serial sleep "
    "terminal test"
)
_BIOS_MODULES = f"biosdisk {_COMMON_MODULES}"
_EFI_MODULES = f"{_COMMON_MODULES} all_video efi_gop fat"

_BOOT_CODE_BYTES = 440
"""Boot code of a master boot record; behind it come the disk's signature and partitions (UEFI specification 5.2.1)."""


def disk_programs() -> tuple[Program, ...]:
    """Return the programs that making a disk needs."""
    return (*_PROGRAMS, Program(_find_mkimage(), debian="grub-common", el="grub2-tools"))


def write_disk(root: Path, plan: DiskPlan, out: Path, epoch: int) -> None:
    """Write the raw disk ``out`` whose root file system holds the folder ``root``.

    Raises:
        ToolError: a program failed, for instance because ``root`` does not fit.
        OutputError: GRUB's image does not fit.
    """
    clamp_times(root, epoch)
    with out.open("wb") as file:
        file.truncate(plan.size)
    run_tool(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", out], text_in=render_sfdisk(plan))
    _write_root(root, plan, out, epoch)
    start = out.with_name("grub-start.cfg")
    start.write_text(render_grub_start(plan), encoding="ascii")
    _write_esp(plan, out, start, epoch)
    _write_bios(plan, out, start)


def _find_mkimage() -> str:
    """Return the name of grub-mkimage here."""
    return next((name for name in _GRUB_MKIMAGE if find_program(name)), _GRUB_MKIMAGE[0])


def clamp_times(root: Path, epoch: int) -> None:
    """Make nothing below ``root`` younger than ``epoch``, seconds since 1970, and forget when it was read."""
    for folder, folders, names in os.walk(root, topdown=False):  # links to folders count as folders
        for path in (*(os.path.join(folder, name) for name in (*folders, *names)), folder):  # noqa: PTH118 (tens of thousands)
            changed = min(os.lstat(path).st_mtime_ns, epoch * 10**9)
            os.utime(path, ns=(changed, changed), follow_symlinks=False)


def _write_root(root: Path, plan: DiskPlan, out: Path, epoch: int) -> None:
    """Make the root file system in its place on the disk."""
    config = out.with_name("mke2fs.conf")
    config.write_text(MKE2FS_CONF, encoding="ascii")
    extended = f"offset={plan.root.start},hash_seed={plan.hash_seed},root_owner=0:0,nodiscard"
    extended += ",lazy_itable_init=0,lazy_journal_init=0"
    # E2FSPROGS_FAKE_TIME is libext2fs's clock in versions before 1.47.1, which know no SOURCE_DATE_EPOCH
    env = {"MKE2FS_CONFIG": str(config), "SOURCE_DATE_EPOCH": str(epoch), "E2FSPROGS_FAKE_TIME": str(epoch)}
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-L", "root", "-U", plan.root.uuid, "-E", extended]
    try:
        run_tool([*argv, "-d", root, out, f"{plan.root.size // 1024}k"], env=env)
    except ToolError as error:
        if "Could not allocate" in error.stderr:  # a block or an inode; "No space left" is the build host's
            raise OutputError("the guest's files do not fit its disk", hint="raise its `size`") from error
        raise
    _set_change_times(f"{out}?offset={plan.root.start}", out.with_name("ctimes"), env)


def _set_change_times(filesystem: str, script: Path, env: dict[str, str]) -> None:
    """Set every inode's ctime to the epoch: mke2fs takes it from the build host, where nobody can set it."""
    epoch = env["SOURCE_DATE_EPOCH"]
    used = find_used_inodes(run_tool(["dumpe2fs", filesystem], env=env))
    fields = "".join(f"set_inode_field <{number}> ctime @{epoch}\n" for number in used)
    script.write_text(fields, encoding="ascii")
    run_tool(["debugfs", "-w", "-f", script, filesystem], env=env)


def find_used_inodes(text: str) -> tuple[int, ...]:
    """Return the numbers of the inodes that files have, from what dumpe2fs prints of each group."""
    count = int(re.findall(r"^Inode count: +(\d+)$", text, re.MULTILINE)[0])
    first = int(re.findall(r"^First inode: +(\d+)$", text, re.MULTILINE)[0])
    free: set[int] = set()
    for ranges in re.findall(r"^  Free inodes: (.+)$", text, re.MULTILINE):
        for low, high in re.findall(r"(\d+)(?:-(\d+))?", ranges):
            free.update(range(int(low), int(high or low) + 1))
    return (2, *(number for number in range(first, count + 1) if number not in free))  # 2: the root folder


def _write_esp(plan: DiskPlan, out: Path, start: Path, epoch: int) -> None:
    """Make the EFI system partition, with GRUB as the loader that every firmware looks for."""
    fat, loader = out.with_name("esp.img"), out.with_name("BOOTX64.EFI")
    modules = _EFI_MODULES.split()
    prefix = ["-O", "x86_64-efi", "-d", str(GRUB_FOLDERS[1]), "-p", "/boot/grub", "-c", str(start)]
    run_tool([_find_mkimage(), *prefix, "-o", loader, *modules])
    os.utime(loader, (epoch, epoch))
    env = {"SOURCE_DATE_EPOCH": str(epoch), "MTOOLS_SKIP_CHECK": "1"}
    size_kib = str(plan.esp.size // 1024)
    fat.unlink(missing_ok=True)
    argv = ["mkfs.fat", "--invariant", "-F", "32", "-s", "1", "-n", "ESP", "-i", plan.esp_serial, "-C"]
    run_tool([*argv, fat, size_kib], env=env)
    run_tool(["mmd", "-i", fat, "::/EFI", "::/EFI/BOOT"], env=env)
    run_tool(["mcopy", "-m", "-i", fat, loader, "::/EFI/BOOT/BOOTX64.EFI"], env=env)
    _copy_sparse(fat, out, plan.esp.start)


def _write_bios(plan: DiskPlan, out: Path, start: Path) -> None:
    """Put GRUB's first sector into the boot record, and the rest into its partition."""
    core = out.with_name("core.img")
    modules = _BIOS_MODULES.split()
    prefix = ["-O", "i386-pc", "-d", str(GRUB_FOLDERS[0]), "-p", "/boot/grub", "-c", str(start)]
    run_tool([_find_mkimage(), *prefix, "-o", core, *modules])
    first, rest = make_bios_loader((GRUB_FOLDERS[0] / "boot.img").read_bytes(), core.read_bytes(), plan)
    with out.open("r+b") as disk:
        disk.write(first)
        disk.seek(plan.bios.start)
        disk.write(rest)


def make_bios_loader(boot: bytes, core: bytes, plan: DiskPlan) -> tuple[bytes, bytes]:
    """Return the boot record's code (440 bytes) and the BIOS boot partition's content, as grub-bios-setup makes them.

    The offsets are those of GRUB 2's include/grub/i386/pc/boot.h and grub-core/boot/i386/pc/diskboot.S.

    Raises:
        OutputError: the image does not fit its partition.
    """
    if len(core) > plan.bios.size:
        raise OutputError(f"GRUB's image of {len(core)} bytes does not fit its partition of {plan.bios.size} bytes")
    sector = plan.bios.start // SECTOR
    first = bytearray(boot[:_BOOT_CODE_BYTES])
    struct.pack_into("<Q", first, 0x5C, sector)  # GRUB_BOOT_MACHINE_KERNEL_SECTOR
    first[0x64] = 0xFF  # GRUB_BOOT_MACHINE_BOOT_DRIVE: the drive that the BIOS says
    first[0x66:0x68] = b"\x90\x90"  # GRUB_BOOT_MACHINE_DRIVE_CHECK: no jump, as on every hard disk
    rest = bytearray(core) + bytes(-len(core) % SECTOR)
    count = len(rest) // SECTOR - 1
    struct.pack_into(
        "<QHH", rest, SECTOR - 12, sector + 1, count, 0x820
    )  # the first block list: sector, count, segment
    return bytes(first), bytes(rest)


def _copy_sparse(source: Path, disk: Path, offset: int) -> None:
    """Copy what is not zero of ``source`` to ``disk`` from ``offset`` on, bytes."""
    step = 1 << 16
    with source.open("rb") as file, disk.open("r+b") as target:
        for place in range(0, source.stat().st_size, step):
            block = file.read(step)
            if block.strip(b"\0"):
                target.seek(offset + place)
                target.write(block)
    source.unlink()
