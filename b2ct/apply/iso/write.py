"""Writing a changed image: whole or not at all, in one pass."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from b2ct.apply.iso.dates import parse_volume_date
from b2ct.apply.iso.descriptors import CREATED
from b2ct.apply.iso.edit import AddedFile, IsoEdit, WriteReport, WrittenFile
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.make import make_overlay
from b2ct.apply.iso.mediacheck import FIELD_OFFSET, MediaSum, make_media_field, read_media_record
from b2ct.apply.iso.pipeline import Pipeline
from b2ct.apply.iso.reader import OverlayReader
from b2ct.apply.iso.source import FileSource
from b2ct.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from b2ct.apply.iso.overlay import Overlay

__all__ = ["AddedFile", "IsoEdit", "WriteReport", "WrittenFile", "write_iso"]


def write_iso(  # noqa: PLR0913 - the last three are keywords with defaults
    stock: Path,
    out: Path,
    edit: IsoEdit,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    timestamp: int | None = None,
) -> WriteReport:
    """Write ``stock`` with an edit carried out to ``out`` and return what was written.

    The output appears under its name only when it is complete; an existing file is replaced only with ``force``.
    ``progress(done, total)`` is called with bytes. ``timestamp`` (seconds since 1970) stamps what is new; by default
    that is the creation date of the stock volume, so that the same input gives the same bytes.
    Raises IsoError about the stock and the edit, OutputError about the output.
    """
    _check_output(stock, out, force=force)
    with FileSource(stock) as source:
        layout = read_layout(source)
        moment = parse_volume_date(layout.sets[0].trees[0].raw[CREATED])
        if timestamp is not None:
            moment = datetime.fromtimestamp(timestamp, UTC)
        made = make_overlay(stock, source, layout, edit, moment)
        record = read_media_record(source)
    media_sum = MediaSum(made.overlay.volume_size) if edit.implant_media_check else None
    supported = record is not None and record.supported
    with _new_file(out, made.overlay.size, force=force) as fd:
        md5 = _stream(made.overlay, fd, out, media_sum, progress, supported=supported)
    return WriteReport(str(out), made.overlay.size, md5, made.files)


def _check_output(stock: Path, out: Path, *, force: bool) -> None:
    if out.exists() and stock.exists() and out.samefile(stock):
        raise OutputError(f"{out} is the stock ISO itself", hint="choose another name for the output")
    if out.is_dir():
        raise OutputError(f"{out} is a directory", hint="name the file to write")
    _check_regular(out)
    if out.exists() and not force:
        raise OutputError(f"{out} exists already", hint="remove it, or use --force to replace it")


def _check_regular(out: Path) -> None:
    """Raise OutputError for a device, a FIFO or a socket: renaming would put a file in its place."""
    if out.exists() and not out.is_file():
        raise OutputError(
            f"{out} is not a regular file", hint="an ISO is written to a device with dd: see docs/how-to/usb-key.md"
        )


def _stream(  # noqa: PLR0913 - one call, all named
    overlay: Overlay,
    fd: int,
    out: Path,
    media_sum: MediaSum | None,
    progress: Callable[[int, int], None] | None,
    *,
    supported: bool,
) -> str | None:
    """Stream an overlay into a file, implant the media check, and return its sum."""
    with OverlayReader(overlay, str(out), direct=True) as reader:
        Pipeline(reader, fd, out, media_sum).run(progress)
    if media_sum is None:
        return None
    record = media_sum.record(supported=supported)
    os.pwrite(fd, make_media_field(record), FIELD_OFFSET)
    return record.md5


@contextmanager
def _new_file(out: Path, size: int, *, force: bool) -> Iterator[int]:
    """Open a temporary file beside ``out`` and rename it when the block succeeds; else nothing is left behind."""
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(f"{out.parent}: cannot write there: {error.strerror}") from error
    try:
        _check_space(fd, out, size)
        yield fd
        os.fsync(fd)
        _rename(temporary, out, force=force)
    except OSError as error:
        hint = "make room and run it again" if error.errno == errno.ENOSPC else None
        raise OutputError(f"{out}: cannot write: {error.strerror}", hint=hint) from error
    finally:
        os.close(fd)
        temporary.unlink(missing_ok=True)


def _check_space(fd: int, out: Path, size: int) -> None:
    """Raise OutputError early when the file system has not the room; it may still run out of it later."""
    status = os.fstatvfs(fd)
    free = status.f_bavail * status.f_frsize
    if free < size:
        raise OutputError(f"{out.parent}: no space left: {size} bytes are needed, {free} are free")


def _rename(temporary: Path, out: Path, *, force: bool) -> None:
    if force:
        _check_regular(out)
        temporary.replace(out)
        return
    try:
        out.hardlink_to(temporary)  # fails when somebody made it meanwhile, which a rename does not
    except FileExistsError:
        raise OutputError(f"{out} appeared while it was being written", hint="use --force to replace it") from None
    except OSError:
        temporary.replace(out)
