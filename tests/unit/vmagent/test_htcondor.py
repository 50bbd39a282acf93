from __future__ import annotations

import base64
import json
import os
import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent.checks import State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.htcondor import (
    PAYLOADS,
    check_condor_pool,
    check_condor_token,
    condor_quote,
    condor_value,
    make_pilot,
    parse_token,
    render_condor_config,
)
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot_files import Slot
from b2ct_vmagent.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER condor:/READ"
NOW_S = 1_800_000_000.0
SETTINGS = Settings(
    site="torino",
    vo="belle",
    flavour="big",
    pilot_kind="htcondor",
    condor_collector="central.example.org:9618",
    condor_domain="pool.example.org",
    condor_token="/etc/b2ct-vm/condor.token",  # noqa: S106 - a file
    heartbeat_s=60,
)
SLOT = Slot(
    number=0,
    cores=2,
    memory_mib=4096,
    folder="/scratch/pilot-0",
    machine_features="/run/b2ct-vm/machinefeatures",
    job_features="/run/b2ct-vm/jobfeatures/0",
    name="worker",
    uid="Torino-42-ab",
)


def knobs(settings: Settings = SETTINGS, slot: Slot = SLOT) -> dict[str, str]:
    """Return what the configuration sets, as written."""
    text = re.sub(r"\\\n *", "", render_condor_config(settings, slot))
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "include"))]
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


def test_the_node_is_the_pools_and_nobody_elses() -> None:
    found = knobs()
    assert found["COLLECTOR_HOST"] == "central.example.org:9618"
    assert found["CONDOR_HOST"] == "central.example.org"
    assert found["CCB_ADDRESS"] == "$(COLLECTOR_HOST)"
    assert found["TRUST_DOMAIN"] == "pool.example.org"
    assert found["STARTD_NAME"] == found["UID_DOMAIN"] == "torino-42-ab"
    assert found["VMUUID"] == '"Torino-42-ab"'
    assert (found["VO"], found["VMSite"], found["VMType"]) == ('"belle"', '"torino"', '"big"')
    assert (found["NUM_CPUS"], found["MEMORY"]) == ("2", "4096")
    assert (found["SLOT1_1_USER"], found["SLOT1_2_USER"]) == ("b2ct-job1", "b2ct-job2")
    assert found["LOCAL_CONFIG_DIR"] == found["LOCAL_CONFIG_FILE"] == ""
    assert "SLOT1_3_USER" not in found


def test_what_is_not_known_is_left_to_condor() -> None:
    found = knobs(SETTINGS._replace(condor_domain="", max_lifetime_s=0), SLOT._replace(memory_mib=0, uid="-"))
    assert "MEMORY" not in found
    assert found["TRUST_DOMAIN"] == "central.example.org"
    assert found["STARTD_NAME"] == "vm"
    assert found["MAXJOBRETIREMENTTIME"] == "2592000"


def test_the_token_is_a_word_of_the_script() -> None:
    pilot = make_pilot(SETTINGS._replace(condor_token="/etc/it's $(id)"), SLOT)  # noqa: S106 - a file
    line = next(line for line in pilot.start.splitlines() if line.startswith("ln "))
    assert shlex.split(line) == ["ln", "-s", "/etc/it's $(id)", "tokens.d/pool"]
    assert pilot.drain.index("-daemon startd") < pilot.drain.index("-daemon master")
    assert set(pilot.files) == {"condor_config", "shutdowntime"}


