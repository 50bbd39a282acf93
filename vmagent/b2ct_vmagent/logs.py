"""Keeps what the agent and its pilots said, before the machine and its journal are gone."""

import gzip
import http.client
import os
import shutil
import tempfile
from typing import BinaryIO
from urllib.parse import urlsplit

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.programs import run_into

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
    argv = ["journalctl", "--no-pager", "-b", "-o", "short-iso", "-n", str(MOST_LINES), "-u", "b2ct-vm-*"]
    with tempfile.TemporaryFile() as journal, tempfile.TemporaryFile() as packed:
        done = run_into(argv, JOURNAL_S, journal)
        if done.code != 0:
            raise AgentError("the journal cannot be read: {}".format(done.output or "exit code {}".format(done.code)))
        journal.seek(0)
        with gzip.GzipFile(name + ".log", "wb", fileobj=packed) as archive:
            shutil.copyfileobj(journal, archive)
        packed.seek(0)
        try:
            _upload(packed, target) if place.startswith("https:") else _copy(packed, target)
        except (OSError, http.client.HTTPException) as error:
            raise AgentError("{}: {}".format(target, error))
    return target


def _copy(packed: BinaryIO, target: str) -> None:
    temporary = target + ".part"
    with open(temporary, "wb") as file:
        shutil.copyfileobj(packed, file)
    os.replace(temporary, target)


def _upload(packed: BinaryIO, target: str) -> None:
    url = urlsplit(target)
    size = packed.seek(0, os.SEEK_END)
    packed.seek(0)
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=UPLOAD_S)
    try:
        headers = {"Content-Type": "application/gzip", "Content-Length": str(size)}
        connection.request("PUT", url.path, packed, headers)
        with connection.getresponse() as answer:
            if answer.status not in {200, 201, 204}:
                raise AgentError("{}: HTTP {} {}".format(target, answer.status, answer.reason))
    finally:
        connection.close()
