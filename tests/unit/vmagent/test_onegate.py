from __future__ import annotations

import pytest
from b2ct_vmagent.onegate import one_quote, render_facts
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
