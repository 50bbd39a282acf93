"""Asks services of DIRAC: remote calls over DISET (``dips://``), with nothing but the standard library.

The protocol is that of DIRAC 8 and 9 (Core/DISET): TLS with certificates on both sides, then frames
``<decimal length>:<payload>``. The client proposes a method, the service agrees, the client sends the arguments, the
service answers.
"""

import os
import re
import socket
import ssl
import threading
import time
from typing import Any, Dict, List, NamedTuple, Tuple
from urllib.parse import urlsplit

from b2ct_vmagent import __version__
from b2ct_vmagent.dencode import DamagedError, decode, encode
from b2ct_vmagent.errors import AgentError

LONGEST_HEAD = 12
"""Characters before the colon of a frame."""
LARGEST_BYTES = 8 << 20
"""A whole configuration, compressed, is a few hundred KiB."""

_OUR_FAULT = re.compile("ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")


class DisetError(AgentError):
    """A call did not come to an answer; ``refused`` when trying again soon is of no use."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Diset(NamedTuple):
    """One service of DIRAC, and who asks it; every call is a connection of its own."""

    url: str
    """Such as ``dips://dirac.example.org:9163/WorkloadManagement/VirtualMachineManager``."""
    certificate: str
    """File; may hold the key too, as a proxy does."""
    key: str
    """File; empty when the certificate's file holds it."""
    ca_path: str
    """A folder of hashed CA certificates, or a file."""
    setup: str = ""
    vo: str = ""
    extra: str = "hosts"
    """Who asks: ``hosts``, or the group that a person acts for."""
    timeout_s: float = 30.0
    """For the whole call."""
    largest_bytes: int = LARGEST_BYTES
    """No larger answer is read."""

    def call(self, method: str, *arguments: object) -> Dict[str, Any]:
        """Call a method; return DIRAC's own result: ``OK`` with ``Value``, or not with ``Message``.

        It comes back within ``timeout_s``, however slowly the service answers. ``dencode.as_bytes`` makes bytes of a
        binary value.

        Raises:
            DisetError: no answer came, or none that a service of DIRAC gives.
            TypeError: an argument cannot be sent.
        """
        host, port, service = self._place()
        proposal = ((service, self.setup, self.vo), ("RPC", method), self.extra, "b2ct-" + __version__)
        frames = [_frame(proposal), _frame(list(arguments))]
        due_s = time.monotonic() + self.timeout_s
        context = self._context()
        try:
            with _connect(host, port, due_s) as plain:
                plain.settimeout(_left_s(due_s))
                with context.wrap_socket(plain, server_hostname=host) as link:
                    return _exchange(link, frames, self.largest_bytes, due_s)
        except DamagedError as error:
            said, refused = "no answer of a service of DIRAC: {}".format(error), False
        except (OSError, ValueError) as error:
            said, refused = _explain(error, self.timeout_s)
        raise DisetError("{}:{}/{}: {}".format(host, port, service, said), refused=refused)

    def _place(self) -> Tuple[str, int, str]:
        """Return host, port and name of the service."""
        parts = urlsplit(self.url)
        try:
            host, port, service = parts.hostname, parts.port, parts.path.strip("/")
        except ValueError:
            port = None
        if parts.scheme != "dips" or not (port and host and service):
            raise DisetError("{!r} is no URL such as dips://host:9163/System/Service".format(self.url), refused=True)
        return host, port, service

    def _context(self) -> ssl.SSLContext:
        """Read the certificates, anew for each call, for they are renewed while the agent runs."""
        folder, file = (self.ca_path, None) if os.path.isdir(self.ca_path) else (None, self.ca_path)
        try:
            context = ssl.create_default_context(capath=folder, cafile=file)
        except OSError as error:
            raise DisetError("{}: no certificates of CAs: {}".format(self.ca_path, _reason(error)), refused=True)
        # many CAs of the grid are older than the rules that Python 3.13 turns on
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        try:
            # an encrypted key is an error, not a question on the console
            context.load_cert_chain(self.certificate, self.key or None, password=str)
        except (OSError, ValueError) as error:
            files = " and ".join(sorted({self.certificate, self.key} - {""}))
            raise DisetError("{}: no certificate with its key: {}".format(files, _reason(error)), refused=True)
        return context


def _frame(value: object) -> bytes:
    payload = encode({"OK": True, "Value": value})
    return b"%d:%s" % (len(payload), payload)


