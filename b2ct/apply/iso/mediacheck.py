"""The media check that Anaconda runs: isomd5sum's checksum and its record (isomd5sum 1.2, libcheckisomd5.c)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.iso.descriptors import APPLICATION_USE, FIRST_SET
from b2ct.apply.iso.source import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.iso.source import Source

FIELD_OFFSET = FIRST_SET * SECTOR + APPLICATION_USE.start
FIELD_SIZE = APPLICATION_USE.stop - APPLICATION_USE.start
BLANK_FIELD = b" " * FIELD_SIZE
_CHUNK = 32 * 1024
_SKIPPED_SECTORS = 15
_FRAGMENTS = 20
_CHARS_PER_FRAGMENT = 3
_READ = 4 * 1024 * 1024
_PATTERN = re.compile(
    rb"ISO MD5SUM = ([0-9a-f]{32});(?:SKIPSECTORS = (\d+);)?(?:RHLISOSTATUS=([01]);)?"
    rb"(?:FRAGMENT SUMS = ([0-9a-f]*);)?(?:FRAGMENT COUNT = (\d+);)?"
)


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """An implanted record."""

    md5: str
    skip_sectors: int
    supported: bool
    fragments: str
    """Sixty hexadecimal characters: three for each of twenty prefixes."""


def parse_media_record(field: bytes) -> MediaRecord | None:
    """Return the record in a descriptor's application use field, or None."""
    match = _PATTERN.search(field)
    if match is None:
        return None
    md5, skip, supported, fragments, _ = match.groups()
    return MediaRecord(md5.decode(), int(skip or 0), supported == b"1", (fragments or b"").decode())


def make_media_field(record: MediaRecord) -> bytes:
    """Return the 512 bytes of the field."""
    text = (
        f"ISO MD5SUM = {record.md5};SKIPSECTORS = {record.skip_sectors};RHLISOSTATUS={int(record.supported)};"
        f"FRAGMENT SUMS = {record.fragments};FRAGMENT COUNT = {_FRAGMENTS};"
        "THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"
    )
    return text.encode().ljust(FIELD_SIZE)


class MediaSum:
    """The running checksum: feed it the image from its first byte on, with the field blanked.

    ``volume_size`` is the primary descriptor's, in sectors; what lies behind it may be fed and is left out.
    """

    def __init__(self, volume_size: int, skip_sectors: int = _SKIPPED_SECTORS) -> None:
        self._total = max(0, volume_size - skip_sectors) * SECTOR
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._done = 0
        self._fragments = ""
        self._stops = _fragment_ends(self._total)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the image."""
        view = memoryview(data)[: max(0, self._total - self._done)]
        while view:
            stop = self._stops[0] if self._stops else self._total
            piece = view[: stop - self._done]
            self._md5.update(piece)
            self._done += len(piece)
            view = view[len(piece) :]
            if self._stops and self._done == self._stops[0]:
                self._stops.pop(0)
                self._fragments += "".join(f"{byte:x}"[0] for byte in self._md5.digest()[:_CHARS_PER_FRAGMENT])

    def record(self, *, supported: bool) -> MediaRecord:
        """Return what is to be implanted, once everything was fed."""
        return MediaRecord(self._md5.hexdigest(), _SKIPPED_SECTORS, supported, self._fragments)


def _fragment_ends(total: int) -> list[int]:
    """Return the offsets after which a fragment sum is taken: behind the first chunk that starts in a new fragment."""
    size = total // (_FRAGMENTS + 1)
    ends: list[int] = []
    previous = 0
    for start in range(0, total, _CHUNK) if size else ():
        if start // size != previous and len(ends) < _FRAGMENTS:
            previous = start // size
            ends.append(min(start + _CHUNK, total))
    return ends


def read_media_record(source: Source) -> MediaRecord | None:
    """Return the record implanted in an image, or None."""
    return parse_media_record(source.read(FIELD_OFFSET, FIELD_SIZE))


def sum_media(
    source: Source,
    volume_size: int,
    skip_sectors: int = _SKIPPED_SECTORS,
    progress: Callable[[int, int], None] | None = None,
) -> MediaRecord:
    """Return the record that an image ought to carry, by reading all of it; sizes are in sectors."""
    running = MediaSum(volume_size, skip_sectors)
    total = min(source.size, volume_size * SECTOR)
    for offset in range(0, total, _READ):
        data = source.read(offset, min(_READ, total - offset))
        if offset == 0:
            data = data[:FIELD_OFFSET] + BLANK_FIELD + data[FIELD_OFFSET + FIELD_SIZE :]
        running.update(data)
        if progress is not None:
            progress(offset + len(data), total)
    return running.record(supported=False)
