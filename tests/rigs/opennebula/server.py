"""A front-end on loopback: XML-RPC over HTTP, a log of its calls, and faults that tests ask for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import xmlrpc.client
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from xml.parsers.expat import ExpatError

from tests.rigs.opennebula import (  # noqa: F401 - they register their calls
    images,
    machines,
    more_objects,
    networks,
    people,
    rules,
    templates,
)
from tests.rigs.opennebula.calls import CALLS, FaultError
from tests.rigs.opennebula.cloud import Cloud, RefusedError, number

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


class Fault(StrEnum):
    """What a call can be made to suffer."""

    HANG = "no answer until the server closes"
    DROP_BEFORE = "the connection is closed, and nothing was done"
    DROP_AFTER = "it was done, and the connection is closed without an answer"
    HTTP_500 = "HTTP error 500, and nothing was done"
    RESTART = "it was done, and the server is gone for a while"


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One call that arrived: its name without ``one.``, its parameters without the session."""

    method: str
    params: tuple[Any, ...]
    user: str


class OpenNebulaServer:
    """A pretended OpenNebula 6.10 or 7.4, a context manager.

    >>> with OpenNebulaServer(version="7.4") as one:
    ...     client = OneClient(one.endpoint, one.session)

    ``endpoint`` and ``session`` are oneadmin's; ``cloud`` is the state behind it, with its delays
    (``cloud.image_delay_s``), ``cloud.files`` and ``cloud.contents``; ``calls`` is what was called, ``peak_calls`` how
    many ran at once. ``latency_s`` is slept in each call. ``tls`` makes it HTTPS.
    """

    session = "oneadmin:opennebula"

    def __init__(self, version: str = "7.4", *, latency_s: float = 0, tls: ssl.SSLContext | None = None) -> None:
        self.cloud = Cloud(version)
        self.latency_s = latency_s
        self.down_s = 0.5
        """How long a restart takes."""
        self.calls: list[LoggedCall] = []
        self.peak_calls = 0
        self._running = 0
        self._tls = tls
        self._faults: dict[str, deque[Fault]] = {}
        self._count = threading.Lock()
        self._closing = threading.Event()
        self._port = 0
        self._http: _Listener | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._stop()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/RPC2"

    def add_user(self, name: str, password: str = "secret", *, groups: tuple[int, ...] = (1,)) -> str:  # noqa: S107 - a test's
        """Make a user in groups (the first is the primary one); return its session."""
        with self.cloud.lock:
            admin = self.cloud.authenticate(self.session)
            CALLS["user.allocate"].act(self.cloud, admin, name, password, "core", list(groups))
        return f"{name}:{password}"

    def add_group(self, name: str) -> int:
        """Make a group; return its number."""
        with self.cloud.lock:
            return int(CALLS["group.allocate"].act(self.cloud, self.cloud.authenticate(self.session), name))

    def fill_datastore(self, datastore_id: int = 1, *, free_mib: int = 0) -> None:
        """Set how much space a datastore has left."""
        with self.cloud.lock:
            free = self.cloud.find("datastore", datastore_id).find("FREE_MB")
            assert free is not None
            free.text = str(free_mib)

    def fail_next(self, method: str, *faults: Fault) -> None:
        """Let the next calls of ``method`` suffer these faults, one each; ``"*"`` means the next calls of any."""
        with self._count:
            self._faults.setdefault(method, deque()).extend(faults)

    def methods(self) -> list[str]:
        """Return the names of the calls that came, in their order."""
        return [call.method for call in self.calls]

    def image_id(self, name: str) -> int | None:
        """Return the number of the first image of that name, whoever owns it."""
        with self.cloud.lock:
            trees = self.cloud.objects["image"].values()
            return next((number(tree) for tree in trees if tree.findtext("NAME") == name), None)

    def restart(self) -> None:
        """Close everything, and come back on the same port after ``down_s`` with the same state."""
        self._stop()
        self._closing.wait(self.down_s)
        if not self._closing.is_set():
            self._start()

    def _start(self) -> None:
        self._http = _Listener(self, self._port, self._tls)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def _stop(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()
            http.drop_connections()

    def next_fault(self, method: str) -> Fault | None:
        """Take the fault that the test wants for this call."""
        with self._count:
            for name in (method, "*"):
                if self._faults.get(name):
                    return self._faults[name].popleft()
        return None

    def answer(self, body: bytes) -> tuple[bytes, Fault | None]:
        """Do one call; return its answer and the fault that it suffers."""
        try:
            params, name = xmlrpc.client.loads(body)
        except (ExpatError, xmlrpc.client.ResponseError, ValueError):
            reason = "Call XML not a proper XML-RPC call.  Call is not valid XML.  syntax error"
            return _marshal(xmlrpc.client.Fault(-503, reason)), None
        method = (name or "").removeprefix("one.")
        with self._count:
            self._running += 1
            self.peak_calls = max(self.peak_calls, self._running)
            session = str(params[0]) if params else ""
            self.calls.append(LoggedCall(method, tuple(params[1:]), session.partition(":")[0]))
        try:
            fault = self.next_fault(method)
            time.sleep(self.latency_s)
            if fault is Fault.HANG:
                self._closing.wait()
            if fault in {Fault.HANG, Fault.DROP_BEFORE, Fault.HTTP_500}:
                return b"", fault
            return _marshal(self._act(name or "", method, params)), fault
        finally:
            with self._count:
                self._running -= 1

    def _act(self, name: str, method: str, params: tuple[Any, ...]) -> xmlrpc.client.Fault | list[Any]:
        """Do one call."""
        call = CALLS.get(method) if name.startswith("one.") else None
        if call is None:
            return xmlrpc.client.Fault(-506, f"Method '{name}' not defined")
        try:
            session, *checked = call.checked(params)
            with self.cloud.lock:
                self.cloud.catch_up()
                caller = self.cloud.authenticate(session)
                if call.locked:
                    return [True, call.act(self.cloud, caller, *checked), 0]
            return [True, call.act(self.cloud, caller, *checked), 0]
        except FaultError as error:
            return xmlrpc.client.Fault(error.code, error.message)
        except RefusedError as error:
            return [False, f"[one.{method}] {error.message}", error.code, error.object_id, -1]


def _marshal(answer: xmlrpc.client.Fault | list[Any]) -> bytes:
    if isinstance(answer, xmlrpc.client.Fault):
        return xmlrpc.client.dumps(answer).encode()
    return xmlrpc.client.dumps((answer,), methodresponse=True).encode()


class _Listener(ThreadingHTTPServer):
    """Serves the calls; knows its connections, to drop them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, one: OpenNebulaServer, port: int, tls: ssl.SSLContext | None) -> None:
        self.one = one
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as socketserver has it
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        """Connections that break are what the tests are about."""

    def drop_connections(self) -> None:
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        one = self.server.one
        answer, fault = one.answer(body)
        if fault is Fault.HTTP_500:
            self.send_error(500)
        elif fault is None:
            self.send_response(200)
            self.send_header("Content-Type", "text/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        else:
            self.close_connection = True
            if fault is Fault.RESTART:
                threading.Thread(target=one.restart, daemon=True).start()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        """Write nothing; the calls are in the log of the rig."""
