"""Calls an OpenNebula front-end by XML-RPC: time-outs on each call, checked HTTPS, errors with their code."""

from __future__ import annotations

import logging
import re
import ssl
import time
import xmlrpc.client
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import urllib3
from pyone import bindings
from urllib3 import exceptions as lost

from b2ct.apply.opennebula.errors import (
    READING,
    OneBadAnswerError,
    OneLostError,
    OneTimeoutError,
    OneUnreachableError,
    OneVersionError,
    make_error,
)
from b2ct.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

OLDEST = (6, 10)
"""The oldest OpenNebula that B2CT supports."""

NEWEST = (7, 4)
"""The newest OpenNebula that B2CT was tested with."""

ANSWER_LIMIT_BYTES = 256 * 1024 * 1024
"""No answer is read further: a pool of 10,000 images takes some 20 MB."""

RETRY_WAITS_S = (0.25, 0.5, 1.0, 2.0)
"""Waits before a reading call is made again on a broken connection; together they outlast a restart of oned."""

Parameter = bool | int | str | list[int]
"""What a call takes after the session. Integers have 32 bits."""

KEPT_CONNECTIONS = 32
"""So many connections are kept alive; more calls than that may run at once."""

log = logging.getLogger(__name__)


class OneClient:
    """A front-end, as one user of it; several threads may use one client at once.

    ``endpoint`` is the address of the API, such as ``http://one.example.org:2633/RPC2``; ``session`` is
    ``user:password`` or ``user:token``, and appears in no error. ``timeout_s`` bounds the time to connect, and then the
    time to the end of the answer. HTTPS is checked with the usual CAs, or with the file ``ca`` alone. Proxies and
    credentials of the environment are left aside.

    Raises:
        UsageError: the endpoint is no HTTP address, the session is not one line, or the CA file holds no certificates.
    """

    def __init__(self, endpoint: str, session: str, *, timeout_s: float = 30, ca: Path | None = None) -> None:
        self.endpoint = _checked_endpoint(endpoint)
        self.timeout_s = timeout_s
        if not session.isprintable():
            raise UsageError("the OpenNebula session holds control characters", hint="it is one line, user:password")
        self._session = session
        self._http = urllib3.PoolManager(
            maxsize=KEPT_CONNECTIONS,
            retries=False,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            ssl_context=_trusting(ca) if self.endpoint.startswith("https:") else None,
        )

    def __repr__(self) -> str:
        return f"OneClient({self.endpoint!r})"

    def close(self) -> None:
        """Close the connections that are kept alive; the next call opens a new one."""
        self._http.clear()

    def call(self, method: str, *params: Parameter) -> Any:  # noqa: ANN401 - pyone's bound objects have no common type
        """Make one call, such as ``call("image.info", 5, False)``; reading calls are repeated on a broken connection.

        Returns:
            The id that an acting call gives, text, or pyone's object bound to the XML of an answer.

        Raises:
            OneError: the front-end refused it; the subclass and ``server_code`` say why.
            OneLostError: no answer came; ``sent`` says whether the call may have taken effect.
        """
        waits = RETRY_WAITS_S if READING.fullmatch(method) else ()
        for wait_s in waits:
            try:
                return self._call_once(method, params)
            except OneUnreachableError as error:
                log.debug("%s; again in %s s", error, wait_s)
                time.sleep(wait_s)
        return self._call_once(method, params)

    def version(self) -> tuple[int, ...]:
        """Return the front-end's version, such as ``(7, 4, 0)``; one newer than NEWEST is logged as a warning.

        Raises:
            OneVersionError: it is older than OLDEST.
            OneError, OneLostError: as for ``call``.
        """
        text = str(self.call("system.version"))
        found = re.match(r"\d+(\.\d+)+", text)
        if not found:
            raise OneBadAnswerError("system.version", self.endpoint, f"{text[:40]!r} is no version", sent=True)
        version = tuple(int(part) for part in found[0].split("."))
        if version < OLDEST:
            raise OneVersionError(f"{self.endpoint}: OpenNebula {text} is too old", hint="B2CT needs 6.10 or later")
        if version[:2] > NEWEST:
            log.warning("%s: OpenNebula %s is newer than what B2CT was tested with (7.4)", self.endpoint, text)
        return version

    def _call_once(self, method: str, params: tuple[Parameter, ...]) -> Any:  # noqa: ANN401 - as call
        """Make one call and bind its answer."""
        try:
            body = xmlrpc.client.dumps((self._session, *params), f"one.{method}").encode()
        except (OverflowError, UnicodeEncodeError):
            raise UsageError(f"{method}: a number exceeds 32 bits, or a text is not Unicode") from None
        try:
            values, _ = xmlrpc.client.loads(self._post(method, body))
        except xmlrpc.client.Fault as fault:
            raise make_error(method, fault.faultCode, fault.faultString) from None
        except (ExpatError, xmlrpc.client.Error, ValueError, TypeError, LookupError):
            raise self._no_opennebula(method, "the answer is not XML-RPC") from None
        match values:
            case ([True, str(text), int(), *_],) if text.startswith("<"):
                return self._bind(method, text)
            case ([True, int() | str() as value, int(), *_],):
                return value
            case ([False, str(message), int(code), *rest],):
                raise make_error(method, code, message, rest[0] if rest and isinstance(rest[0], int) else None)
        raise self._no_opennebula(method, "the answer is not one of OpenNebula")

    def _bind(self, method: str, text: str) -> object:
        """Return pyone's object for the XML of an answer."""
        try:
            bound: object = bindings.parseString(text.encode())
        except SyntaxError:  # lxml's XMLSyntaxError is one
            raise self._no_opennebula(method, "the answer holds broken XML") from None
        return bound

    def _post(self, method: str, body: bytes) -> bytes:
        """Send one request and return the whole answer, unless it comes too late or grows too long."""
        try:
            answer = self._http.request(
                "POST", self.endpoint, body=body, headers={"Content-Type": "text/xml"}, preload_content=False
            )
            try:
                data = self._read(method, answer)
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except lost.HTTPError as error:
            raise self._lost(method, error) from None
        return data

    def _read(self, method: str, answer: urllib3.BaseHTTPResponse) -> bytes:
        """Return the body of an answer; every piece has to come before the deadline."""
        if answer.status != HTTPStatus.OK:
            raise self._no_opennebula(method, f"it answers with HTTP {answer.status}")
        deadline = time.monotonic() + self.timeout_s
        data = bytearray()
        while piece := answer.read1(1 << 16):
            data += piece
            if len(data) > ANSWER_LIMIT_BYTES:
                raise self._no_opennebula(method, f"the answer exceeds {ANSWER_LIMIT_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                raise OneTimeoutError(method, self.endpoint, f"no whole answer in {self.timeout_s:g} s", sent=True)
        return bytes(data)

    def _no_opennebula(self, method: str, reason: str) -> OneBadAnswerError:
        """Return the error for an answer that oned does not give."""
        hint = "is this the address of OpenNebula's API, such as http://one.example.org:2633/RPC2?"
        return OneBadAnswerError(method, self.endpoint, reason, sent=True, hint=hint)

    def _lost(self, method: str, error: lost.HTTPError) -> OneLostError:
        """Return the error for a connection that failed."""
        hint = "does the front-end run, and do the firewalls let us through?"
        never_connected = isinstance(error, lost.NewConnectionError)  # to urllib3 one of the time-outs, which it is not
        if isinstance(error, lost.ConnectTimeoutError) and not never_connected:
            reason = f"no connection in {self.timeout_s:g} s"
            return OneTimeoutError(method, self.endpoint, reason, sent=False, hint=hint)
        if isinstance(error, lost.TimeoutError) and not never_connected:
            return OneTimeoutError(method, self.endpoint, f"no answer in {self.timeout_s:g} s", sent=True)
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"its certificate is not trusted ({cause.verify_message})"
            hint = "name the file of the CA that signed it"
            return OneBadAnswerError(method, self.endpoint, reason, sent=False, hint=hint)
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            reason, hint = "it does not speak https", "http:// in opennebula.endpoint, or the port of the https proxy"
            return OneBadAnswerError(method, self.endpoint, reason, sent=False, hint=hint)
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        return OneUnreachableError(method, self.endpoint, reason, sent=not never_connected, hint=hint)


def _checked_endpoint(endpoint: str) -> str:
    """Return the endpoint if it is an address that holds no credentials."""
    try:
        parts = urlsplit(endpoint)
        usable = endpoint.startswith(("http://", "https://")) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not endpoint.isprintable():
        raise UsageError("the OpenNebula endpoint is no HTTP address", hint="such as http://one.example.org:2633/RPC2")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the OpenNebula endpoint holds a password", hint="user:password stand in the session alone")
    return endpoint


def _trusting(ca: Path | None) -> ssl.SSLContext:
    """Return what checks certificates: by the CAs of this machine, or by those of one file alone."""
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{ca}: no file of CA certificates ({reason})", hint="PEM is needed") from error
