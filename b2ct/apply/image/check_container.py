"""Checks of the file that holds a disk: format, what it leans on, its inner consistency, checksums."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from b2ct.apply.checks import NOTHING, Verdict, judge
from b2ct.apply.image.qcow2 import HEADER_BYTES, DiskFormat, Qcow2Error, Qcow2Header, detect_format, parse_qcow2
from b2ct.apply.tool import ToolError, run_tool
from b2ct.errors import B2ctError, SiteFileError
from b2ct.plan.image_record import ImageRecord, read_record, record_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1024**2
CHECK_TIMEOUT_S = 900.0
"""How long qemu-img may look at an image, seconds: minutes on a slow network share."""

_BLOCK = 4 * MIB
_RECORD_LIMIT = 4 * MIB
_LEAKS = 3
_FINDINGS = (2, _LEAKS)
"""Exit codes with which qemu-img check reports what it found (qemu-img(1))."""


class ImageError(B2ctError):
    """A file is no image that can be looked at: absent, a folder, unreadable, empty."""


@dataclass(frozen=True, slots=True)
class Container:
    """An image file as far as its header tells; sizes in bytes."""

    path: Path
    bytes: int
    """Length of the file."""
    disk_bytes: int
    """What it takes on the disk; holes do not count."""
    format: DiskFormat
    header: Qcow2Header | None
    """None for anything but a readable qcow2."""
    header_problem: str
    """Why the header cannot be read; empty when it can, or when there is none."""

    @property
    def virtual_bytes(self) -> int | None:
        """Size of the disk that the guest sees; None when it cannot be told."""
        if self.format is DiskFormat.RAW:
            return self.bytes
        return self.header.virtual_bytes if self.header else None

    @property
    def tool_name(self) -> str:
        """Its name as programs get it: no part of it can be taken for a protocol (``nbd:...``) or an option."""
        return str(self.path.absolute())

    @property
    def stands_alone(self) -> bool:
        """True when reading it touches no other file: only then are other programs let at it."""
        if self.format is DiskFormat.RAW:
            return True
        header = self.header
        return header is not None and not (header.backing_file or header.external_data or header.encrypted)


@dataclass(frozen=True, slots=True)
class Consistency:
    """What ``qemu-img check`` says of a qcow2 file."""

    verdict: Verdict
    compressed: bool = False
    """True when at least one cluster is compressed."""
    data_bytes: int = 0
    """What its clusters hold at most when they are unpacked."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Checksums of a whole file, in hexadecimal digits."""

    sha256: str
    sha512: str
    md5: str