def _left_s(due_s: float) -> float:
    left_s = due_s - time.monotonic()
    if left_s <= 0:
        raise socket.timeout
    return left_s


def _connect(host: str, port: int, due_s: float) -> socket.socket:
    """Try one address after the other, each with its share of the time."""
    addresses = _resolve(host, port, due_s)
    for number, address in enumerate(addresses[:-1]):
        try:
            return socket.create_connection(address, _left_s(due_s) / (len(addresses) - number))
        except OSError:  # noqa: PERF203 - a connection takes longer
            continue
    return socket.create_connection(addresses[-1], _left_s(due_s))


def _resolve(host: str, port: int, due_s: float) -> List[Tuple[str, int]]:
    """Ask for the addresses in a thread of its own, for the resolver knows no time limit."""
    found: List[Tuple[str, int]] = []
    errors: List[OSError] = []

    def ask() -> None:
        try:
            found.extend((str(entry[4][0]), port) for entry in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except UnicodeError:
            errors.append(socket.gaierror(socket.EAI_NONAME, "no name of a host"))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_left_s(due_s))
    if errors:
        raise errors[0]
    if not found:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer in time")
    return found


def _exchange(link: ssl.SSLSocket, frames: List[bytes], largest_bytes: int, due_s: float) -> Dict[str, Any]:
    """Send each frame and read its answer; the first answer that is not OK is the last."""
    rest, answer = b"", {"OK": True}
    for frame in frames:
        if answer["OK"]:
            _send(link, frame, due_s)
            payload, rest = _receive(link, rest, largest_bytes, due_s)
            answer = _result(decode(payload))
    return answer


def _result(answer: object) -> Dict[str, Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("OK"), bool):
        raise DamagedError("neither OK nor an error")
    return answer


def _send(link: ssl.SSLSocket, data: bytes, due_s: float) -> None:
    view = memoryview(data)
    try:
        while view:
            link.settimeout(_left_s(due_s))
            view = view[link.send(view) :]
    except (ConnectionError, ssl.SSLEOFError):
        return  # why it closed the connection is yet to be read


def _receive(link: ssl.SSLSocket, rest: bytes, largest_bytes: int, due_s: float) -> Tuple[bytes, bytes]:
    """Return one frame's payload and what came after it; ``rest`` is what came before."""
    buffer = bytearray(rest)
    while b":" not in buffer[:LONGEST_HEAD]:
        if len(buffer) >= LONGEST_HEAD:
            raise DamagedError("no length of a frame")
        buffer += _read(link, due_s)
    head = bytes(buffer[: buffer.index(b":")])
    if not re.fullmatch(rb"[0-9]+", head):
        raise DamagedError("no length of a frame")
    start, length = len(head) + 1, int(head)
    if length > largest_bytes:
        raise DamagedError("{} bytes, at most {} are read".format(length, largest_bytes))
    while len(buffer) < start + length:
        buffer += _read(link, due_s)
    return bytes(buffer[start : start + length]), bytes(buffer[start + length :])


def _read(link: ssl.SSLSocket, due_s: float) -> bytes:
    link.settimeout(_left_s(due_s))
    data = link.recv(65536)
    if not data:
        raise ConnectionResetError
    return data


def _reason(error: Exception) -> str:
    """Return an error of the system or of OpenSSL as a few words."""
    reason = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and reason:
        return str(reason).lower().replace("_", " ")
    return str(getattr(error, "strerror", "") or error or type(error).__name__)


def _explain(error: Exception, timeout_s: float) -> Tuple[str, bool]:
    """Return what an error of a connection means, and whether trying again soon is of no use."""
    refused = False
    if isinstance(error, socket.timeout):
        said = "no answer in {:.0f} s".format(timeout_s)
    elif isinstance(error, socket.gaierror):
        said = "the name cannot be resolved: {}".format(_reason(error))
    elif isinstance(error, ConnectionRefusedError):
        said = "the connection is refused: nothing listens there"
    elif isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        said = "it closed the connection"
    elif isinstance(error, ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        said, refused = getattr(error, "verify_message", "") or _reason(error), True
        said = "its certificate does not hold: {}".format(said)
    elif isinstance(error, ssl.SSLError) and _OUR_FAULT.search(error.reason or ""):
        said, refused = "it does not take our certificate: {}".format(_reason(error)), True
    elif isinstance(error, ssl.SSLError):
        said = "no TLS: {}".format(_reason(error))
    else:
        said = _reason(error)
    return said, refused
