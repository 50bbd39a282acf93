"""What the marketplace driver is given: hostile text passes through it unharmed, or is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.appliance import Appliance
from b2ct.plan.attributes import Attribute, Template, first_text
from b2ct.plan.marketplace import Index
from b2ct.plan.one_grammar import parse_template
from b2ct.render.marketplace import render_appliances, render_index, render_marketplace
from b2ct.render.opennebula import ObjectNameError
from b2ct.render.quoting import QuotingError

PLAIN = Appliance("id", "name", "VMTEMPLATE", "1.0", "A title", 5, ("tag",), ())


def as_driver(fields: dict[str, str | dict[str, str]]) -> str:
    """Return the text that the driver of 7.4 makes of a VM template: values between quotes, nothing escaped."""
    lines = []
    for key, value in fields.items():
        if isinstance(value, str):
            lines.append(f'{key.upper()} = "{value}"')
        else:
            keys = ",".join(f'{name} ="{text}"' for name, text in value.items())
            lines.append(f"{key.upper()} = [ {keys}]\n")
    return "\n".join(lines)


def template_of(template: Template) -> Template:
    """Return a VM template after the way through list, driver and OpenNebula's parser."""
    (item,) = json.loads(render_appliances([replace(PLAIN, template=template)], "B2CT"))["appliances"]
    return parse_template(as_driver(json.loads(item["opennebula_template"])) + "\n", "driver")


@given(st.text(min_size=1))
def test_every_value_arrives_as_it_is_or_is_refused(value: str) -> None:
    template = (Attribute("A", value), Attribute("V", (("K", value), ("L", "end"))))
    try:
        arrived = template_of(template)
    except QuotingError:
        assert value.endswith("\\") or "]]>" in value or not value.isprintable()
    else:
        assert arrived == template


@pytest.mark.parametrize("value", ['x", EVIL="y', 'x"]\nEVIL="y', 'a\\"b', "x # y", "x\ny", "'", "$USER[X]", "{}", "é"])
def test_hostile_values_arrive_as_they_are(value: str) -> None:
    template = (Attribute("V", (("K", value),)), Attribute("A", value))
    assert template_of(template) == template


def test_repeated_attributes_all_arrive() -> None:
    template = tuple(Attribute("NIC", (("NETWORK_ID", str(i)),)) for i in range(8))
    assert template_of(template) == template
    with pytest.raises(QuotingError, match="NIC stands too often"):
        template_of((*template, template[0]))


@pytest.mark.parametrize("value", ["ends in \\", "]]>", "\x07"])
def test_text_that_would_break_the_drivers_list_is_refused(value: str) -> None:
    for appliance in (replace(PLAIN, title=value), replace(PLAIN, version=value), replace(PLAIN, id=value)):
        with pytest.raises(QuotingError, match=r"^name: "):
            render_appliances([appliance], "B2CT")
    with pytest.raises(QuotingError):
        render_appliances([PLAIN], value)


def test_a_name_that_no_object_can_have_is_refused() -> None:
    with pytest.raises(ObjectNameError):
        render_appliances([replace(PLAIN, name="x" * 129)], "B2CT")


@pytest.mark.parametrize("value", ['B2CT" EVIL="1', "B2CT\nEVIL=1"])
def test_the_marketplaces_template_is_quoted(value: str) -> None:
    template = parse_template(render_marketplace(value, "http://x").decode(), "x")
    assert first_text(template, "NAME") == value
    assert first_text(template, "EVIL") is None


def test_the_index_is_the_same_every_time() -> None:
    index = Index(created=5, bundles=())
    assert json.loads(render_index(index)) == {
        "repository": "b2ct-bundles",
        "format": 1,
        "created": 5,
        "bundles": [],
    }
    assert render_index(index) == render_index(index)
