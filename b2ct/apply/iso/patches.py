"""Changed bytes of an image, collected sector by sector before anything is written; and the tail of new sectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.source import SECTOR, round_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from b2ct.apply.iso.source import Source


class SectorPatches:
    """Sectors that differ from the stock image, in the stock's own coordinates."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sectors: dict[int, bytearray] = {}

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at an offset of the stock image."""
        done = 0
        while done < len(data):
            sector, inside = divmod(offset + done, SECTOR)
            count = min(len(data) - done, SECTOR - inside)
            if sector not in self._sectors:
                at = sector * SECTOR
                stock = self._source.read(at, min(SECTOR, self._source.size - at))
                self._sectors[sector] = bytearray(stock)
            self._sectors[sector][inside : inside + count] = data[done : done + count]
            done += count

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for sector in sorted(self._sectors):
            yield sector * SECTOR, bytes(self._sectors[sector])


@dataclass(frozen=True, slots=True)
class TailFile:
    """A big file that lies in the tail: streamed from disk, never held."""

    sector: int
    source: Path
    size: int


class Tail:
    """New sectors, handed out one after the other from ``start`` on (sectors of the output)."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.blobs: dict[int, bytes] = {}
        self.files: list[TailFile] = []
        self._names: dict[bytes, int] = {}

    def reserve(self, size: int) -> int:
        """Return the first of as many sectors as ``size`` bytes need."""
        sector = self.end
        self.end += round_up(size, SECTOR) // SECTOR
        return sector

    def add_bytes(self, data: bytes) -> int:
        """Return the sector at which ``data`` will lie."""
        sector = self.reserve(len(data))
        if data:
            self.blobs[sector] = data
        return sector

    def add_file(self, source: Path, size: int) -> int:
        """Return the sector at which a file from disk will lie."""
        sector = self.reserve(size)
        self.files.append(TailFile(sector, source, size))
        return sector

    def add_name(self, entries: bytes) -> int:
        """Return the sector of a continuation area; trees with the same long name share it."""
        if entries not in self._names:
            self._names[entries] = self.add_bytes(entries)
        return self._names[entries]
