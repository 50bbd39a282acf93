from __future__ import annotations

import configparser
from dataclasses import fields

import pytest
from b2ct_vmagent.settings import KEYS
from hypothesis import assume, given
from hypothesis import strategies as st

from b2ct.render.agent_conf import AgentSettings, ini_quote, render_agent_conf
from b2ct.render.quoting import UNPRINTABLE, QuotingError


def read(text: str) -> dict[str, str]:
    """Read agent.conf as the agent does."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#", ";"))
    parser.read_string(text)
    return dict(parser["agent"])


def test_only_what_is_given_is_written() -> None:
    assert read(render_agent_conf(AgentSettings())) == {}
    settings = AgentSettings(vo="belle", cvmfs_repositories=("a.cern.ch", "b.cern.ch"), cvmfs_quota_mib=8000)
    assert read(render_agent_conf(settings)) == {
        "vo": "belle",
        "cvmfs_repositories": "a.cern.ch,b.cern.ch",
        "cvmfs_quota_mib": "8000",
    }


@given(st.text())
def test_every_value_comes_back_or_is_refused(value: str) -> None:
    assume(value)
    if UNPRINTABLE.search(value) or value != value.strip():
        with pytest.raises(QuotingError):
            ini_quote(value)
    else:
        assert read(render_agent_conf(AgentSettings(site=value, vo="belle"))) == {"site": value, "vo": "belle"}


@pytest.mark.parametrize("value", ["[agent]", "# x", "; x", "a = b", "%(vo)s", "a ; b", "${vo}", '"x"', "="])
def test_hostile_values_are_one_value(value: str) -> None:
    assert read(render_agent_conf(AgentSettings(site=value, vo="belle"))) == {"site": value, "vo": "belle"}


def test_the_agent_knows_every_setting() -> None:
    assert [field.name for field in fields(AgentSettings)] == [key.option for key in KEYS]
