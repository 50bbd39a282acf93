"""Checking a disk image, whoever made it: what it is, and whether machines can be made from it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.checks import Check, run_check
from b2ct.apply.image.check_container import (
    MIB,
    ImageError,
    Sums,
    check_consistency,
    check_format,
    check_record,
    check_standalone,
    check_sum,
    load_record,
    open_container,
    sum_file,
)
from b2ct.apply.image.check_files import GuestFiles
from b2ct.apply.image.check_guest import CHECKS as GUEST_CHECKS
from b2ct.apply.image.check_guest import find_contextualization, find_guest, has_agent, has_cvmfs
from b2ct.apply.image.check_layout import check_boot, check_table, find_boot_modes, read_disk_layout
from b2ct.apply.image.qcow2 import DiskFormat
from b2ct.apply.tool import Program, need_programs, run_tool
from b2ct.errors import B2ctError, SiteFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from b2ct.apply.image.check_container import Consistency, Container
    from b2ct.apply.image.check_guest import Guest
    from b2ct.apply.image.check_layout import Layout, Partition
    from b2ct.plan.image import BootMode, Contextualization

PROGRAMS = (
    Program("qemu-img", "qemu-utils", "qemu-img"),
    Program("grub-fstest", "grub-common", "grub2-tools-extra"),
    Program("blkid", "util-linux", "util-linux"),
)
"""What looks into images; nothing of it is run as root or mounts anything."""

_CONVERT_TIMEOUT_S = 1800.0
_VIRTUAL_LIMIT = 16 * 1024**4 - MIB
"""Longest file of ext4, bytes: a longer disk cannot be unpacked."""


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """Everything that was found; sizes in bytes."""

    path: str
    ok: bool
    """True when every check passed."""
    format: DiskFormat
    """What the file is, whatever its name says."""
    bytes: int
    disk_bytes: int
    """What the file takes on the disk; holes do not count."""
    virtual_bytes: int | None
    """Size of the disk that the guest sees; None when the header cannot be read."""
    compressed: bool
    sha256: str
    md5: str
    table: str
    """``gpt``, ``mbr``, ``none``; empty when the disk was not looked into. The same holds for what follows."""
    partitions: tuple[Partition, ...]
    boot: tuple[BootMode, ...]
    system: str
    """PRETTY_NAME of its os-release."""
    contextualization: tuple[Contextualization, ...]
    agent: bool
    cvmfs: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Inside:
    """What was found on the disk."""

    layout: Layout | None = None
    boot: tuple[BootMode, ...] = ()
    guest: Guest | None = None
    contextualization: tuple[Contextualization, ...] = ()
    agent: bool = False
    cvmfs: bool = False
    checks: tuple[Check, ...] = ()


def check_image(
    path: Path, *, checksum: str | None = None, progress: Callable[[int, int], None] | None = None
) -> ImageCheck:
    """Return what a disk image is and whether it is fit to be a golden image; nothing is written to it.

    A qcow2 file is unpacked into ``TMPDIR`` (``/var/tmp`` without one), sparse, for the time of the check.

    Args:
        path: the image.
        checksum: what it has to have, ``sha256:HEX``, ``sha512:HEX`` or ``md5:HEX``; the record
            ``<image>.json`` beside the image is compared anyway.
        progress: called with the bytes that were summed up, and all of them.

    Raises:
        ImageError: there is no such file, it is no regular file, or empty.
        UsageError: a program that is needed is missing.
    """
    container = open_container(path)
    need_programs(PROGRAMS)
    sums = sum_file(path, progress)
    consistency = check_consistency(container)
    checks = [
        run_check("format", check_format, container),
        run_check("stands alone", check_standalone, container),
        Check("consistency", consistency.verdict.ok, consistency.verdict.detail),
        run_check("record", lambda subject: check_record(subject, sums), container),
        run_check("checksum", lambda subject: check_sum(checksum, subject), sums),
    ]
    inside = _look_inside(container, consistency)
    checks += inside.checks
    return _make_report(container, consistency, sums, inside, tuple(checks))


def _make_report(
    container: Container, consistency: Consistency, sums: Sums, inside: _Inside, checks: tuple[Check, ...]
) -> ImageCheck:
    return ImageCheck(
        path=str(container.path),
        ok=all(check.ok for check in checks),
        format=container.format,
        bytes=container.bytes,
        disk_bytes=container.disk_bytes,
        virtual_bytes=container.virtual_bytes,
        compressed=consistency.compressed,
        sha256=sums.sha256,
        md5=sums.md5,
        table=inside.layout.table if inside.layout else "",
        partitions=inside.layout.partitions if inside.layout else (),
        boot=inside.boot,
        system=inside.guest.title if inside.guest else "",
        contextualization=inside.contextualization,
        agent=inside.agent,
        cvmfs=inside.cvmfs,
        checks=checks,
    )


def _look_inside(container: Container, consistency: Consistency) -> _Inside:
    """Return what is on the disk; what hinders it is a failed check."""
    try:
        with _open_raw(container, consistency) as raw:
            return _inspect_disk(raw, _wanted_modes(container))
    except B2ctError as error:
        return _Inside(checks=(Check("inside", ok=False, detail=error.message),))


def _inspect_disk(raw: Path, wanted: tuple[BootMode, ...]) -> _Inside:
    layout = read_disk_layout(raw)
    files = GuestFiles(raw)
    modes = find_boot_modes(layout, files)
    checks = [
        run_check("partitions", check_table, layout),
        run_check("boot", lambda found: check_boot(found, wanted), modes),
    ]
    guest = find_guest(files)
    if guest is None:
        kinds = sorted({p.file_system for p in layout.partitions if p.file_system}) or ["no file system"]
        detail = f"no os-release can be read ({', '.join(kinds)}; {run_tool(['grub-fstest', '--version']).strip()})"
        return _Inside(layout, modes, checks=(*checks, Check("system", ok=False, detail=detail)))
    checks.append(Check("system", ok=True, detail=guest.title))
    checks += [run_check(name, check, guest) for name, check in GUEST_CHECKS]
    return _Inside(
        layout, modes, guest, find_contextualization(guest), has_agent(guest), has_cvmfs(guest), tuple(checks)
    )


def _wanted_modes(container: Container) -> tuple[BootMode, ...]:
    """Return the firmware that the record promises; a wrong record is another check's finding."""
    try:
        record = load_record(container.path)
    except (ImageError, SiteFileError):
        return ()
    return record.boot if record else ()


