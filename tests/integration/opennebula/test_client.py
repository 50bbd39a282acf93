"""The client against the pretended front-end: time-outs, retries, lost answers, HTTPS, secrets, several at once."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from b2ct.apply.opennebula import client as client_module
from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.errors import (
    OneAuthenticationError,
    OneBadAnswerError,
    OneFaultError,
    OneInternalError,
    OneTimeoutError,
    OneUnreachableError,
    OneVersionError,
    Trouble,
)
from b2ct.errors import B2ctError, UsageError
from tests.rigs.opennebula import recordings
from tests.rigs.opennebula.server import Fault, OpenNebulaServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VERSIONS = ("6.10", "7.4")
DATABLOCK = 'NAME="{}"\nTYPE="DATABLOCK"\nSIZE="8"'
SESSION = OpenNebulaServer.session


@pytest.fixture(params=VERSIONS)
def one(request: pytest.FixtureRequest) -> Iterator[OpenNebulaServer]:
    with OpenNebulaServer(request.param) as server:
        yield server


@pytest.fixture
def client(one: OpenNebulaServer) -> OneClient:
    return OneClient(one.endpoint, one.session, timeout_s=5)


def images(client: OneClient) -> list[str]:
    return [image.NAME for image in client.call("imagepool.info", -2, -1, -1).IMAGE]


def test_answers_are_numbers_and_bound_objects(client: OneClient) -> None:
    image_id = client.call("image.allocate", DATABLOCK.format("data"), 1, False)  # noqa: FBT003 - as the API has it
    image = client.call("image.info", image_id)
    assert (image_id, "data", 8, "default") == (image.ID, image.NAME, image.SIZE, image.DATASTORE)
    assert image.TEMPLATE == {"DEV_PREFIX": "sd"}
    assert images(client) == ["data"]


def test_version_is_read(one: OpenNebulaServer, client: OneClient) -> None:
    assert client.version() == ((6, 10, 5) if one.cloud.version == "6.10" else (7, 4, 0))


@pytest.mark.parametrize(("version", "refused"), [("6.8.3", True), ("5.12.0", True), ("6.10.0", False), ("8.0", False)])
def test_old_versions_are_refused_and_new_ones_warned_of(
    version: str, *, refused: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(recordings.VERSIONS, "7.4", version)
    with OpenNebulaServer() as one:
        client = OneClient(one.endpoint, one.session)
        if refused:
            with pytest.raises(OneVersionError, match=f"OpenNebula {version} is too old"):
                client.version()
            return
        with caplog.at_level(logging.WARNING):
            assert client.version() == tuple(int(part) for part in version.split("."))
        assert ("newer than what B2CT was tested with" in caplog.text) == (version == "8.0")


def test_a_success_without_text_is_no_error(client: OneClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recordings.VERSIONS, "7.4", "")
    monkeypatch.setitem(recordings.VERSIONS, "6.10", "")
    assert client.call("system.version") == ""


def test_refusals_carry_their_code(client: OneClient) -> None:
    client.call("template.allocate", "NAME=t")
    with pytest.raises(OneInternalError) as caught:
        client.call("template.allocate", "NAME=t")
    assert (caught.value.server_code, caught.value.trouble, caught.value.taken_by) == (0x2000, Trouble.NAME_TAKEN, 0)


@pytest.mark.parametrize(("params", "code"), [((), -501), (("zero",), -501), (("\x01",), -503)])
def test_faults_carry_their_code(client: OneClient, params: tuple[str, ...], code: int) -> None:
    with pytest.raises(OneFaultError) as caught:
        client.call("image.info", *params)
    assert caught.value.server_code == code


@pytest.mark.parametrize("hostile", ["<&>]]>\"'", "tab\tand\nline", "Ünïcode €𝄞", "a" * 100_000])
def test_texts_arrive_as_they_were_sent(one: OpenNebulaServer, client: OneClient, hostile: str) -> None:
    with pytest.raises(B2ctError):
        client.call("template.rename", 5, hostile)
    assert one.calls[-1].params == (5, hostile)


@pytest.mark.parametrize("wrong", ["\ud800", 1 << 40])
def test_what_xml_rpc_cannot_carry_is_refused_before(
    one: OpenNebulaServer, client: OneClient, wrong: str | int
) -> None:
    with pytest.raises(UsageError):
        client.call("template.rename", 5, wrong)
    assert one.calls == []


def test_a_hung_server_ends_in_a_time_out(one: OpenNebulaServer) -> None:
    client = OneClient(one.endpoint, one.session, timeout_s=0.3)
    one.fail_next("image.allocate", Fault.HANG)
    started = time.monotonic()
    with pytest.raises(OneTimeoutError, match=r"no answer in 0\.3 s; it may have taken effect") as caught:
        client.call("image.allocate", DATABLOCK.format("x"), 1)
    assert caught.value.sent
    assert time.monotonic() - started < 2
    assert socket.getdefaulttimeout() is None


def test_an_answer_that_drips_ends_in_a_time_out() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(60):
            connection.sendall(b" ")
            time.sleep(0.05)

    with raw_server(drip) as endpoint, pytest.raises(OneTimeoutError, match="no whole answer"):
        OneClient(endpoint, SESSION, timeout_s=0.4).call("image.rename", 1, "x")


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_LIMIT_BYTES", 1 << 20)
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(bytes(1 << 16))
            sent.append(1 << 16)

    with raw_server(flood) as endpoint, pytest.raises(OneBadAnswerError, match="exceeds 1 MiB"):
        OneClient(endpoint, SESSION, timeout_s=5).call("image.rename", 1, "x")
    assert sum(sent) < 32 << 20


def test_nobody_there_means_not_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = OneClient(f"http://127.0.0.1:{taken.getsockname()[1]}/RPC2", SESSION)
        with pytest.raises(OneUnreachableError, match="Connection refused") as caught:
            client.call("image.delete", 1)
    assert not caught.value.sent
    assert "may have taken effect" not in caught.value.message


def test_an_unknown_host_means_not_sent() -> None:
    with pytest.raises(OneUnreachableError) as caught:
        OneClient("http://one.invalid:2633/RPC2", SESSION).call("image.delete", 1)
    assert not caught.value.sent


@pytest.mark.parametrize(("fault", "done"), [(Fault.DROP_BEFORE, False), (Fault.DROP_AFTER, True)])
def test_acting_calls_are_never_repeated(one: OpenNebulaServer, client: OneClient, fault: Fault, *, done: bool) -> None:
    one.fail_next("image.allocate", fault)
    with pytest.raises(OneUnreachableError) as caught:
        client.call("image.allocate", DATABLOCK.format("x"), 1)
    assert caught.value.sent
    assert one.methods() == ["image.allocate"]
    assert images(client) == (["x"] if done else [])


def test_reading_calls_are_repeated(one: OpenNebulaServer, client: OneClient) -> None:
    one.fail_next("imagepool.info", Fault.DROP_BEFORE, Fault.DROP_AFTER)
    assert images(client) == []
    assert one.methods() == ["imagepool.info"] * 3


def test_reading_calls_outlast_a_restart(one: OpenNebulaServer, client: OneClient) -> None:
    client.call("image.allocate", DATABLOCK.format("kept"), 1)
    one.fail_next("imagepool.info", Fault.RESTART)
    assert images(client) == ["kept"]


def test_reading_calls_give_up_in_the_end(
    one: OpenNebulaServer, client: OneClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "RETRY_WAITS_S", (0.01, 0.01))
    one.fail_next("imagepool.info", *[Fault.DROP_BEFORE] * 3)
    with pytest.raises(OneUnreachableError):
        images(client)
    assert len(one.calls) == 3


def test_http_errors_are_told(one: OpenNebulaServer, client: OneClient) -> None:
    one.fail_next("image.delete", Fault.HTTP_500)
    with pytest.raises(OneBadAnswerError, match="HTTP 500"):
        client.call("image.delete", 1)


ANSWERS = (
    b"hello",
    b"",
    b"<html><body>It works</body></html>",
    b"<?xml version='1.0'?><methodResponse><params></params></methodResponse>",
    b"<methodResponse><params><param><value><int>5</int></value></param></params></methodResponse>",
    b"<methodResponse><params><param><value><array><data></data></array></value></param></params></methodResponse>",
    (
        b"<methodResponse><params><param><value><array><data><value><boolean>1</boolean></value><value><string>&lt;IMAGE"
        b"</string></value><value><int>0</int></value></data></array></value></param></params></methodResponse>"
    ),
    b"<methodResponse><params><param><value><int>five</int></value></param></params></methodResponse>",
    b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
    + b"".join(b"<!ENTITY %c '%s'>" % (98 + i, b"&%c;" % (97 + i) * 100) for i in range(8))
    + b"]><methodResponse><params><param><value><string>&i;</string></value></param></params></methodResponse>",
)


@pytest.mark.parametrize("body", ANSWERS, ids=range(len(ANSWERS)))
def test_other_services_are_not_taken_for_opennebula(body: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with raw_server(answer) as endpoint, pytest.raises(OneBadAnswerError, match="the answer") as caught:
        OneClient(endpoint, SESSION, timeout_s=5).call("image.delete", 1)
    assert "address of OpenNebula's API" in (caught.value.hint or "")


def test_what_is_no_http_at_all_is_told() -> None:
    with raw_server(lambda connection: connection.sendall(b"220 mail ready\r\n")) as endpoint:
        with pytest.raises(OneUnreachableError) as caught:
            OneClient(endpoint, SESSION, timeout_s=5).call("image.delete", 1)
        assert caught.value.sent


def test_redirects_are_not_followed(one: OpenNebulaServer) -> None:
    def redirect(connection: socket.socket) -> None:
        where = one.endpoint.encode()
        connection.sendall(b"HTTP/1.1 307 Over there\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % where)

    with raw_server(redirect) as endpoint, pytest.raises(OneBadAnswerError, match="HTTP 307"):
        OneClient(endpoint, SESSION).call("image.delete", 1)
    assert one.calls == []


def test_proxies_of_the_environment_are_left_aside(client: OneClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert images(client) == []


def test_the_connection_is_kept_alive(one: OpenNebulaServer) -> None:
    connections = []

    def count(connection: socket.socket) -> None:
        connections.append(connection)
        with connection, connection.makefile("rb") as received:
            while head := received.readline():
                length = 0
                while head not in {b"\r\n", b""}:
                    name, _, value = head.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                    head = received.readline()
                body, _ = one.answer(received.read(length))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with raw_server(count, after_request=False) as endpoint:
        client = OneClient(endpoint, one.session)
        for _ in range(3):
            client.version()
        assert len(connections) == 1
        client.close()


def test_several_threads_share_a_client(one: OpenNebulaServer, client: OneClient) -> None:
    one.latency_s = 0.05

    def make(number: int) -> int:
        image_id = int(client.call("image.allocate", DATABLOCK.format(f"i{number}"), 1))
        image = client.call("image.info", image_id)
        assert f"i{number}" == image.NAME
        return image_id

    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(make, range(48)))
    assert sorted(made) == list(range(48))
    assert one.peak_calls > 8
    assert time.monotonic() - started < 48 * 2 * 0.05


def test_the_password_appears_nowhere(one: OpenNebulaServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    password = "pass-word-which-is-secret"  # noqa: S105 - the point of the test
    session = one.add_user("alice", password)
    client = OneClient(one.endpoint, session, timeout_s=0.3)
    wrong = OneClient(one.endpoint, f"bob:{password}", timeout_s=0.3)
    one.fail_next("image.delete", Fault.DROP_AFTER, Fault.HTTP_500, Fault.HANG)
    shown = [repr(client), str(client)]
    for caller, method in ((client, "image.delete"),) * 4 + ((wrong, "imagepool.info"), (client, "nosuch.call")):
        with pytest.raises(B2ctError) as caught:
            caller.call(method, 99)
        shown += ["".join(traceback.format_exception(caught.value)), repr(caught.value), str(caught.value.hint)]
    with pytest.raises(OneAuthenticationError):
        wrong.version()
    assert password not in "".join(shown)
    assert password not in caplog.text
    assert all(password not in repr(call) for call in one.calls)


@pytest.mark.parametrize(
    "endpoint",
    ["", "one", "ftp://one/RPC2", "http://", "http://one:x/RPC2", "http://a:b@one/RPC2", "http://[/", "http://o\nne/"],
)
def test_wrong_addresses_are_refused(endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        OneClient(endpoint, SESSION)
    assert "a:b" not in caught.value.message


@pytest.mark.parametrize("session", ["oneadmin:x\n", "one\x00:x"])
def test_sessions_of_several_lines_are_refused(session: str) -> None:
    with pytest.raises(UsageError, match="control characters"):
        OneClient("http://one/RPC2", session)


def test_https_is_checked(tmp_path: Path, one: OpenNebulaServer) -> None:
    ca, tls = make_tls(tmp_path, "127.0.0.1")
    with OpenNebulaServer(one.cloud.version, tls=tls) as secure:
        assert OneClient(secure.endpoint, secure.session, ca=ca).version()
        with pytest.raises(OneBadAnswerError, match="certificate is not trusted") as caught:
            OneClient(secure.endpoint, secure.session).version()
        assert not caught.value.sent
        assert len(secure.calls) == 1


def test_https_at_a_port_of_plain_http_is_told_so(one: OpenNebulaServer) -> None:
    endpoint = one.endpoint.replace("http:", "https:")
    with pytest.raises(OneBadAnswerError, match=r"system\.version: it does not speak https$") as caught:
        OneClient(endpoint, one.session).version()
    assert "http:// in opennebula.endpoint" in (caught.value.hint or "")


def test_https_checks_the_name(tmp_path: Path) -> None:
    ca, tls = make_tls(tmp_path, "127.0.0.2")
    with OpenNebulaServer(tls=tls) as secure, pytest.raises(OneBadAnswerError, match="certificate is not trusted"):
        OneClient(secure.endpoint, secure.session, ca=ca).version()


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(UsageError, match="no file of CA certificates"):
            OneClient("https://one/RPC2", SESSION, ca=tmp_path / name)


@contextmanager
def raw_server(serve: Callable[[socket.socket], object], *, after_request: bool = True) -> Iterator[str]:
    """Serve one connection after the other with a function of the socket."""

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    if after_request:
                        connection.recv(65536)
                    serve(connection)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/RPC2"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def make_tls(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """Return the file of a self-signed certificate for an IP address, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's front-end")])
    now = dt.datetime.now(dt.UTC)
    later = now + dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, later)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "tls.pem"
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + public)
    ca = folder / "ca.pem"
    ca.write_bytes(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return ca, context
