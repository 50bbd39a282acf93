from __future__ import annotations

import pytest
from b2ct_vmagent import __version__, onegate
from b2ct_vmagent.onegate import OneGate, make_facts, one_quote, render_facts
from b2ct_vmagent.reports import News, Order, Outcome, Phase, ReportError
from b2ct_vmagent.web import Answer, WebError
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.attributes import Attribute
from b2ct.plan.one_grammar import parse_template


@given(st.text())
def test_any_text_is_one_value(text: str) -> None:
    body = render_facts({"READY": "NO", "B2CT_ERROR": text, "B2CT_AGENT": "1"})
    first, error, last = parse_template(body, "body")
    assert (first, last) == (Attribute("READY", "NO"), Attribute("B2CT_AGENT", "1"))
    assert error.name == "B2CT_ERROR"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('say "no"', '"say \\"no\\""'),
        ("c:\\", '"c:/"'),
        ("a\r\nREADY=YES", '"a  READY=YES"'),
        ("x]]>y", '"x]] >y"'),
        ("\x00\x1b\x7f\u2028", '"    "'),
        ("Zürich ☃ # = , [ ]", '"Zürich ☃ # = , [ ]"'),
        ("", '""'),
    ],
)
def test_quotes(text: str, quoted: str) -> None:
    assert one_quote(text) == quoted


READY = News(ready=True, state=Phase.READY)


@pytest.mark.parametrize(
    ("news", "ready", "state"),
    [
        (READY, "YES", "ready"),
        (News(error="disk: full"), "NO", "starting"),
        (READY._replace(state=Phase.WORKING, jobs=3, load=1.006), "YES", "working"),
        (READY._replace(state=Phase.DRAINING), "YES", "draining"),
        (READY._replace(state=Phase.HALTING, outcome=Outcome(300, "No work")), "NO", "halting"),
    ],
)
def test_what_the_cloud_is_told(news: News, ready: str, state: str) -> None:
    facts = make_facts(news)
    assert facts.pop("B2CT_SHUTDOWN_MESSAGE") == (str(news.outcome) if news.outcome else "")
    assert facts == {
        "READY": ready,
        "B2CT_AGENT": __version__,
        "B2CT_ERROR": news.error,
        "B2CT_STATE": state,
        "B2CT_LOAD": f"{news.load:.2f}",
        "B2CT_JOBS": str(news.jobs),
    }


def test_the_news_are_put_with_the_token_in_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def ask(*words: object) -> Answer:
        asked.append(words)
        return Answer(200, b"")

    monkeypatch.setattr(onegate, "ask", ask)
    assert OneGate("http://169.254.16.9:5030", "7", "geheim").report(READY) is Order.NONE
    headers = {"X-ONEGATE-TOKEN": "geheim", "X-ONEGATE-VMID": "7", "Content-Type": "text/plain"}
    body = render_facts(make_facts(READY)).encode()
    assert asked == [("PUT", "http://169.254.16.9:5030/vm", body, headers, onegate.TIMEOUT_S)]


@pytest.mark.parametrize(
    ("status", "refused"), [(500, False), (503, False), (401, True), (404, True), (302, True), (204, False)]
)
def test_what_the_cloud_answers(monkeypatch: pytest.MonkeyPatch, status: int, refused: bool) -> None:  # noqa: FBT001 - a parameter
    monkeypatch.setattr(onegate, "ask", lambda *_: Answer(status, b"so\nit \xff is" * 100))
    with pytest.raises(ReportError, match=f"x.example.org: HTTP {status} so it") as caught:
        OneGate("http://x.example.org", "7", "geheim").report(READY)
    assert caught.value.refused is refused
    assert "geheim" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_no_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> Answer:
        raise WebError("x: no whole answer in 10 s")

    monkeypatch.setattr(onegate, "ask", hang)
    with pytest.raises(ReportError, match="no whole answer") as caught:
        OneGate("http://x.example.org", "7", "geheim").report(READY)
    assert not caught.value.refused


def test_the_cloud_gives_no_orders() -> None:
    assert not OneGate.central


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"VM":{"USER_TEMPLATE":{"A":"1","V":{"B":"2"},"L":["3"]}}}', {"A": "1"}),
        (200, b'{"VM":{"USER_TEMPLATE":{}}}', {}),
        (200, b'{"VM":{"USER_TEMPLATE":[]}}', {}),
        (200, b'{"VM":{"USER_TEMPLATE":null}}', {}),
        (200, b'{"VM":{"USER_TEMPLATE":[1]}}', "not an answer of OneGate"),
        (200, b'{"VM":{}}', "not an answer of OneGate"),
        (200, b"[]", "not an answer of OneGate"),
        (200, b"\xff", "not an answer of OneGate"),
        (200, b"<html>", "not an answer of OneGate"),
        (401, b"Not\nauthorized", "HTTP 401 Not authorized"),
    ],
)
def test_what_onegate_says(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, found: dict[str, str] | str
) -> None:
    monkeypatch.setattr(onegate, "ask", lambda *_: Answer(status, body))
    entry = OneGate("http://gate", "7", "geheim")
    if isinstance(found, dict):
        assert entry.read() == found
        return
    with pytest.raises(ReportError, match=found) as caught:
        entry.read()
    assert "geheim" not in str(caught.value)
