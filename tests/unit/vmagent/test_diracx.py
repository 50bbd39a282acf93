from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import diracx
from b2ct_vmagent.diracx import DiracX, PilotRow, make_rows, make_stamp, make_state
from b2ct_vmagent.reports import News, Outcome, Phase, ReportError
from b2ct_vmagent.web import Answer, WebError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("news", "state"),
    [
        (News(state=Phase.STARTING, error="cvmfs: no client"), ("Submitted", "cvmfs: no client")),
        (News(state=Phase.STARTING), ("Submitted", "starting")),
        (News(ready=True, state=Phase.READY), ("Running", "ready")),
        (News(ready=True, state=Phase.WORKING, jobs=3), ("Running", "working")),
        (News(ready=True, state=Phase.DRAINING), ("Running", "draining")),
        (News(ready=True, state=Phase.HALTING), ("Running", "halting")),
        (
            News(state=Phase.HALTING, outcome=Outcome(300, "No more work available")),
            ("Done", "300 No more work available"),
        ),
        (News(state=Phase.HALTING, outcome=Outcome(500, "Broken")), ("Failed", "500 Broken")),
        (News(error="a\nb\x00" + "c" * 300), ("Submitted", ("a b " + "c" * 300)[:255])),
    ],
)
def test_status(news: News, state: tuple[str, str]) -> None:
    assert make_state(news) == state


def test_stamps_are_short_and_all_different() -> None:
    stamps = {make_stamp(uid, number) for uid in ("torino-7-a", "torino-7-b") for number in range(16)}
    assert len(stamps) == 32
    assert all(len(stamp) == 32 and int(stamp, 16) >= 0 for stamp in stamps)
    (row,) = make_rows("torino-7-a", 1, "belle", "CLOUD.Torino.it", "")
    assert row == PilotRow(make_stamp("torino-7-a", 0), "belle", "CLOUD.Torino.it", "", "cloud://torino-7-a/0")


class Script:
    """Answers requests from a list, and keeps what was asked."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[str] = []

    def __call__(self, method: str, url: str, body: bytes, *_: object) -> Answer:
        self.asked.append(f"{method} {url.rpartition('/api/')[2]} {body.decode()}")
        return Answer(self.statuses.pop(0), b'{"detail": "so it is"}')

    def methods(self) -> str:
        return " ".join(line.split()[0] for line in self.asked)


def make_reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script, pilots: int = 1) -> DiracX:
    (tmp_path / "token").write_text("a.b.c\n")
    monkeypatch.setattr(diracx, "ask", script)
    rows = make_rows("u", pilots, "belle", "CLOUD.Torino.it", "one.example.org")
    return DiracX("http://diracx.example.org/api/", str(tmp_path / "token"), str(tmp_path), rows)


READY = News(ready=True, state=Phase.READY)


def test_registers_once_and_then_only_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(201, 204, 201, 204, 204, 204, 204)
    reporter = make_reporter(tmp_path, monkeypatch, script, pilots=2)
    reporter.report(READY)
    assert script.methods() == "POST PATCH POST PATCH"
    reporter.report(READY)
    assert script.methods() == "POST PATCH POST PATCH PATCH"  # a sign of life
    reporter.report(READY._replace(state=Phase.WORKING))
    assert script.methods() == "POST PATCH POST PATCH PATCH PATCH PATCH"
    assert '"Status": "Running", "StatusReason": "working"' in script.asked[-1]


def test_a_pilot_that_was_forgotten_is_registered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(409, 204, 404, 201, 204, 404, 409, 404)
    reporter = make_reporter(tmp_path, monkeypatch, script)
    reporter.report(READY)
    reporter.report(READY)
    assert script.methods() == "POST PATCH PATCH POST PATCH"
    with pytest.raises(ReportError, match="does not know the pilot that it has just registered") as caught:
        reporter.report(READY)
    assert caught.value.refused


@pytest.mark.parametrize(
    ("status", "words", "refused"),
    [
        (200, "no answer of DiracX; is diracx_url right", True),
        (302, "no answer of DiracX", True),
        (400, "HTTP 400 so it is", True),
        (401, "refuses the token in .*token: so it is", True),
        (403, "does not allow it: so it is", True),
        (422, "HTTP 422", True),
        (503, "HTTP 503 so it is", False),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str, refused: bool) -> None:  # noqa: FBT001 - a parameter of the test
    with pytest.raises(ReportError, match=words) as caught:
        make_reporter(tmp_path, monkeypatch, Script(status)).report(READY)
    assert caught.value.refused is refused
    assert "a.b.c" not in str(caught.value)


def test_no_answer_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Answer:
        raise WebError("diracx.example.org: Connection refused")

    reporter = make_reporter(tmp_path, monkeypatch, Script())
    monkeypatch.setattr(diracx, "ask", lost)
    with pytest.raises(ReportError, match="Connection refused") as caught:
        reporter.report(READY)
    assert not caught.value.refused


@pytest.mark.parametrize(
    ("text", "words"), [("", "no token yet"), ("a b\r\nX: y", "holds no token"), (None, "no token yet")]
)
def test_a_token_that_is_none_is_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    script = Script()
    reporter = make_reporter(tmp_path, monkeypatch, script)
    (tmp_path / "token").unlink()
    if text is not None:
        (tmp_path / "token").write_text(text)
    with pytest.raises(ReportError, match=words):
        reporter.report(READY)
    assert not script.asked


def test_time_is_up_after_as_many_pilots_as_could_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    script = Script(*[201, 204] * 8)
    reporter = make_reporter(tmp_path, monkeypatch, script, pilots=4)
    with pytest.raises(ReportError, match="not all pilots were told") as caught:
        reporter.report(READY)
    assert not caught.value.refused
    told = len(script.asked)
    assert 0 < told < 8
    reporter.report(READY)
    assert len(script.asked) == 8