def test_without_a_pool_there_is_no_node() -> None:
    with pytest.raises(AgentError, match="condor_collector is not set"):
        make_pilot(SETTINGS._replace(condor_collector=""), SLOT)


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        ("condor_starter -f -local-name slot_type_1 -a slot1_1 central", True),
        ("/usr/sbin/condor_starter -f -a slot1 central", True),
        ("condor_starter -classad", False),
        ("condor_startd -f", False),
        ("sh -c condor_starter -f", False),
    ],
)
def test_a_starter_is_a_payload(command: str, counts: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert bool(re.search(PAYLOADS, command)) is counts


@given(st.text())
def test_any_value_stays_on_its_line_or_is_refused(text: str) -> None:
    try:
        quoted = condor_quote(text)
    except AgentError:
        assert not text.isprintable() or "$$" in text
    else:
        assert len(quoted.splitlines()) == 1
        assert not re.search(r"\$(?!\(DOLLAR\))", quoted)
        assert quoted.replace("$(DOLLAR)", "$")[1:-1].replace('\\"', '"') == text.replace('\\"', '"')


@pytest.mark.parametrize("text", ["a\nb", " a", "a ", "a\\", "a$$b", "\x85"])
def test_what_cannot_be_a_value_is_refused(text: str) -> None:
    with pytest.raises(AgentError, match="cannot stand in HTCondor's configuration"):
        condor_value(text)


def write_token(root: Path, mode: int = 0o600, **claims: Any) -> Paths:  # noqa: ANN401 - whatever JSON holds
    given: dict[str, Any] = {
        "iss": "pool.example.org",
        "sub": "vm-belle-torino@pool.example.org",
        "exp": NOW_S + 60,
        "scope": ENOUGH,
    }
    payload = base64.urlsafe_b64encode(json.dumps({**given, **claims}).encode()).decode().rstrip("=")
    place = root / "etc/b2ct-vm/condor.token"
    place.parent.mkdir(parents=True)
    place.write_text(f"# from the pool\ne30.{payload}.c2ln\n")
    place.chmod(mode)
    return Paths(str(root))


@pytest.mark.parametrize(
    ("claims", "state", "detail"),
    [
        ({}, State.OK, "for vm-belle-torino@pool.example.org"),
        ({"exp": NOW_S}, State.FAILED, "expired on 2027-01-15 08:00 UTC"),
        ({"exp": None}, State.OK, "for vm-belle"),
        ({"exp": 10**400}, State.FAILED, "no time"),
        ({"exp": "soon"}, State.FAILED, "no time"),
        ({"iss": "other"}, State.FAILED, "is of the pool other, not pool.example.org"),
        ({"scope": "condor:/READ condor:/ADVERTISE_MASTER"}, State.FAILED, "does not allow condor:/ADVERTISE_STARTD"),
        (
            {"scope": "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER condor:/DAEMON"},
            State.WARNING,
            "condor:/DAEMON",
        ),
        ({"scope": ""}, State.WARNING, "everything"),
        ({"mode": 0o644}, State.FAILED, "others than root can read it"),
    ],
)
def test_the_token_is_judged(tmp_path: Path, claims: dict[str, Any], state: State, detail: str) -> None:
    check = check_condor_token(write_token(tmp_path, **claims), SETTINGS, NOW_S)
    assert (check.state, detail in check.detail) == (state, True), check


@pytest.mark.parametrize("text", ["", "# nothing\n", "abc", "a.b.c", "a.W10.c", "a.\xff.c", "e30.e30"])
def test_a_damaged_token_is_told(tmp_path: Path, text: str) -> None:
    paths = write_token(tmp_path)
    (tmp_path / "etc/b2ct-vm/condor.token").write_text(text)
    assert check_condor_token(paths, SETTINGS, NOW_S).state is State.FAILED
    with pytest.raises(AgentError, match="no token"):
        parse_token(text)


def test_a_missing_token_is_told(tmp_path: Path) -> None:
    check = check_condor_token(Paths(str(tmp_path)), SETTINGS)
    assert (check.state, check.detail) == (State.FAILED, f"{tmp_path}/etc/b2ct-vm/condor.token: there is none")
    for look in (check_condor_token, check_condor_pool):
        assert look(Paths(str(tmp_path)), Settings()).state is State.SKIPPED


def test_a_refusal_is_told_while_it_is_fresh(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    assert check_condor_pool(paths, SETTINGS).state is State.SKIPPED
    log = tmp_path / "var/lib/b2ct-vm-pilot/0/log/StartLog"
    log.parent.mkdir(parents=True)
    moment = time.strftime("%m/%d/%y %H:%M:%S", time.localtime(NOW_S))
    log.write_text(
        f'no date: Failed to authenticate\n{moment} Received "DENIED" from server for user x\n{moment} more\n'
    )
    assert check_condor_pool(paths, SETTINGS, NOW_S + 180).detail == (
        f'the pool refuses this machine: {moment} Received "DENIED" from server for user x'
    )
    assert check_condor_pool(paths, SETTINGS, NOW_S + 181).state is State.OK
    if os.geteuid() == 0:
        log.unlink()
        log.mkdir()
        assert check_condor_pool(paths, SETTINGS).state is State.WARNING