def open_container(path: Path) -> Container:
    """Return what the head of an image file tells.

    Raises:
        ImageError: there is no such file, it is no regular file, cannot be read, or holds nothing.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a file", hint="give the image file itself")
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not head:
        raise ImageError(f"{path} is empty", hint="was its download or its build interrupted?")
    disk_format = detect_format(head)
    header, problem = None, ""
    if disk_format is DiskFormat.QCOW2:
        try:
            header = parse_qcow2(head)
        except Qcow2Error as error:
            problem = str(error)
    return Container(path, status.st_size, status.st_blocks * 512, disk_format, header, problem)


def check_format(container: Container) -> Verdict:
    """OpenNebula's KVM hosts start qcow2 and raw, and trust the name and the template's DRIVER."""
    problems = []
    if container.header_problem:
        problems.append(container.header_problem)
    if container.format not in (DiskFormat.QCOW2, DiskFormat.RAW):
        problems.append(f"{container.format}; only qcow2 and raw can be used: qemu-img convert -O qcow2")
    suffix = container.path.suffix.lower().removeprefix(".")
    named = {"img": None, "raw": DiskFormat.RAW, "qcow2": DiskFormat.QCOW2}.get(suffix)
    if named is not None and named is not container.format:
        problems.append(f"{container.format}, and its name says {named}")
    if container.header is not None and container.header.marked_corrupt:
        problems.append("QEMU has marked it as corrupt")
    version = f" version {container.header.version}" if container.header else ""
    return judge(problems, f"{container.format}{version}")


def check_standalone(container: Container) -> Verdict:
    """A golden image is one file that anybody can open."""
    header = container.header
    if container.format is not DiskFormat.QCOW2:
        return NOTHING
    if header is None:
        return Verdict(ok=False, detail="its header cannot be read")
    problems = []
    if header.backing_file:
        problems.append(f"it is a difference to another file, {header.backing_file}: qemu-img convert makes it whole")
    if header.external_data:
        problems.append("its data are in another file")
    if header.encrypted:
        problems.append("it is encrypted")
    if header.snapshots:
        problems.append(f"{header.snapshots} snapshots inside take room and keep what was deleted")
    return judge(problems, "no backing file, external data, encryption or snapshots")


def check_consistency(container: Container) -> Consistency:
    """Let qemu-img count the references of a qcow2 file."""
    if container.format is not DiskFormat.QCOW2:
        return Consistency(NOTHING)
    if not container.stands_alone:
        return Consistency(Verdict(ok=False, detail="not looked at, since the file does not stand alone"))
    try:
        argv = ["qemu-img", "check", "-f", "qcow2", "--output=json", container.tool_name]
        report = _parse_report(run_tool(argv, timeout_s=CHECK_TIMEOUT_S))
    except ToolError as error:
        report = _parse_report(error.stdout) if error.returned in _FINDINGS else {}
        if not report:
            said = error.stderr.strip().splitlines()[-1:] or [error.message.splitlines()[0]]
            return Consistency(Verdict(ok=False, detail=f"qemu-img check: {said[0]}"))
    problems = []
    for key, words in (("corruptions", "errors"), ("leaks", "leaked clusters"), ("check-errors", "unreadable places")):
        if report.get(key):
            problems.append(f"qemu-img check finds {report[key]} {words}")
    cluster_bytes = container.header.cluster_bytes if container.header else 0
    end = report.get("image-end-offset", 0)
    if end >= container.bytes + cluster_bytes:  # a compressed cluster at the end is not filled up
        problems.append(f"truncated: {container.bytes} of {end} bytes are there")
    allocated, total = report.get("allocated-clusters", 0), report.get("total-clusters", 0)
    compressed = report.get("compressed-clusters", 0)
    found = f"{allocated} of {total} clusters in use, {compressed} compressed"
    data_bytes = allocated * cluster_bytes
    return Consistency(judge(problems, found), compressed=compressed > 0, data_bytes=data_bytes)


def _parse_report(text: str) -> dict[str, Any]:
    try:
        report = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return report if isinstance(report, dict) else {}


def sum_file(path: Path, progress: Callable[[int, int], None] | None) -> Sums:
    """Return the checksums of a whole file; ``progress(done, total)`` is called with bytes.

    Raises:
        ImageError: it cannot be read.
    """
    digests = [hashlib.sha256(), hashlib.sha512(), hashlib.md5(usedforsecurity=False)]
    try:
        with path.open("rb", buffering=0) as file:
            size, done = path.stat().st_size, 0
            while block := file.read(_BLOCK):
                for digest in digests:
                    digest.update(block)
                done += len(block)
                if progress is not None:
                    progress(done, size)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    return Sums(*(digest.hexdigest() for digest in digests))


def load_record(path: Path) -> ImageRecord | None:
    """Return the record beside the image ``path``; None when there is none.

    Raises:
        ImageError: it cannot be read.
        SiteFileError: it is wrong; with every problem.
    """
    file = path.with_name(record_name(path.name))
    try:
        if not file.is_file():
            return None
        with file.open("rb") as stream:
            text = stream.read(_RECORD_LIMIT).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    return read_record(text, str(file))


def check_record(container: Container, sums: Sums) -> Verdict:
    """The record beside the file belongs to this very file."""
    try:
        record = load_record(container.path)
    except SiteFileError as error:
        return Verdict(ok=False, detail=f"{error.message}: {error.problems[0]}")
    if record is None:
        return NOTHING
    pairs = (
        ("file name", record.file, container.path.name),
        ("format", record.format, container.format.value),
        ("size", record.bytes, container.bytes),
        ("virtual size", record.virtual_bytes, container.virtual_bytes),
        ("sha256", record.sha256, sums.sha256),
        ("md5", record.md5, sums.md5),
    )
    problems = [
        f"its {what} is {found}, and the record says {wanted}" for what, wanted, found in pairs if wanted != found
    ]
    return judge(problems, f"{record.name} {record.version}, as recorded")


def check_sum(checksum: str | None, sums: Sums) -> Verdict:
    """The file is the one whose checksum ``sha256:HEX`` or ``sha512:HEX`` was given."""
    if checksum is None:
        return NOTHING
    kind, _, wanted = checksum.lower().partition(":")
    found = {"sha256": sums.sha256, "sha512": sums.sha512, "md5": sums.md5}.get(kind)
    if found is None:
        return Verdict(ok=False, detail=f"{checksum}: give it as sha256:HEX, sha512:HEX or md5:HEX")
    return Verdict(ok=found == wanted, detail=kind if found == wanted else f"its {kind} is {found}, wanted {wanted}")
