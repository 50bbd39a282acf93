"""Keeps what the agent and its pilots said, before the machine and its journal are gone."""

import gzip
import os
import shutil
import tempfile
from typing import BinaryIO

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.programs import run_into
from b2ct_vmagent.web import ask

JOURNAL_S = 60.0
UPLOAD_S = 60.0
MOST_LINES = 100000
"""Lines of the journal that are kept: the last ones."""


def save_logs(place: str, name: str) -> str:
    """Put the journal of all units of the agent since boot to ``place`` as ``<name>.log.gz``; return where it is.

    ``place`` is a folder, or an https URL below which the file is PUT (WebDAV, S3 gateways).

    Raises:
        AgentError: it did not get there.
    """
    target = "{}/{}.log.gz".format(place.rstrip("/"), name)
    try:
        with tempfile.TemporaryFile() as journal, tempfile.TemporaryFile() as packed:
            _pack(name, journal, packed)
            _upload(packed, target) if place.startswith("https:") else _copy(packed, target)
    except OSError as error:  # also a full disk, wherever it is
        raise AgentError("{}: {}".format(target, error))
    return target


def _pack(name: str, journal: BinaryIO, packed: BinaryIO) -> None:
    argv = ["journalctl", "--no-pager", "-b", "-o", "short-iso", "-n", str(MOST_LINES), "-u", "b2ct-vm-*"]
    done = run_into(argv, JOURNAL_S, journal)
    if done.code != 0:
        raise AgentError("the journal cannot be read: {}".format(done.output or "exit code {}".format(done.code)))
    journal.seek(0)
    with gzip.GzipFile(name + ".log", "wb", fileobj=packed) as archive:
        shutil.copyfileobj(journal, archive)
    packed.seek(0)


def _copy(packed: BinaryIO, target: str) -> None:
    temporary = target + ".part"
    with open(temporary, "wb") as file:
        shutil.copyfileobj(packed, file)
    os.replace(temporary, target)


def _upload(packed: BinaryIO, target: str) -> None:
    answer = ask("PUT", target, packed.read(), {"Content-Type": "application/gzip"}, UPLOAD_S)
    if answer.status not in {200, 201, 204}:
        raise AgentError("{}: HTTP {}".format(target, answer.status))