@contextmanager
def _open_raw(container: Container, consistency: Consistency) -> Iterator[Path]:
    """Unpack the disk for a while, sparse; a raw file is its own."""
    if container.format is DiskFormat.RAW:
        yield container.path
        return
    if container.format is not DiskFormat.QCOW2 or not container.stands_alone or not consistency.verdict.ok:
        raise ImageError("not looked at, since the file is damaged, does not stand alone, or is no disk image")
    if (container.virtual_bytes or 0) > _VIRTUAL_LIMIT:
        raise ImageError(f"not looked at: a disk of {container.virtual_bytes} bytes cannot be unpacked")
    folder = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 (a folder of our own is made in it)
    try:
        with tempfile.TemporaryDirectory(prefix="b2ct-check-", dir=folder) as tmp:
            free = shutil.disk_usage(tmp).free
            if consistency.data_bytes > free:
                needed = f"{consistency.data_bytes // MIB} MiB to unpack it, and {folder} has {free // MIB} MiB"
                raise ImageError(f"not looked at: it takes {needed}; TMPDIR names another folder")
            raw = Path(tmp) / "disk.raw"
            argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", container.tool_name, str(raw)]
            run_tool(argv, timeout_s=_CONVERT_TIMEOUT_S)
            yield raw
    except OSError as error:
        raise ImageError(f"{folder}: {error.strerror}") from error
