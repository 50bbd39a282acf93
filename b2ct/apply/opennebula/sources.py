"""Where the file of an image comes from, and the attributes that tell a front-end so."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.report import Event, Phase
from b2ct.apply.opennebula.upload import FileServer, address_towards
from b2ct.errors import UsageError
from b2ct.plan.attributes import Attribute, first_text
from b2ct.plan.cloud_model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from b2ct.apply.opennebula.report import Progress
    from b2ct.apply.opennebula.upload import Served
    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import Wanted


@dataclass(frozen=True, slots=True)
class OnFrontend:
    """A file that is on the front-end already, in a folder that the datastore may read (SAFE_DIRS)."""

    path: str
    md5: str | None = None
    """MD5 that the front-end checks while it copies, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Download:
    """An http or https address that the front-end fetches; it checks no certificates (``curl -k``)."""

    url: str
    md5: str | None = None
    """As above; the only proof that the front-end got what was meant."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on this machine, served to the front-end while it copies."""

    path: Path


Source = OnFrontend | Download | Upload


@dataclass(slots=True)
class Sources:
    """The sources of one run; the server for uploads starts with the first of them, and ends with ``stack``."""

    endpoint: str
    by_name: Mapping[str, Source]
    bind: str | None
    stack: ExitStack
    progress: Progress
    server: FileServer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attributes(self, wanted: Wanted) -> Template:
        """Return PATH, and the MD5 that OpenNebula's downloader checks (src/datastore_mad/remotes/downloader.sh).

        The downloader takes MD5 over what it reads, before it unpacks; SHA1, when it is given too, is all it checks.

        Raises:
            UsageError: no source of the image is known.
            UploadError: its file cannot be read or served.
        """
        source = self.by_name.get(wanted.name)
        match source:
            case OnFrontend(path, md5) | Download(path, md5):
                return _path(path, md5)
            case Upload(path):
                offer = self._start().offer(path, self._counter(wanted.name))
                return _path(offer.url, offer.md5)
        if any(first_text(wanted.template, name) for name in ("PATH", "SOURCE", "SIZE")):
            return ()
        raise UsageError(f"nothing says where the image {wanted.name} comes from", hint="give its file or its address")

    def _counter(self, name: str) -> Served:
        """Return what tells how much of an upload has gone out."""
        return lambda done, total: self.progress(Event(Phase.COPYING, Kind.IMAGE, name, done, total))

    def _start(self) -> FileServer:
        with self._lock:
            if self.server is None:
                server = FileServer(self.bind or address_towards(self.endpoint))
                self.server = self.stack.enter_context(server)
            return self.server


def _path(path: str, md5: str | None) -> Template:
    return (Attribute("PATH", path), *([Attribute("MD5", md5)] if md5 else []))
