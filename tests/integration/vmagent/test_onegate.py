"""What the agent tells OneGate, and what it does when OneGate is not as it should be."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import onegate
from b2ct_vmagent.onegate import OneGate
from b2ct_vmagent.reports import News, ReportError

from tests.rigs.opennebula.onegate import OneGateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.vmagent.conftest import Guest


def write_context(guest: Guest, endpoint: str, token: str = "token") -> None:  # noqa: S107 - of a pretended VM
    guest.write("run/b2ct-vm/context.sh", f"VMID='7'\nONEGATE_ENDPOINT='{endpoint}'\nB2CT_PERIOD_S='1'\n")
    guest.write("run/b2ct-vm/token.txt", token)


@pytest.mark.parametrize("version", ["6.10", "7.4"])
def test_not_ready_says_why_and_ready_takes_it_back(guest: Guest, version: str) -> None:
    guest.write("etc/b2ct-vm/agent.conf", '[agent]\nsite = "x\\\nvo = belle\nno such option ]]> = "1"\n')
    with OneGateServer(version) as gate:
        gate.add_vm(7, "token")
        write_context(guest, gate.endpoint)
        with guest.running():
            guest.status(lambda document: bool(document["reports"]["onegate"]["state"] == "ok"))
        assert gate.machines[7].attributes["READY"] == "NO"
        assert "there is no option no such option ]] >" in gate.machines[7].attributes["B2CT_ERROR"]
        guest.write("etc/b2ct-vm/agent.conf", "[agent]\n")
        with guest.running():
            guest.status(lambda document: bool(document["ready"] and document["reports"]["onegate"]["state"] == "ok"))
        assert gate.machines[7].attributes["READY"] == "YES"
        assert gate.machines[7].attributes["B2CT_ERROR"] == ""


def test_is_told_once_and_not_every_period(guest: Guest) -> None:
    with OneGateServer() as gate:
        gate.add_vm(7, "token")
        write_context(guest, gate.endpoint)
        with guest.running():
            first = guest.status(lambda document: bool(document["reports"]["onegate"]["state"] == "ok"))
            guest.status(lambda document: bool(document["written_s"] > first["written_s"] + 1))
        assert len(gate.requests) == 1


def test_an_outage_is_waited_out(guest: Guest) -> None:
    with OneGateServer() as gate:
        gate.add_vm(7, "token")
        gate.failures = [0, 500, 503]
        write_context(guest, gate.endpoint)
        with guest.running():
            document = guest.status(lambda document: bool(document["reports"]["onegate"]["state"] == "ok"))
        assert document["ready"]
        assert [request.status for request in gate.requests] == [0, 500, 503, 200]


def test_a_cloud_without_onegate_does_not_stop_the_worker(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    write_context(guest, endpoint)
    with guest.running():
        document = guest.status(lambda document: "refused" in document["reports"]["onegate"]["detail"])
        assert document["ready"]
        assert document["reports"]["onegate"]["state"] == "waiting"
        assert guest.call("status").returncode == 0


def test_a_wrong_token_is_told_and_stays_secret(guest: Guest) -> None:
    with OneGateServer() as gate:
        gate.add_vm(7, "token")
        write_context(guest, gate.endpoint, "geheim")
        with guest.running() as process:
            document = guest.status(lambda document: "401" in document["reports"]["onegate"]["detail"])
            shown = guest.call("status").stdout + guest.call("context").stdout
            process.terminate()
            assert process.stderr is not None
            shown += process.stderr.read()
        assert document["ready"]
        assert "Not authorized" in shown
        assert "geheim" not in shown + str(document)


def test_it_ends_at_once_even_while_a_probe_hangs(guest: Guest) -> None:
    guest.write("usr/bin/cvmfs_config", f"#!/bin/sh\n: >{guest.root}/asked\nsleep 3600\n")
    (guest.root / "usr/bin/cvmfs_config").chmod(0o755)
    guest.write("etc/b2ct-vm/agent.conf", "[agent]\ncvmfs_repositories = belle.cern.ch,belle.kek.jp\n")
    with guest.running():
        deadline = time.monotonic() + 20
        while not (guest.root / "asked").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        started = time.monotonic()
    assert (guest.root / "asked").exists()
    assert time.monotonic() - started < 3


@contextlib.contextmanager
def raw_server(answer: bytes | None) -> Iterator[str]:
    """A server that says ``answer`` to whatever comes; with None it says nothing and holds the connection."""
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                held.append(connection)
                if answer is not None:
                    connection.settimeout(5)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closed with data unread, a connection is reset
                        pass
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (None, False),
        (b"", False),
        (b"\x00\xff garbage\r\n\r\n", False),
        (b"HTTP/1.1 500 Oops\r\n\r\nParse error", False),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", True),
        (b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nnot\n\x00!", True),
    ],
)
def test_whatever_answers_is_one_error(answer: bytes | None, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a parameter of the test
    monkeypatch.setattr(onegate, "TIMEOUT_S", 0.5)
    with raw_server(answer) as endpoint:
        started = time.monotonic()
        with pytest.raises(ReportError) as caught:
            OneGate(endpoint, "7", "token").report(News(ready=True))
        assert time.monotonic() - started < 5
    assert caught.value.refused is refused


def test_an_answer_that_trickles_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, the whole does not."""
    monkeypatch.setattr(onegate, "TIMEOUT_S", 0.5)

    def serve() -> None:
        with contextlib.suppress(OSError), server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(ReportError, match="no whole answer"):
            OneGate(f"http://127.0.0.1:{server.getsockname()[1]}", "7", "token").report(News(ready=True))
        assert time.monotonic() - started < 3
        thread.join(10)
    assert not thread.is_alive()
