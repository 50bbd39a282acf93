"""A web server on loopback for a folder, which can be told to fail in the ways that real ones do."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(slots=True)
class Fault:
    """What goes wrong with one path; each field is a fault of its own."""

    times: int = 1_000_000
    """So often it goes wrong, then all is well."""
    status: int = 0
    """The answer's status; 0: as usual."""
    location: str = ""
    """Redirect there."""
    data: bytes | None = None
    """Send this in place of the file."""
    cut_after: int | None = None
    """Break the connection after so many bytes of the body."""
    length: int | None = None
    """Say this Content-Length."""
    endless: bool = False
    """Send no Content-Length, and never end."""
    wait_s: float = 0
    """Wait before the answer."""
    drip_s: float = 0
    """Wait before each byte of the body."""
    no_ranges: bool = False
    """Send the whole file whatever was asked for."""
    wrong_range: bool = False
    """Answer with another range than was asked for."""
    encoding: str = ""
    """Say this Content-Encoding."""


@dataclass(slots=True)
class Web:
    """A running server."""

    folder: Path
    port: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    """By path, from the folder: ``index.json``."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range header or empty) of each request."""
    failed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def fault(self, path: str) -> Fault:
        """Return what goes wrong with this request."""
        fault = self.faults.get(path)
        if fault is None or self.failed[path] >= fault.times:
            return Fault()
        self.failed[path] += 1
        return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        wanted = self.headers.get("Range", "")
        self.web.asked.append((path, wanted))
        fault = self.web.fault(path)
        time.sleep(fault.wait_s)
        file = self.web.folder / path
        if fault.status or fault.location or not file.is_file():
            self.send_response(fault.status or (302 if fault.location else 404))
            if fault.location:
                self.send_header("Location", fault.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = file.read_bytes() if fault.data is None else fault.data
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and not fault.no_ranges else 0
        self.send_response(206 if start else 200)
        if start:
            start -= fault.wrong_range
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if fault.encoding:
            self.send_header("Content-Encoding", fault.encoding)
        self.send_body(data[start:], fault)

    def do_HEAD(self) -> None:
        """Tell the size, as OpenNebula asks for it before it downloads; no fault comes so early."""
        file = self.web.folder / self.path.strip("/")
        self.send_response(200 if file.is_file() else 404)
        self.send_header("Content-Length", str(file.stat().st_size if file.is_file() else 0))
        self.end_headers()

    def send_body(self, data: bytes, fault: Fault) -> None:
        self.close_connection = True
        if not fault.endless:
            self.send_header("Content-Length", str(len(data) if fault.length is None else fault.length))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            if fault.drip_s:
                for byte in data:
                    time.sleep(fault.drip_s)
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
            self.wfile.write(b"" if fault.drip_s else data[: fault.cut_after])
            while fault.endless:
                self.wfile.write(bytes(65536))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's signature
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Web]:
    """Serve ``folder`` until the end of the block."""
    web = Web(folder)
    handler = type("Handler", (_Handler,), {"web": web})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        web.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
