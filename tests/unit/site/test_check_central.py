from __future__ import annotations

import json
from typing import Any

import pytest

from b2ct.site.load import read_site_text
from tests.unit.site.sites import SITE

DIRAC = {
    "kind": "dirac",
    "setup": "Rig",
    "configuration_servers": ["dips://cs.example.org:9135/Configuration/Server"],
    "site_name": "CLOUD.Torino.it",
}
PILOT = {"kind": "dirac", "script": "/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py"}
DIRACX = {"kind": "diracx", "url": "https://diracx.example.org", "site_name": "CLOUD.Torino.it"}
CONDOR = {"kind": "htcondor", "central_manager": "condor.example.org"}


def problems(central: Any = None, community: Any = None, **top: Any) -> list[str]:  # noqa: ANN401 - any YAML value
    vo = [{"name": "belle", "cvmfs": ["belle.cern.ch"], **(community or {})}]
    found = read_site_text(json.dumps({**SITE, "central": central, "vo": vo, **top}), "s")[1]
    return [f"{problem.where}: {problem.message}" for problem in found]


@pytest.mark.parametrize(
    ("central", "community"),
    [
        (DIRAC, {"pilot": PILOT}),
        ({**DIRAC, "version": "9", "setup": None}, {"pilot": PILOT}),
        (CONDOR, {"pilot": {"kind": "htcondor"}}),
        (None, {"pilot": {"kind": "command", "run": "x", "per": "4"}}),
        (None, {"pilot": "x"}),
        (None, {"stop": "never"}),
        (DIRAC, {"stop": {"lifetime_s": "0"}}),
        (DIRACX, None),
        ({**DIRACX, "url": "https://diracx.example.org:8443/api", "token": "file:t"}, None),
        *(({**DIRACX, "url": f"http://{host}:8000"}, None) for host in ("localhost", "127.0.0.1", "[::1]")),
    ],
)
def test_what_is_right(central: Any, community: Any) -> None:  # noqa: ANN401 - any YAML value
    assert problems(central, community) == []


