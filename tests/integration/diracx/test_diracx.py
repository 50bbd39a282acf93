"""The reporter and a real DiracX: from the first sign of life to the end, and everything that can go wrong between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import diracx
from b2ct_vmagent.diracx import DiracX, make_rows, make_stamp
from b2ct_vmagent.reports import News, Order, Outcome, Phase, ReportError

from tests.rigs.diracx.garbage import answer_all
from tests.rigs.diracx.service import VO, DiracxService
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = News(ready=True, state=Phase.READY)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiracxService]:
    need_tool("git")
    with DiracxService(tmp_path_factory.mktemp("diracx")) as running:
        yield running


@pytest.fixture
def token(service: DiracxService, tmp_path: Path) -> Path:
    service.forget_pilots()
    (tmp_path / "token").write_text(service.mint()["access_token"])
    return tmp_path / "token"


def make_reporter(url: str, token: Path, *, pilots: int = 1, vo: str = VO) -> DiracX:
    return DiracX(url, str(token), "/nonexistent", make_rows("uid", pilots, vo, "CLOUD.Rig.eu", "one.rig.eu"))


STAMP = make_stamp("uid", 0)


def test_a_life(service: DiracxService, token: Path) -> None:
    reporter = make_reporter(service.url, token, pilots=2)
    assert reporter.report(News(error="cvmfs: not mounted")) is Order.NONE
    rows = service.pilots()
    assert set(rows) == {STAMP, make_stamp("uid", 1)}
    row = rows[STAMP]
    assert (row["VO"], row["GridType"], row["GridSite"]) == (VO, "CLOUD", "CLOUD.Rig.eu")
    assert (row["DestinationSite"], row["PilotJobReference"]) == ("one.rig.eu", "cloud://uid/0")
    assert (row["Status"], row["StatusReason"]) == ("Submitted", "cvmfs: not mounted")
    reporter.report(News(ready=True, state=Phase.WORKING, jobs=1))
    reporter.report(News(ready=True, state=Phase.WORKING, jobs=2))
    assert {row["Status"] for row in service.pilots().values()} == {"Running"}
    reporter.report(News(state=Phase.HALTING, outcome=Outcome(300, "No more work available")))
    ends = {(row["Status"], row["StatusReason"]) for row in service.pilots().values()}
    assert ends == {("Done", "300 No more work available")}


def test_an_agent_that_starts_again_goes_on(service: DiracxService, token: Path) -> None:
    make_reporter(service.url, token).report(READY)
    make_reporter(service.url, token).report(READY._replace(state=Phase.DRAINING))
    assert service.pilots()[STAMP]["StatusReason"] == "draining"


def test_a_pilot_that_was_forgotten_comes_back(service: DiracxService, token: Path) -> None:
    reporter = make_reporter(service.url, token)
    reporter.report(READY)
    service.forget_pilots()
    reporter.report(READY)
    assert service.pilots()[STAMP]["Status"] == "Running"


def test_another_vo_is_refused(service: DiracxService, token: Path) -> None:
    with pytest.raises(ReportError, match="Pilots can only be registered for your own VO") as caught:
        make_reporter(service.url, token, vo="other").report(READY)
    assert caught.value.refused
    assert not service.pilots()


def test_hostile_words_arrive_as_words(service: DiracxService, token: Path) -> None:
    error = "\"}], 'DROP TABLE PilotAgents; -- \u2028\x00 Zürich ☃ " + "x" * 500
    make_reporter(service.url, token).report(News(error=error))
    reason = service.pilots()[STAMP]["StatusReason"]
    assert reason.startswith("\"}], 'DROP TABLE PilotAgents; --    Zürich ☃")
    assert len(reason) == 255


@pytest.mark.parametrize("text", ["nonsense", "a.b.c"])
def test_a_wrong_token_is_one_clear_error(service: DiracxService, token: Path, text: str) -> None:
    token.write_text(text)
    with pytest.raises(ReportError, match="refuses the token in") as caught:
        make_reporter(service.url, token).report(READY)
    assert caught.value.refused


def test_an_outage_and_an_expired_token(service: DiracxService, token: Path) -> None:
    reporter = make_reporter(service.url, token)
    reporter.report(READY)
    service.stop()
    with pytest.raises(ReportError, match="refused") as caught:
        reporter.report(READY)
    assert not caught.value.refused
    service.start(token_minutes=0)
    token.write_text(service.mint()["access_token"])
    with pytest.raises(ReportError, match="refuses the token in") as caught:
        reporter.report(READY)
    assert caught.value.refused
    service.stop()
    service.start()
    token.write_text(service.mint()["access_token"])
    reporter.report(READY._replace(state=Phase.WORKING))
    assert service.pilots()[STAMP]["StatusReason"] == "working"


@pytest.mark.parametrize(
    ("answer", "piece_s", "refused"),
    [
        (None, 0, False),
        (b"", 0, False),
        (b"\x00\xff garbage\r\n\r\n", 0, False),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 0, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 0, True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0, True),
        (b'HTTP/1.1 403 No\r\nContent-Length: 12\r\n\r\n{"detail":[]', 0, True),
        (b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 1000, 0.1, False),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 999\r\n\r\n" + b"x" * 999, 0.01, False),
    ],
)
def test_whatever_answers_is_one_error_in_time(
    token: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    piece_s: float,
    refused: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setattr(diracx, "REPORT_S", 1.0)
    with answer_all(answer, piece_s=piece_s) as url:
        started = time.monotonic()
        with pytest.raises(ReportError) as caught:
            make_reporter(url, token).report(READY)
        assert time.monotonic() - started < 3
    assert caught.value.refused is refused
