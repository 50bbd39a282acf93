"""A changed image as a value, not written yet: ranges of the stock and of added files, zeros, and patches upon them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of the output. All numbers are bytes."""

    start: int
    length: int
    path: Path | None
    """The file that it is read from; None for zeros."""
    offset: int
    """Where in that file it begins."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace what the segments give."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Overlay:
    """An image that can be streamed or read anywhere without having been written."""

    size: int
    volume_size: int
    """Size of the primary volume in sectors, which the media check covers."""
    segments: tuple[Segment, ...]
    """They follow one another from 0 to ``size``."""
    patches: tuple[Patch, ...]
    """In order of their offsets, never overlapping."""