@pytest.mark.parametrize(
    ("central", "community", "said"),
    [
        (None, {"pilot": PILOT}, "vo.0.pilot.kind: DIRAC's pilot needs DIRAC"),
        (DIRAC, {"pilot": {"kind": "htcondor"}}, "vo.0.pilot.kind: HTCondor's daemons need a pool"),
        (DIRAC, {"pilot": {**PILOT, "script": "https://x.org/p.py"}}, "vo.0.pilot.script: what comes from a URL has"),
        (DIRAC, {"pilot": {**PILOT, "script": "p.py"}}, "vo.0.pilot.script: 'p.py' has to be an absolute path"),
        (DIRAC, {"pilot": {**PILOT, "per": "300"}}, "vo.0.pilot.per: has to be node, core, or a number from 1 to 256"),
        (DIRAC, {"pilot": {**PILOT, "release": "a b"}}, "vo.0.pilot.release: 'a b' has to be a release"),
        (DIRAC, {"pilot": {**PILOT, "sha256": "F" * 64}}, "vo.0.pilot.sha256:"),
        (DIRAC, {"pilot": {**PILOT, "options": "$HOME"}}, "vo.0.pilot.options: none of"),
        (DIRAC, {"pilot": {"script": "/x"}}, "vo.0.pilot.kind: is missing"),
        (DIRAC, {"pilot": {"kind": "vac"}}, "vo.0.pilot.kind: 'vac' has to be one of 'command', 'dirac'"),
        (None, {"pilot": {"kind": "command"}}, "vo.0.pilot.run: is missing"),
        (None, {"pilot": {"kind": "command", "run": "a`b`"}}, "vo.0.pilot.run: none of"),
        (None, {"pilot": {"kind": "command", "run": "a", "drain": 'x "y"'}}, "vo.0.pilot.drain: none of"),
        (None, {"pilot": {"kind": "command", "run": "a", "payloads": r"\d"}}, "vo.0.pilot.payloads: none of"),
        (None, {"pilot": {"kind": "command", "run": "a", "payloads": "("}}, "vo.0.pilot.payloads: is no regular"),
        (None, {"stop": "soon"}, "vo.0.stop: 'soon' has to be 'never'"),
        (None, {"stop": {"no_jobs": "1"}}, "vo.0.stop.no_jobs: there is no such key"),
        (None, {"stop": {"no_jobs_s": "1h"}}, "vo.0.stop.no_jobs_s: '1h' has to be a whole number"),
        (None, {"stop": {"no_jobs_s": "-1"}}, "vo.0.stop.no_jobs_s: '-1' has to be at least 0"),
        (None, {"stop": "nevr"}, "vo.0.stop: 'nevr' has to be 'never' or a mapping of times in seconds"),
        (None, {"pilot": {"kind": "command", "run": ""}}, "vo.0.pilot.run: is empty"),
        (CONDOR, {"pilot": {"kind": "htcondor", "per": "core"}}, "vo.0.pilot.per: the kind htcondor has no such key"),
        (
            {**DIRACX, "url": "http://diracx.example.org"},
            None,
            "central.url: 'http://diracx.example.org' has to be",
        ),
        ({**DIRACX, "url": "ftp://localhost"}, None, "central.url: 'ftp://localhost' has to be the https URL"),
        ({**DIRACX, "url": "http://localhost.example.org"}, None, "central.url: 'http://localhost.example.org' has to"),
        ({**DIRACX, "url": "http://127.0.0.1@example.org"}, None, "central.url: has to be the https URL"),
        ({**DIRACX, "token": "env:X"}, None, "central.token: DiracX replaces most tokens"),
        ({**CONDOR, "token": "env:X"}, None, "central.token: b2ct register puts the pool's tokens into a file"),
        ({**DIRAC, "site_name": "x"}, {"pilot": PILOT}, "central.site_name: 'x' has to be a DIRAC site name"),
        ({**DIRAC, "kind": "dirak"}, {"pilot": PILOT}, "central.kind: 'dirak' has to be one of"),
        ({**DIRAC, "setup": None}, None, "central: DIRAC 8 has a setup"),
        ({**DIRAC, "version": "9"}, None, "central.setup: DIRAC 9 has no setups"),
        ({**DIRAC, "key": "file:k"}, None, "central: certificate and key belong together"),
        ({**DIRAC, "cloud": "http://one.x.org:2633/RPC2"}, None, "central.cloud: 'http://one.x.org:2633/RPC2' has to"),
        ({**DIRAC, "cloud": "https://one.x.org/one"}, None, "central.cloud: 'https://one.x.org/one' has to be"),
        ({}, None, "central.kind: is missing"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(central: Any, community: Any, said: str) -> None:  # noqa: ANN401 - YAML
    (problem,) = problems(central, community)
    assert problem.startswith(said)


def test_dirac_9_has_no_manager_of_virtual_machines() -> None:
    url = "dips://cs.example.org:9163/WorkloadManagement/VirtualMachineManager"
    central = {**DIRAC, "version": "9", "setup": None, "vm_manager": url}
    assert problems(central) == ["central.vm_manager: DIRAC 9 has no VirtualMachineManager"]


def test_dirac_needs_a_user_of_opennebula_to_start_virtual_machines() -> None:
    central, vms = {**DIRAC, "cloud": "https://one.x.org:2634/RPC2"}, [{"bundle": "belle2-worker", "vo": "belle"}]
    (problem,) = problems(central, vms=vms)
    assert problem.startswith("vo.0: DIRAC starts virtual machines for belle as a user of OpenNebula")
    assert problems(central, {"user": "b", "password": "env:B"}, vms=vms) == []
    assert problems(DIRAC, vms=vms) == []


def hints(central: Any, community: Any) -> list[str]:  # noqa: ANN401 - any YAML value
    vo = [{"name": "belle", "cvmfs": ["belle.cern.ch"], **community}]
    return [problem.hint for problem in read_site_text(json.dumps({**SITE, "central": central, "vo": vo}), "s")[1]]


def test_a_key_is_guessed_among_those_that_its_place_has() -> None:
    assert hints(CONDOR, {"pilot": {"kind": "htcondor", "per": "core"}}) == ["the only key here is kind"]
    assert hints(DIRAC, {"pilot": {**PILOT, "realease": "8"}}) == ["did you mean release?"]
    assert hints(DIRAC, {"pilot": {**PILOT, "kind": "dirca"}}) == ["did you mean dirac?"]
    assert hints(DIRAC, {"pilot": {**PILOT, "bundle": "x"}})[0].startswith("the keys here are again_s, isolation,")


@pytest.mark.parametrize(
    ("central", "named"),
    [
        ({**DIRAC, "certificate": "file:c", "key": "file:k"}, True),
        ({**CONDOR, "token": "file:t"}, True),
        ({**DIRACX, "token": "file:t"}, True),
        (CONDOR, False),
        (None, False),
    ],
)
def test_without_onegate_credentials_reach_no_machine_by_themselves(central: Any, named: bool) -> None:  # noqa: ANN401, FBT001 - YAML; a case
    without = problems(central, opennebula={"version": "7.2", "onegate": False})
    said = "opennebula.onegate: without OneGate, virtual machines do not get the credentials that central names"
    assert [problem.startswith(said) for problem in without] == [True] * named
    assert problems(central, opennebula={"version": "7.2"}) == []
