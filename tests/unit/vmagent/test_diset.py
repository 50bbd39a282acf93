from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import TYPE_CHECKING, cast

import pytest
from b2ct_vmagent import diset
from b2ct_vmagent.dencode import DamagedError, encode
from b2ct_vmagent.diset import Diset, DisetError

if TYPE_CHECKING:
    from pathlib import Path

URL = "dips://dirac.example.org:9163/WorkloadManagement/VirtualMachineManager"


class Link:
    """A TLS connection on whose other side everything is prepared."""

    def __init__(self, *pieces: bytes, seconds_each: float = 0.0) -> None:
        self.sent = b""
        self._pieces = list(pieces)
        self._seconds_each = seconds_each

    def settimeout(self, left_s: float) -> None:
        assert left_s > 0

    def send(self, data: memoryview) -> int:
        taken = bytes(data[:7])
        self.sent += taken
        return len(taken)

    def recv(self, _most: int) -> bytes:
        time.sleep(self._seconds_each)
        return self._pieces.pop(0) if self._pieces else b""


def frame(value: object) -> bytes:
    data = encode(value)
    return b"%d:%s" % (len(data), data)


def exchange(link: Link, due_in_s: float = 5.0, largest_bytes: int = 1000) -> dict[str, object]:
    frames = [frame("proposal"), frame(["arguments"])]
    return diset._exchange(cast("ssl.SSLSocket", link), frames, largest_bytes, time.monotonic() + due_in_s)  # noqa: SLF001 - without a network


OK = {"OK": True, "Value": None}
ANSWER = {"OK": True, "Value": ["answer", 1.5]}
REFUSAL = {"OK": False, "Message": "Unauthorized query"}


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_exchanges_two_frames_each_way_however_they_are_cut(size: int) -> None:
    stream = frame(OK) + frame(ANSWER)
    link = Link(*(stream[start : start + size] for start in range(0, len(stream), size)))
    assert exchange(link) == ANSWER
    assert link.sent == frame("proposal") + frame(["arguments"])


def test_says_nothing_more_to_a_service_that_refuses() -> None:
    link = Link(frame(REFUSAL))
    assert exchange(link) == REFUSAL
    assert link.sent == frame("proposal")


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"not a number:",
        b":",
        b"-1:n",
        b"+1:n",
        b" 1:n",
        b"0:",
        b"1001:",
        b"999999999999999",
        frame(7),
        frame({"OK": 1}),
        frame({"Value": 1}),
        b"4:null",
        b"2:{}",
        b"dka40:",
    ],
)
def test_garbage_is_told(stream: bytes) -> None:
    with pytest.raises(DamagedError):
        exchange(Link(stream))


@pytest.mark.parametrize("stream", [b"", b"10", b"10:", frame(OK), frame(OK) + frame(ANSWER)[:-1]])
def test_a_closed_connection_is_told(stream: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        exchange(Link(*(stream[place : place + 1] for place in range(len(stream)))))


def test_a_server_that_trickles_does_not_hold_up() -> None:
    begun_s = time.monotonic()
    with pytest.raises(socket.timeout):
        exchange(Link(b"999:", *[b"s"] * 900, seconds_each=0.01), due_in_s=0.2)
    assert time.monotonic() - begun_s < 1


@pytest.mark.parametrize(
    "url",
    ["", "dirac.example.org", "https://h:1/a/b", "dips://h/a/b", "dips://h:x/a/b", "dips://h:99999/a/b", "dips://h:1"],
)
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(DisetError, match="is no URL") as caught:
        Diset(url, "", "", "").call("ping")
    assert caught.value.refused


def test_missing_certificates_are_told(tmp_path: Path) -> None:
    with pytest.raises(DisetError, match="nowhere: no certificates of CAs: No such file") as caught:
        Diset(URL, "cert", "key", str(tmp_path / "nowhere")).call("ping")
    assert caught.value.refused
    with pytest.raises(DisetError, match=r"cert.pem and .*key.pem: no certificate with its key: No such") as caught:
        Diset(URL, str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"), str(tmp_path)).call("ping")
    assert caught.value.refused
    (tmp_path / "proxy").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(DisetError, match="proxy: no certificate with its key") as caught:
        Diset(URL, str(tmp_path / "proxy"), "", str(tmp_path)).call("ping")
    assert caught.value.refused


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "said", "refused"),
    [
        (TimeoutError(), "no answer in 30 s", False),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name cannot be resolved", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection is refused", False),
        (ConnectionResetError(), "closed the connection", False),
        (ssl.SSLEOFError(), "closed the connection", False),
        (tls_error("CERTIFICATE_VERIFY_FAILED"), "its certificate does not hold", True),
        (ssl.CertificateError(1, "hostname mismatch"), "its certificate does not hold: hostname mismatch", True),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), "it does not take our certificate: tlsv1 alert unknown ca", True),
        (tls_error("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "it does not take our certificate", True),
        (tls_error("WRONG_VERSION_NUMBER"), "no TLS: wrong version number", False),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "Network is unreachable", False),
    ],
)
def test_errors_say_which(error: Exception, said: str, *, refused: bool) -> None:
    text, found = diset._explain(error, 30.0)  # noqa: SLF001 - the network gives each of them only in its own time
    assert said in text
    assert found is refused
