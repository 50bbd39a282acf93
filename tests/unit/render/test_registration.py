from __future__ import annotations

import configparser
import re

import pytest
from diraccfg import CFG
from hypothesis import assume, given
from hypothesis import strategies as st

from b2ct.plan.dirac_cfg import CfgError, cfg_quote
from b2ct.render.registration import md_code, render_checklist, render_fragment, render_registration
from tests.unit.plan.test_registration import register


@given(st.text(min_size=1))
def test_every_subject_is_one_value_of_the_fragment_or_is_refused(name: str) -> None:
    dn = f"/O=Grid/CN={name}"
    registration = register(dn)
    try:
        cfg_quote(dn)
    except CfgError:
        with pytest.raises(CfgError):
            render_fragment(registration)
        return
    (host,) = CFG().loadFromBuffer(render_fragment(registration)).getAsDict("/Registry/Hosts").values()
    assert host == {"DN": dn, "Properties": "VmRpcOperation, GenericPilot, LimitedDelegation"}


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just("`"), min_size=1))
def test_code_of_markdown_ends_where_its_value_ends(value: str) -> None:
    text = md_code(value)
    ticks = re.match("`+", text)
    assert ticks
    inner = text[len(ticks[0]) : -len(ticks[0])]
    assert ticks[0] not in re.findall("`+", inner)
    assume(value.strip())
    assert inner.strip() == value


def test_the_checklist_names_what_the_admins_have_to_do() -> None:
    text = render_checklist(register(vo=[{"name": "belle", "cvmfs": ["belle.cern.ch"], "user": "be"}]))
    for part in (
        "`/Registry/Hosts/vm.to.infn.it`",
        "`/C=IT/O=INFN/CN=vm.to.infn.it`",
        "Leave `Instance_Networks` out",
        "Put nothing of this site under `Cloud/`",
        "GenericPilotGroup",
        "dirac-admin-allow-site CLOUD.Torino.it ready",
        "`belle-belle2-worker-el9-1core`: 1 core, 2048 MiB",
        "`belle-belle2-worker-el9-whole-node`: a whole node",
        "DIRAC's default of `MaxTotalJobs` is 1",
        "mergeFromFile torino.cfg",
        "Its CA, `/C=IT/O=INFN/CN=CA`, is among those",
        "it ends on 2027-06-10",
    ):
        assert part in text
    ini = re.search(r"```ini\n(.*?)```", text, re.DOTALL)
    assert ini
    parser = configparser.ConfigParser()
    parser.read_string("\n".join(line.strip() for line in ini[1].splitlines()))
    assert parser["belle.cn01.to.infn.it"]["key"] == "be"


def test_without_a_cloud_nobody_is_asked_for_a_password() -> None:
    text = render_checklist(register(None, central={}))
    assert "cloud.auth" not in text
    assert "The site starts them itself" in text
    assert "central.certificate" in text


def test_dirac_9_has_to_open_its_pilot_manager() -> None:
    nine = {"version": "9", "setup": None, "vm_manager": None}
    for registration in (register(central=nine), register(None, central=nine)):
        text = render_checklist(registration)
        assert "open to `GenericPilot`" in text
        assert "`/Systems/WorkloadManagement/Services/PilotManager/Authorization`" in text
        assert "addPilotReferences = Operator, GenericPilot" in text
    assert "open to `GenericPilot`" not in render_checklist(register())


@pytest.mark.parametrize(
    ("per", "sizes"),
    [
        ("node", ("1 core, 2048 MiB", "8 cores, 16384 MiB", "a whole node")),
        (
            "core",
            (
                "1 core, 2048 MiB",
                "8 cores, 16384 MiB; each of its 8 pilots has 1 core",
                "a whole node; each of its pilots has 1 core",
            ),
        ),
        (
            "2",
            (
                "1 core, 2048 MiB",
                "8 cores, 16384 MiB; each of its 2 pilots has 4 cores",
                "a whole node; each of its 2 pilots has its share",
            ),
        ),
    ],
)
def test_the_checklist_says_how_pilots_share_a_machine(per: str, sizes: tuple[str, ...]) -> None:
    pilot = {"kind": "command", "run": "x", "per": per}
    lines = render_checklist(register(vo=[{"name": "belle", "pilot": pilot}], central={})).splitlines()
    found = [line.rpartition("`: ")[2] for line in lines if line.startswith("  - `belle-belle2-worker-el9-")]
    assert tuple(found) == sizes


def test_two_files_named_after_the_site() -> None:
    assert [file.path for file in render_registration(register())] == ["torino.cfg", "torino-checklist.md"]
