"""Reading an overlay: the bytes of a changed image, although it was never written."""

from __future__ import annotations

import bisect
import os
from typing import TYPE_CHECKING, Self

from b2ct.apply.iso.source import direct_flag
from b2ct.errors import IsoError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from b2ct.apply.iso.overlay import Overlay

_ALIGNMENT = 4096


class OverlayReader:
    """Reads an overlay; use it in a ``with`` statement.

    With ``direct``, the buffers given to ``fill`` must be page-aligned, and whole aligned pieces of a file are read
    past the page cache where the file system allows it (O_DIRECT); everything else goes through it.
    """

    def __init__(self, overlay: Overlay, name: str, *, direct: bool = False) -> None:
        self._use_direct = direct
        self.name = name
        self.size = overlay.size
        self._overlay = overlay
        self._starts = [segment.start for segment in overlay.segments]
        self._patch_offsets = [patch.offset for patch in overlay.patches]
        self._plain: dict[Path, int] = {}
        self._direct: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in (*self._plain.values(), *self._direct.values()):
            os.close(fd)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the image; raises IsoError when a file behind it became shorter."""
        out = bytearray(length)
        self.fill(memoryview(out), offset)
        return bytes(out)

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill a buffer from ``offset`` on; raises IsoError when a file behind it became shorter."""
        end = offset + len(view)
        at = offset
        index = bisect.bisect_right(self._starts, offset) - 1
        while at < end:
            segment = self._overlay.segments[index]
            count = min(end, segment.start + segment.length) - at
            target = view[at - offset : at - offset + count]
            if segment.path is None:
                target[:] = bytes(count)
            else:
                direct = self._use_direct and (at - offset) % _ALIGNMENT == 0
                self._read_file(segment.path, segment.offset + at - segment.start, target, direct=direct)
            at += count
            index += 1
        self._apply_patches(view, offset)

    def _apply_patches(self, view: memoryview, offset: int) -> None:
        end = offset + len(view)
        index = max(0, bisect.bisect_right(self._patch_offsets, offset) - 1)
        for patch in self._overlay.patches[index:]:
            if patch.offset >= end:
                return
            start, stop = max(patch.offset, offset), min(patch.offset + len(patch.data), end)
            if start < stop:
                view[start - offset : stop - offset] = patch.data[start - patch.offset : stop - patch.offset]

    def _read_file(self, path: Path, offset: int, target: memoryview, *, direct: bool) -> None:
        aligned = direct and offset % _ALIGNMENT == 0 and len(target) % _ALIGNMENT == 0
        done = 0
        try:
            fd = self._open(path, direct=aligned)
            while done < len(target):
                count = os.preadv(fd, [target[done:]], offset + done)
                if count == 0:
                    raise IsoError(f"{path}: the file became shorter while it was read")
                done += count
                if done % _ALIGNMENT:
                    fd = self._open(path, direct=False)
        except OSError as error:
            raise IsoError(f"{path}: cannot read at byte {offset + done}: {error.strerror}") from error

    def _open(self, path: Path, *, direct: bool) -> int:
        known = self._direct if direct else self._plain
        if path not in known:
            known[path] = _open_direct(path) if direct else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return known[path]


def _open_direct(path: Path) -> int:
    """Open past the page cache, or plainly where the file system refuses."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | direct_flag())
    except OSError:
        return os.open(path, flags)
