from __future__ import annotations

import pytest
from diraccfg import CFG
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.dirac_cfg import (
    CfgError,
    Change,
    cfg_name,
    cfg_quote,
    compare,
    drop_option,
    get_option,
    make_section,
    read_cfg,
    service_urls,
    set_option,
)


def write(name: str, value: str) -> CFG:
    """Return what DIRAC's own parser makes of a configuration with that option between two others."""
    cfg = CFG()
    section = make_section(cfg, ("A", "B"))
    for one, text in (("First", "1"), (name, value), ("Last", "2")):
        set_option(section, one, text)
    return CFG().loadFromBuffer(str(cfg))


@given(st.text())
def test_every_value_comes_back_or_is_refused(value: str) -> None:
    try:
        cfg_quote(value)
    except CfgError:
        return
    assert write("Option", value).getAsDict() == {"A": {"B": {"First": "1", "Option": value, "Last": "2"}}}


@given(st.text())
def test_every_name_comes_back_or_is_refused(name: str) -> None:
    try:
        cfg_name(name)
    except CfgError:
        return
    assert write(name, "x").getAsDict()["A"]["B"][name] == "x"  # type: ignore[index] # a section


@pytest.mark.parametrize(
    "value",
    ["", "a = b", "a += b", "{", "}", "# a", "a, b", "a, # b", "x, += y", "/CN=a, Inc.", "=", "name:x", "$(id)", '"'],
)
def test_hostile_values_are_one_value(value: str) -> None:
    assert write("Option", value).getAsDict() == {"A": {"B": {"First": "1", "Option": value, "Last": "2"}}}


@pytest.mark.parametrize("value", ["a\nb = c", " a", "a ", "a,b", "a,, b", ",", "a\r", "a\u2028b", "\x00", "\ud800"])
def test_what_would_come_back_as_something_else_is_refused(value: str) -> None:
    with pytest.raises(CfgError, match="cannot stand in a configuration of DIRAC"):
        cfg_quote(value)


@pytest.mark.parametrize("name", ["", "a/b", "a=b", "a{", "}", "#a", "a+", " a", "a\n", "ä"])
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(CfgError):
        cfg_name(name)


@pytest.mark.parametrize("text", ["A\n{\n", "}\n", "{\n}\n", "A\n{\n}\nA\n{\n}\n", "= x"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(CfgError, match="the server is no configuration of DIRAC"):
        read_cfg(text, "the server")


def test_an_option_where_a_section_has_to_be() -> None:
    cfg = read_cfg("A = 1", "x")
    with pytest.raises(CfgError, match="A is an option"):
        make_section(cfg, ("A", "B"))
    assert get_option(cfg, ("A",), "B") is None


def test_dropping_an_option_takes_the_empty_sections_above_it_but_not_the_root() -> None:
    cfg = read_cfg("A\n{\nB\n{\nC\n{\nx = 1\n}\n}\n}\nD\n{\nx = 1\n}", "x")
    drop_option(cfg, ("A", "B", "C"), "x")
    drop_option(cfg, ("A", "nothing"), "x")
    assert cfg.getAsDict() == {"A": {}, "D": {"x": "1"}}


def test_comments_of_options_stay() -> None:
    cfg = read_cfg("A\n{\n# why\nx = 1\n}", "x")
    set_option(make_section(cfg, ("A",)), "x", "2")
    assert "why" in str(cfg)


def test_comparing() -> None:
    before, after = read_cfg("A\n{\nx = 1\ny = 2\n}", "x"), read_cfg("A\n{\ny = 3\nz = 4\n}", "x")
    changes = (Change("/A/x", "1", None), Change("/A/y", "2", "3"), Change("/A/z", None, "4"))
    assert compare(before, after) == changes


EIGHT = """
DIRAC
{
  Setups
  {
    Production
    {
      WorkloadManagement = Prod
    }
  }
}
Operations
{
  Defaults
  {
    MainServers = a.org, b.org
  }
}
Systems
{
  WorkloadManagement
  {
    URLs
    {
      W = dips://nine.org:1/W/W
    }
    Prod
    {
      URLs
      {
        W = dips://$MAINSERVERS$:9145/W/W, dips://c.org:9145/W/W
      }
    }
  }
}
"""


def test_where_services_are() -> None:
    cfg = read_cfg(EIGHT, "x")
    found = ("dips://a.org:9145/W/W", "dips://b.org:9145/W/W", "dips://c.org:9145/W/W")
    assert service_urls(cfg, "WorkloadManagement", "W", "Production") == found
    assert service_urls(cfg, "WorkloadManagement", "W", None) == ("dips://nine.org:1/W/W",)
    assert service_urls(cfg, "WorkloadManagement", "X", None) == ()
