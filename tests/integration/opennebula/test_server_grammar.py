"""The pretended front-end takes, refuses and keeps each recorded template text as the real ones did."""

from __future__ import annotations

import json
import re
import xmlrpc.client
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.rigs.opennebula.recordings import DATA, VERSIONS
from tests.rigs.opennebula.server import OpenNebulaServer

CASES = [
    pytest.param(version, case, id=f"{version}-{case['case']}")
    for version in VERSIONS
    for case in json.loads((DATA / "grammar" / f"{version}.json").read_text(encoding="utf-8"))
]


def call(one: OpenNebulaServer, method: str, *params: Any) -> Any:  # noqa: ANN401 - XML-RPC
    body = xmlrpc.client.dumps((one.session, *params), f"one.{method}").encode()
    return xmlrpc.client.loads(one.answer(body)[0])[0][0]


def text_of(template: str | dict[str, Any]) -> str:
    if isinstance(template, str):
        return template
    return str(template["before"] + template["repeat"] * template["count"] + template["after"])


def shown(attribute: ET.Element) -> list[Any]:
    if len(attribute):
        return [attribute.tag, {key.tag: key.text for key in attribute}]
    return [attribute.tag, attribute.text]


def without_line(message: str) -> str:
    """Leave out a number that oned does not always initialise."""
    return re.sub(r"at line \d+", "", message)


@pytest.mark.parametrize(("version", "case"), CASES)
def test_template_text_is_taken_or_refused_the_same(version: str, case: dict[str, Any]) -> None:
    one = OpenNebulaServer(version)
    if case["error"] and case["code"] is None:
        with pytest.raises(xmlrpc.client.Fault) as caught:
            call(one, "template.allocate", text_of(case["template"]))
        assert caught.value.faultCode == -503
        return
    success, value, code, *_ = call(one, "template.allocate", text_of(case["template"]))
    assert success == case["accepted"], value
    if not success:
        assert (without_line(value), code) == (without_line(case["error"]), case["code"])
        return
    tree = ET.fromstring(call(one, "template.info", value)[1])  # noqa: S314 - our own server
    assert tree.findtext("NAME") == case["stored_name"]
    if case["stored"] is not None:
        stored = [shown(attribute) for attribute in tree.findall("TEMPLATE/*")]
        assert sorted(stored, key=str) == sorted(case["stored"], key=str)
