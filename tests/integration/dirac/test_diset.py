"""DIRAC's protocol: the codec against DIRAC's own, binary answers, and services that misbehave."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent.dencode import as_bytes, decode, encode
from b2ct_vmagent.diset import Diset, DisetError
from b2ct_vmagent.reports import News, ReportError
from b2ct_vmagent.vmdirac import Instance, VmDirac
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rigs.dirac.false_service import run_false_service

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.rigs.dirac.central import Central

SERVER = "Configuration/Server"
ORACLE = """
import json, os, sys
from DIRAC.Core.Utilities import DEncode, JEncode
for line in sys.stdin:
    value, size = DEncode.decode(bytes.fromhex(line))
    answer = [size, repr(value), DEncode.encode(value).hex(), JEncode.encode({"OK": value}).encode().hex()]
    print(json.dumps(answer), flush=True)
"""
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1)).map(lambda moment: moment.replace(fold=0))  # noqa: DTZ001 - as DIRAC's
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS | MOMENTS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def ask_dirac(central: Central) -> Iterator[Callable[[bytes], list[Any]]]:
    """A function that has DIRAC decode bytes: their length, the value's repr, the bytes again, and as JSON."""
    argv = [str(central.software / "bin/python"), "-c", ORACLE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        into, out = process.stdin, process.stdout

        def ask(data: bytes) -> list[Any]:
            into.write(data.hex() + "\n")
            into.flush()
            return json.loads(out.readline())  # type: ignore[no-any-return]

        yield ask


@given(value=VALUES)
@settings(deadline=None)
def test_dirac_reads_what_is_written_and_the_other_way_round(
    ask_dirac: Callable[[bytes], list[Any]], value: object
) -> None:
    data = encode(value)
    size, seen, again, in_json = ask_dirac(data)
    assert size == len(data)
    if "e+" not in seen and "e-" not in seen:  # DIRAC multiplies where a float has an exponent
        assert seen == repr(value)
        assert bytes.fromhex(again) == data
    assert repr(decode(bytes.fromhex(again))) == seen
    decode(bytes.fromhex(in_json))


def test_reads_a_binary_answer(central: Central) -> None:
    answer = central.diset("vm", SERVER).call("getCompressedData")
    assert zlib.decompress(as_bytes(answer["Value"])).startswith(b"DIRAC\n{")


def test_reads_binary_answers_and_times_in_json(central: Central) -> None:
    server = central.diset("vm", SERVER)
    with central.answering_json(SERVER):
        answer = server.call("getCompressedData")
        assert isinstance(answer["Value"], bytes)
        assert zlib.decompress(as_bytes(answer["Value"])).startswith(b"DIRAC\n{")
        assert isinstance(server.call("ping")["Value"]["time"], dt.datetime)


def test_sends_bytes(central: Central) -> None:
    """A commit of the configuration as it is arrives whole: DIRAC refuses just that it is not newer."""
    server = central.diset("host", SERVER)
    data = as_bytes(server.call("getCompressedData")["Value"])
    answer = server.call("commitNewData", data)
    assert answer["OK"], answer


def test_a_person_asks_for_a_group(central: Central) -> None:
    person = central.diset("user")._replace(extra="rig_user")
    assert person.call("ping")["OK"]
    asked = person._replace(url=central.url(SERVER)).call("commitNewData", b"x")
    assert asked["Errno"] == 1111


def test_one_file_may_hold_certificate_and_key(central: Central, tmp_path: Path) -> None:
    one = central.identities["vm"]
    (tmp_path / "proxy").write_bytes(one.certificate.read_bytes() + one.key.read_bytes())
    asked = central.diset("vm")._replace(certificate=str(tmp_path / "proxy"), key="")
    assert asked.call("ping")["OK"]


def test_a_wrong_argument_is_told_by_the_service(central: Central) -> None:
    answer = central.diset("vm").call("instanceIDHeartBeat", "uid", 1, 0, 0, 0)
    assert not answer["OK"]
    assert "Type mismatch" in answer["Message"]


def hang(link: socket.socket) -> None:
    while link.recv(65536):
        pass


def close(link: socket.socket) -> None:
    link.recv(65536)


def trickle(link: socket.socket) -> None:
    link.sendall(b"1000000:s999990:")
    while True:
        link.sendall(b"x")
        time.sleep(0.05)


def flood(link: socket.socket) -> None:
    link.sendall(b"999999999:")
    while True:
        link.sendall(bytes(65536))


def say(data: bytes) -> Callable[[socket.socket], None]:
    def answer(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(data)
        hang(link)

    return answer


def deep(link: socket.socket) -> None:
    say(b"900000:" + b"l" * 900_000)(link)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (hang, "no answer in 1 s"),
        (trickle, "no answer in 1 s"),
        (close, "it closed the connection"),
        (flood, "at most 8388608 are read"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no answer of a service of DIRAC: no length"),
        (say(b"3:xyz"), "no answer of a service of DIRAC: b'x' is no kind of value"),
        (say(b"4:i10e"), "no answer of a service of DIRAC: neither OK nor an error"),
        (deep, "too deep"),
    ],
    ids=["hang", "trickle", "close", "flood", "http", "garbage", "number", "deep"],
)
def test_a_service_that_misbehaves_is_told_in_time(
    central: Central, behave: Callable[[socket.socket], None], said: str
) -> None:
    with run_false_service(central.identities["host"], behave) as url:
        begun_s = time.monotonic()
        with pytest.raises(DisetError, match=said) as caught:
            central.diset("vm")._replace(url=url, timeout_s=1.0).call("ping")
        assert time.monotonic() - begun_s < 3
    assert not caught.value.refused
    assert str(caught.value).startswith("localhost:")


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (hang, "no answer in 1 s"),
        (close, "it closed the connection"),
        (say(b"220 mail.example.org ESMTP\r\n"), "no TLS: "),
    ],
    ids=["hang", "close", "mail"],
)
def test_what_speaks_no_tls_is_told_in_time(
    central: Central, behave: Callable[[socket.socket], None], said: str
) -> None:
    with run_false_service(None, behave) as url, pytest.raises(DisetError, match=said) as caught:
        central.diset("vm")._replace(url=url, timeout_s=1.0).call("ping")
    assert not caught.value.refused


def test_a_reporter_comes_back_from_a_service_that_hangs(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("b2ct_vmagent.vmdirac.REPORT_S", 1.0)
    with run_false_service(central.identities["host"], hang) as url:
        reporter = VmDirac(central.diset("vm")._replace(url=url), Instance("uid", "name", "el9", "A::B", "pod"))
        begun_s = time.monotonic()
        with pytest.raises(ReportError, match="no answer in 1 s"):
            reporter.report(News())
        assert time.monotonic() - begun_s < 3


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 70 + ".invalid"])
def test_a_name_that_is_none_is_told(central: Central, name: str) -> None:
    asked: Diset = central.diset("vm")._replace(url=f"dips://{name}:9163/A/B", timeout_s=10.0)
    with pytest.raises(DisetError, match="the name cannot be resolved"):
        asked.call("ping")
