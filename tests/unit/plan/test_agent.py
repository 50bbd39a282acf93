from __future__ import annotations

from typing import Any

import pytest
from b2ct_vmagent.settings import KEYS, Settings, Value, make_settings

from b2ct.plan.agent import DEFAULTS, agent_options
from b2ct.plan.publication import worker_context
from b2ct.render.agent_conf import AgentSettings
from b2ct.site.model import Site
from tests.unit.plan.bundles import BUNDLES
from tests.unit.site.sites import SITE

DIRAC = {
    "kind": "dirac",
    "version": "8",
    "setup": "Dirac-Production",
    "configuration_servers": [
        "dips://dirac.kek.jp:9135/Configuration/Server",
        "dips://dirac.pnnl.gov:9135/Configuration/Server",
    ],
    "site_name": "CLOUD.Torino.it",
    "vm_manager": "dips://dirac.kek.jp:9163/WorkloadManagement/VirtualMachineManager",
    "ca_path": "/cvmfs/grid.cern.ch/etc/grid-security/certificates",
}
CONDOR = {"kind": "htcondor", "central_manager": "condor.example.org"}
DIRACX = {"kind": "diracx", "url": "https://diracx.example.org", "site_name": "CLOUD.Torino.it"}
SCRIPT = "/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py"


def options(queue: str = "", central: Any = None, **community: Any) -> dict[str, str]:  # noqa: ANN401 - any YAML value
    data = {**SITE, "vo": [{"name": "belle", "cvmfs": ["belle.cern.ch"], **community}], "central": central}
    site = Site.model_validate(data)
    return agent_options(site, site.vo[0], queue)


def read(found: dict[str, str]) -> Settings:
    """Return what the agent makes of the options; it has to take all of them."""
    more = {"vo": "belle", **found}
    settings, problems = make_settings({name: Value(text, "") for name, text in more.items()})
    assert problems == []
    return settings


def test_the_defaults_are_the_agents_own() -> None:
    settings = Settings()
    assert {name: str(getattr(settings, name)) for name in DEFAULTS} == DEFAULTS


def test_a_community_that_asks_for_nothing_is_told_nothing() -> None:
    assert options() == {}


def test_a_line_for_the_shell_is_all_that_a_simple_pilot_needs() -> None:
    assert options(pilot="/cvmfs/x/start.sh") == {"pilot": "/cvmfs/x/start.sh"}


def test_a_command_with_its_keys() -> None:
    pilot = {
        "kind": "command",
        "run": "./p",
        "drain": "touch stop",
        "payloads": "^job",
        "per": "core",
        "again_s": "60",
        "isolation": "container",
    }
    settings = read(options(pilot=pilot))
    assert (settings.pilot, settings.pilot_drain, settings.payload_pattern) == ("./p", "touch stop", "^job")
    assert (settings.pilots, settings.pilot_again_s, settings.pilot_isolation) == ("core", 60, "container")


def test_diracs_pilot_knows_where_it_is_and_whom_to_ask() -> None:
    pilot = {"kind": "dirac", "script": SCRIPT, "release": "8.0.86", "options": "-o /X=1", "per": "4"}
    settings = read(options("belle-worker-8core", DIRAC, pilot=pilot))
    assert (settings.pilot_kind, settings.pilots, settings.dirac_pilot) == ("dirac", "4", SCRIPT)
    assert (settings.dirac_version, settings.dirac_options) == ("8.0.86", "-o /X=1")
    assert settings.dirac_servers == tuple(DIRAC["configuration_servers"])
    assert (settings.dirac_site, settings.dirac_ce) == ("CLOUD.Torino.it", "belle.cn01.to.infn.it")
    assert (settings.dirac_queue, settings.dirac_setup) == ("belle-worker-8core", "Dirac-Production")
    assert settings.dirac_manager == DIRAC["vm_manager"]
    assert settings.ca_path == DIRAC["ca_path"]


