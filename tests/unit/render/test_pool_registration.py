from __future__ import annotations

from b2ct.render.pool_registration import render_pool_registration
from b2ct.site.central import HtcondorScheduler
from b2ct.site.model import Site
from tests.unit.site.sites import SITE

POOL = {"kind": "htcondor", "central_manager": "condor.example.org", "token": "file:secrets/pool.tokens"}


def test_the_checklist_says_who_does_what() -> None:
    site = Site.model_validate({**SITE, "central": POOL})
    config, checklist = render_pool_registration(site, HtcondorScheduler.model_validate(POOL), 90 * 86_400)
    assert (config.path, checklist.path) == ("torino.config", "torino-checklist.md")
    text = checklist.data.decode()
    admins, _, own = text.partition("## The site")
    assert "As root on condor.example.org" in admins
    assert "-lifetime 7776000" in admins
    assert "It ends after 90 days" in admins
    assert "(`secrets/pool.tokens`), one a line, mode 0600" in own
    assert "condor_token_create" not in own
