"""Serves image files to a front-end from this machine, for as long as it copies them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

from b2ct.errors import B2ctError, UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CHUNK_BYTES = 1 << 20

IDLE_S = 60
"""A connection on which nothing moves for so long is given up; curl comes again."""

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")

BIND = re.compile(
    r"(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)"
    r"|(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
"""An IPv6 address as it is, or an address with an optional port (RFC 3986 3.2)."""

LAST_PORT = 65535

PLAIN_NAME = re.compile(r"[^A-Za-z0-9_.-]")


Served = Callable[[int, int], None]


class UploadError(B2ctError):
    """A file cannot be served to the front-end."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that is being served."""

    url: str
    md5: str
    """MD5 of the file, hexadecimal."""


class _File:
    """A file on offer, and how much of it has gone out."""

    def __init__(self, path: Path, size_bytes: int, served: Served) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._served = served
        self._out = 0
        self._lock = threading.Lock()

    def count(self, more: int) -> None:
        with self._lock:
            self._out += more
            out = self._out
        self._served(out, self.size_bytes)


class FileServer:
    """An HTTP server for single files at addresses that nobody can guess; a context manager.

    It listens on ``bind`` alone, ``ADDRESS`` or ``ADDRESS:PORT`` (``[ADDRESS]:PORT`` for IPv6); without port, on one
    that is free. All else than the files on offer is answered with 404.

    Raises:
        UsageError: ``bind`` is neither of both.
    """

    def __init__(self, bind: str) -> None:
        self.bind = bind
        self._address, self._port = split_address(bind)
        self._files: dict[str, _File] = {}
        self._http: _Listener | None = None

    def __enter__(self) -> Self:
        try:
            self._http = _Listener((self._address, self._port), self._files)
        except OSError as error:
            hint = "give an address of this machine that the front-end reaches"
            raise UploadError(f"cannot listen on {self.bind}: {error.strerror}", hint=hint) from error
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._files.clear()
            self._http.shutdown()
            self._http.server_close()

    def offer(self, path: Path, served: Served) -> Offer:
        """Serve a file; ``served`` gets the bytes that have gone out so far and the file's size, from several threads.

        Raises:
            UploadError: the file cannot be read.
        """
        if self._http is None:
            raise ValueError(path)
        try:
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                size = file.tell()
        except OSError as error:
            raise UploadError(f"{path}: {error.strerror}", hint="the image's file has to be readable here") from error
        place = f"/{secrets.token_urlsafe(32)}/{quote(PLAIN_NAME.sub('_', path.name))}"
        self._files[place] = _File(path, size, served)
        host = f"[{self._address}]" if ":" in self._address else self._address
        return Offer(f"http://{host}:{self._http.server_address[1]}{place}", md5)


def address_towards(endpoint: str) -> str:
    """Return the address by which this machine reaches the host of ``endpoint``; no packet is sent.

    Raises:
        UsageError: there is no way to it.
    """
    parts = urlsplit(endpoint)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UsageError(
            f"no way to {parts.hostname} ({error.strerror})", hint="check the endpoint's address"
        ) from error


def split_address(bind: str) -> tuple[str, int]:
    """Return the address and the port of ``bind``; port 0 when it names none.

    Raises:
        UsageError: it is neither ``ADDRESS`` nor ``ADDRESS:PORT``.
    """
    found = BIND.fullmatch(bind)
    port = int(found["port"] or 0) if found else 0
    if not found or port > LAST_PORT:
        raise UsageError(f"{bind} is no address to listen on", hint="ADDRESS or ADDRESS:PORT, such as 10.10.0.5:8080")
    return found["bare"] or found["six"] or found["name"], port


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], files: dict[str, _File]) -> None:
        self.files = files
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the front-end reads the beginning of an image first, and breaks off."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, whole or in one range (RFC 9110 14)."""

    server: _Listener
    timeout = IDLE_S
    server_version = "b2ct"
    sys_version = ""

    def do_HEAD(self) -> None:
        """Answer with the size alone."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Send the file."""
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server has this name
        """Write nothing: the addresses are secret."""

    def _answer(self, *, with_body: bool) -> None:
        item = next((one for place, one in tuple(self.server.files.items()) if _same(place, self.path)), None)
        if item is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            file = item.path.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            span = _span(self.headers.get("Range"), item.size_bytes)
            if span is None:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{item.size_bytes}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first, count = span
            self._send_headers(item, first, count)
            if with_body:
                file.seek(first)
                while count and (piece := file.read(min(count, CHUNK_BYTES))):
                    self.wfile.write(piece)
                    count -= len(piece)
                    item.count(len(piece))

    def _send_headers(self, item: _File, first: int, count: int) -> None:
        part = count < item.size_bytes
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(count))
        self.send_header("Accept-Ranges", "bytes")
        if part:
            self.send_header("Content-Range", f"bytes {first}-{first + count - 1}/{item.size_bytes}")
        self.end_headers()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogateescape"))


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (first byte, count) that a Range header asks for; None if the file has nothing there.

    What is no single range is passed over, as RFC 9110 14.2 lets a server do.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found["first"] == found["last"] == "":
        return 0, size
    if found["first"] == "":
        count = min(int(found["last"]), size)
        return (size - count, count) if count else None
    first = int(found["first"])
    last = min(int(found["last"]), size - 1) if found["last"] else size - 1
    return (first, last - first + 1) if first <= last else None
