"""Random access to the bytes of an image, whether it is a file or only described."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, Self

from b2ct.errors import IsoError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SECTOR = 2048
"""Bytes of a logical sector (ECMA-119 6.1.2)."""
BLOCK = 512
"""Bytes of a disk block, the unit of MBR, GPT and El Torito's boot-info pointers."""


class Source(Protocol):
    """An image of ``size`` bytes that can be read anywhere."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes; raises IsoError when the image ends before."""


class FileSource:
    """An image file, opened read only; use it in a ``with`` statement."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise IsoError(f"{path}: {error.strerror}") from error
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes; raises IsoError when the file ends before or cannot be read."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise IsoError(f"{self.name}: bytes {offset} to {offset + length} lie outside its {self.size} bytes")
        pieces = []
        while length > 0:
            try:
                piece = os.pread(self._fd, length, offset)
            except OSError as error:
                raise IsoError(f"{self.name}: cannot read at byte {offset}: {error.strerror}") from error
            if not piece:
                raise IsoError(f"{self.name}: the file became shorter while it was read")
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)


def direct_flag() -> int:
    """Return open(2)'s O_DIRECT, 0 where the system has none (macOS)."""
    flag: int = getattr(os, "O_DIRECT", 0)
    return flag


def round_up(value: int, unit: int) -> int:
    """Return the smallest multiple of ``unit`` that is not below ``value``."""
    return -(-value // unit) * unit
