from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.render.htcondor_pool import (
    condor_quote,
    pool_identity,
    render_job_requirements,
    render_pool_config,
    render_token_command,
)
from b2ct.render.quoting import UNPRINTABLE, QuotingError

CONFIG = r"""
ALLOW_ADVERTISE_STARTD = $(ALLOW_ADVERTISE_STARTD:$(ALLOW_DAEMON)) vm-belle-torino@pool.org vm-t2k.org-torino@pool.org
ALLOW_ADVERTISE_MASTER = $(ALLOW_ADVERTISE_MASTER:$(ALLOW_DAEMON)) vm-belle-torino@pool.org vm-t2k.org-torino@pool.org
COLLECTOR_REQUIREMENTS = ($(COLLECTOR_REQUIREMENTS:True)) && \
  (AuthenticatedIdentity =!= "vm-belle-torino@pool.org" || VO =?= "belle" && VMSite =?= "torino")
COLLECTOR_REQUIREMENTS = ($(COLLECTOR_REQUIREMENTS:True)) && \
  (AuthenticatedIdentity =!= "vm-t2k.org-torino@pool.org" || VO =?= "t2k.org" && VMSite =?= "torino")
NEGOTIATOR_SLOT_CONSTRAINT = ($(NEGOTIATOR_SLOT_CONSTRAINT:True)) && \
  (AuthenticatedIdentity =!= "vm-belle-torino@pool.org" || unparse(VO) =?= "\"belle\"" && unparse(VMSite) =?= "\"torino\"")
NEGOTIATOR_SLOT_CONSTRAINT = ($(NEGOTIATOR_SLOT_CONSTRAINT:True)) && \
  (AuthenticatedIdentity =!= "vm-t2k.org-torino@pool.org" || unparse(VO) =?= "\"t2k.org\"" && unparse(VMSite) =?= "\"torino\"")
"""  # noqa: E501 - as it is in the file


def test_the_central_manager_ties_each_identity_to_its_vo() -> None:
    text = render_pool_config("torino", ["belle", "t2k.org"], "pool.org")
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert "/etc/condor/config.d/60-b2ct-torino.config" in head[0]
    assert "\n".join(["", *text.splitlines()[len(head) :], ""]) == CONFIG


@pytest.mark.parametrize("name", ["", "*", "a@b", "a b", "a,b", "a/b", "-a", "a\n", "é", "$(x)", 'a"b'])
def test_what_could_be_anybody_is_no_identity(name: str) -> None:
    for vo, site, domain in ((name, "torino", "d"), ("belle", name, "d"), ("belle", "torino", name)):
        with pytest.raises(QuotingError, match="identity of HTCondor"):
            pool_identity(vo, site, domain)


def test_a_token_may_advertise_and_no_more() -> None:
    identity = pool_identity("belle", "torino", "pool.org")
    options = ["-identity", identity, "-lifetime", "86400", "-authz", "ADVERTISE_STARTD", "-authz", "ADVERTISE_MASTER"]
    options += ["-authz", "READ"]
    assert shlex.split(render_token_command(identity, 86400)) == ["condor_token_create", *options]


def test_jobs_say_what_they_want() -> None:
    assert render_job_requirements("belle") == 'requirements = TARGET.VO =?= "belle"\n'
    wanted = 'requirements = TARGET.VO =?= "belle" && TARGET.VMType =?= "8 \\"cores\\""\n'
    assert render_job_requirements("belle", '8 "cores"') == wanted


@given(st.text())
def test_any_value_is_one_string_or_refused(value: str) -> None:
    if UNPRINTABLE.search(value) or "$$" in value:
        with pytest.raises(QuotingError, match="HTCondor"):
            condor_quote(value)
    else:
        assert condor_quote(value).replace("$(DOLLAR)", "$").startswith('"')
        assert len(condor_quote(value).splitlines()) == 1