def test_the_computing_element_has_the_name_that_the_site_gives_it() -> None:
    assert options("q", {**DIRAC, "ce": "one.example.org"})["dirac_ce"] == "belle.one.example.org"


def test_a_site_without_a_front_end_names_the_computing_element_after_itself() -> None:
    site = Site.model_validate({**SITE, "hosts": [], "central": DIRAC})
    assert agent_options(site, site.vo[0])["dirac_ce"] == "belle.torino.to.infn.it"


def test_htcondor_has_its_collector_and_the_domain_of_its_tokens() -> None:
    settings = read(options(central=CONDOR, pilot={"kind": "htcondor"}))
    assert (settings.pilot_kind, settings.condor_collector) == ("htcondor", "condor.example.org:9618")
    assert settings.condor_domain == "condor.example.org"
    named = options(central={**CONDOR, "trust_domain": "example.org"}, pilot={"kind": "htcondor"})
    assert named["condor_domain"] == "example.org"


def test_diracx_has_its_address() -> None:
    assert read(options(central=DIRACX)).diracx_url == "https://diracx.example.org"


def test_stopping() -> None:
    assert options(stop="never") == {"stop": "never"}
    assert options(stop={"no_jobs_s": "600"}) == {}
    keys = ("no_jobs_s", "no_cpu_s", "fizzle_s", "silent_s", "unready_s", "lifetime_s", "grace_s")
    settings = read(options(stop={key: str(7 + number) for number, key in enumerate(keys)}))
    assert (settings.stop_no_jobs_s, settings.stop_no_cpu_s, settings.stop_fizzle_s) == (7, 8, 9)
    assert (settings.stop_silent_s, settings.stop_unready_s) == (10, 11)
    assert (settings.max_lifetime_s, settings.grace_s) == (12, 13)


SECRETS = {"certificate": "file:secrets/hostcert.pem", "key": "file:secrets/hostkey.pem"}


@pytest.mark.parametrize(
    "central", [{**DIRAC, **SECRETS}, {**CONDOR, "token": "file:t"}, {**DIRACX, "token": "file:t"}]
)
def test_credentials_come_over_onegate_where_the_site_has_some_and_the_machine_has_onegate(
    central: dict[str, Any],
) -> None:
    site = Site.model_validate({**SITE, "central": central})
    assert agent_options(site, site.vo[0], onegate=True)["credentials"] == "onegate"
    assert "credentials" not in agent_options(site, site.vo[0])
    bare = Site.model_validate({**SITE, "central": {**central, "token": None} if "token" in central else DIRAC})
    assert "credentials" not in agent_options(bare, bare.vo[0], onegate=True)


@pytest.mark.parametrize("central", [{**DIRAC, **SECRETS}, {**CONDOR, "token": "file:secrets/token"}])
def test_no_secret_nor_where_it_is_gets_into_the_context(central: dict[str, Any]) -> None:
    assert "secrets" not in str(options(central=central))


def test_a_machine_that_is_reached_over_ssh_gets_the_same_settings() -> None:
    pilot = {"kind": "dirac", "script": SCRIPT}
    vo = [{"name": "belle", "cvmfs": ["belle.cern.ch", "grid.cern.ch"], "pilot": pilot, "stop": "never"}]
    site = Site.model_validate({**SITE, "vo": vo, "central": DIRAC})
    settings = AgentSettings.from_context(worker_context(site, BUNDLES, "belle"))
    assert (settings.kind, settings.vo, settings.stop, settings.dirac_pilot) == ("worker", "belle", "never", SCRIPT)
    assert settings.cvmfs_repositories == ("belle.cern.ch", "grid.cern.ch")
    assert settings.dirac_queue == ""


def test_every_option_is_one_that_the_agent_knows() -> None:
    pilot = {"kind": "dirac", "script": SCRIPT, "sha256": "0" * 64}
    found = [options("q", DIRAC, pilot=pilot), options(central=CONDOR), options(central=DIRACX, stop="never")]
    assert {name for one in found for name in one} <= {key.option for key in KEYS}
