"""Keeps what the agent and its pilots said, before the machine and its journal are gone."""

import os
import zlib
from typing import BinaryIO

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import run_into
from b2ct_vmagent.web import ask

JOURNAL_S = 60.0
UPLOAD_S = 60.0
MOST_BYTES = 8 << 20
"""Of the journal's end: it may hold anything that payloads say, and the agent's memory has a limit."""
GZIP = 16 + zlib.MAX_WBITS
"""Has zlib write gzip's form (zlib's deflateInit2)."""
PIECE_BYTES = 1 << 16


def save_logs(paths: Paths, place: str, name: str) -> str:
    """Put the journal of all units of the agent since boot to ``place`` as ``<name>.log.gz``; return where it is.

    ``place`` is a folder, or an https URL below which the file is PUT (WebDAV, S3 gateways).

    Raises:
        AgentError: it did not get there.
    """
    target = "{}/{}.log.gz".format(place.rstrip("/"), name)
    try:
        packed = _pack(os.path.dirname(paths.uid))
        _upload(packed, target) if place.startswith("https:") else _copy(packed, target)
    except OSError as error:  # also a full disk, wherever it is
        raise AgentError("{}: {}".format(target, error))
    return target


def _pack(folder: str) -> bytes:
    """Return the packed journal; it goes through a file of ``folder``."""
    path = os.path.join(folder, ".journal")
    command = "journalctl --no-pager -b -o short-iso -u 'b2ct-vm-*' | tail -c {}".format(MOST_BYTES)
    with open(path, "w+b", opener=lambda file, flags: os.open(file, flags, 0o600)) as journal:
        os.unlink(path)
        done = run_into(["/bin/sh", "-c", command], JOURNAL_S, journal)
        if done.code != 0 or journal.seek(0, os.SEEK_END) == 0:
            raise AgentError("the journal cannot be read: {}".format(done.output or "it is empty"))
        journal.seek(0)
        return _squeeze(journal)


def _squeeze(file: BinaryIO) -> bytes:
    squeezer = zlib.compressobj(wbits=GZIP)
    pieces = [squeezer.compress(piece) for piece in iter(lambda: file.read(PIECE_BYTES), b"")]
    return b"".join([*pieces, squeezer.flush()])


def _copy(packed: bytes, target: str) -> None:
    temporary = target + ".part"
    with open(temporary, "wb") as file:
        file.write(packed)
    os.replace(temporary, target)


def _upload(packed: bytes, target: str) -> None:
    answer = ask("PUT", target, packed, {"Content-Type": "application/gzip"}, UPLOAD_S)
    if answer.status not in {200, 201, 204}:
        raise AgentError("{}: HTTP {}".format(target, answer.status))
