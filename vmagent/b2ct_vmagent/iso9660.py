"""Reads small files from the root folder of an ISO 9660 volume: OpenNebula's context CD, without mounting it."""

import struct
from typing import BinaryIO, Dict, Iterator, Tuple

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import LARGEST_BYTES

SECTOR_BYTES = 2048


def read_root_files(path: str, label: str) -> Dict[str, bytes]:
    """Return the files in the root folder of the volume ``label``, by their lower-case names without version.

    ``CONTEXT.SH;1`` is ``context.sh`` here. Files larger than a MiB are left out. Layout: ECMA-119, 8.4 and 9.1.

    Raises:
        AgentError: no such volume, or it is damaged.
    """
    try:
        with open(path, "rb") as file:
            descriptor = _read(file, 16, SECTOR_BYTES)
            if descriptor[:6] != b"\x01CD001":
                raise AgentError("{}: no ISO 9660 volume".format(path))
            found = descriptor[40:72].decode("ascii", "replace").rstrip()
            if found != label:
                raise AgentError("{}: the volume is {!r}, not {!r}".format(path, found, label))
            extent, size = _location(descriptor[156:190])
            return {
                name: _read(file, start, length)
                for name, start, length in _entries(_read(file, extent, min(size, LARGEST_BYTES)))
            }
    except OSError as error:
        raise AgentError("{}: {}".format(path, error.strerror))


def _read(file: BinaryIO, sector: int, length: int) -> bytes:
    file.seek(sector * SECTOR_BYTES)
    data = file.read(length)
    if len(data) != length:
        raise AgentError("{}: the volume is truncated".format(file.name))
    return data


def _location(record: bytes) -> Tuple[int, int]:
    """Return first sector and length in bytes of what a directory record points to."""
    return struct.unpack_from("<I", record, 2)[0], struct.unpack_from("<I", record, 10)[0]


def _entries(folder: bytes) -> Iterator[Tuple[str, int, int]]:
    """Yield name, first sector and length of each small file of a folder; records do not cross sectors."""
    position = 0
    while position < len(folder):
        length = folder[position]
        if length == 0:
            position += SECTOR_BYTES - position % SECTOR_BYTES
            continue
        record = folder[position : position + length]
        position += length
        if len(record) < 34 or len(record) < 33 + record[32]:
            raise AgentError("the volume's root folder is damaged")
        start, size = _location(record)
        if not record[25] & 2 and size <= LARGEST_BYTES:
            name = record[33 : 33 + record[32]].decode("ascii", "replace")
            yield name.split(";")[0].rstrip(".").lower(), start, size
