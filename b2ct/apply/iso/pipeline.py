"""One pass over an overlay: a reader, a checksum and a writer, each in its thread, on shared aligned buffers."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.source import direct_flag, round_up
from b2ct.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.apply.iso.mediacheck import MediaSum
    from b2ct.apply.iso.reader import OverlayReader

_BUFFER = 4 * 1024 * 1024
_BUFFERS = 5
_ALIGNMENT = 4096
_POLL_S = 0.2


@dataclass(slots=True)
class _Piece:
    buffer: mmap.mmap
    offset: int = 0
    length: int = 0
    users: int = 0
    """Threads that still need it."""


class Pipeline:
    """Streams an overlay into an open file and, when asked to, through a media checksum.

    ``out`` is open for writing; it is written past the page cache where the file system allows it.
    """

    def __init__(self, reader: OverlayReader, out: int, path: Path, media_sum: MediaSum | None) -> None:
        self._reader = reader
        self._out = out
        self._path = path
        self._sum = media_sum
        self._free: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._to_write: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._to_sum: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._direct = _set_direct(out, on=True)

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Stream everything; raises the error of the thread that failed first, IsoError or OutputError."""
        for _ in range(_BUFFERS):
            self._free.put(_Piece(mmap.mmap(-1, _BUFFER)))
        works = [self._read, self._write] + ([self._checksum] if self._sum is not None else [])
        threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        try:
            self._watch(progress)
        finally:
            self._halt()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        if self._direct:
            _set_direct(self._out, on=False)
        os.ftruncate(self._out, self._reader.size)

    def _watch(self, progress: Callable[[int, int], None] | None) -> None:
        """Report progress until everything is written, or until a thread failed."""
        written = 0
        finished = 0
        wanted = 2 if self._sum is not None else 1
        while finished < wanted and not self._stop.is_set():
            try:
                count = self._done.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if count is None:
                finished += 1
                continue
            written += count
            if progress is not None:
                progress(written, self._reader.size)

    def _halt(self) -> None:
        self._stop.set()
        for waiting in (self._free, self._to_write, self._to_sum):
            waiting.put(None)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - run() raises it again; lost, the other threads wait for ever
            with self._lock:
                self._failure = self._failure or error
            self._halt()

    def _read(self) -> None:
        for offset in range(0, self._reader.size, _BUFFER):
            piece = self._free.get()
            if piece is None or self._stop.is_set():
                return
            piece.offset, piece.length = offset, min(_BUFFER, self._reader.size - offset)
            piece.users = 1 if self._sum is None else 2
            self._reader.fill(memoryview(piece.buffer)[: piece.length], offset)
            self._to_write.put(piece)
            self._to_sum.put(piece)
        self._to_write.put(None)
        self._to_sum.put(None)

    def _checksum(self) -> None:
        while (piece := self._to_sum.get()) is not None and not self._stop.is_set():
            if self._sum is not None:
                self._sum.update(memoryview(piece.buffer)[: piece.length])
            self._release(piece)
        self._done.put(None)

    def _write(self) -> None:
        while (piece := self._to_write.get()) is not None and not self._stop.is_set():
            self._write_piece(piece)
            self._release(piece)
            self._done.put(piece.length)
        self._done.put(None)

    def _release(self, piece: _Piece) -> None:
        with self._lock:
            piece.users -= 1
            last = piece.users == 0
        if last:
            self._free.put(piece)

    def _write_piece(self, piece: _Piece) -> None:
        """Write a piece; the last one is written to the end of its page and cut off afterwards."""
        length = round_up(piece.length, _ALIGNMENT)
        view = memoryview(piece.buffer)[:length]
        done = 0
        while done < length:
            try:
                done += os.pwrite(self._out, view[done:], piece.offset + done)
            except OSError as error:
                if error.errno == errno.EINVAL and self._direct:
                    self._direct = _set_direct(self._out, on=False)
                    continue
                raise OutputError(f"{self._path}: cannot write: {error.strerror}") from error
        if not self._direct and hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(self._out, piece.offset, length, os.POSIX_FADV_DONTNEED)


def _set_direct(fd: int, *, on: bool) -> bool:
    """Switch O_DIRECT on or off for an open file; returns whether it is on."""
    direct = direct_flag()
    if not direct:
        return False
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | direct if on else flags & ~direct)
    except OSError:
        return False
    return on
