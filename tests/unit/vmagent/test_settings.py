from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from b2ct_vmagent.settings import KEYS, Settings, Value, make_settings
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("site", "CLOUD.Torino.it", "CLOUD.Torino.it"),
        ("cvmfs_repositories", "belle.cern.ch, belle.kek.jp,", ("belle.cern.ch", "belle.kek.jp")),
        ("cvmfs_proxy", "http://a:3128|http://b:3128;DIRECT", "http://a:3128|http://b:3128;DIRECT"),
        ("cvmfs_proxy", "http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
        ("cvmfs_quota_mib", "8000", 8000),
        ("scratch", "/dev/disk/by-id/virtio-x", "/dev/disk/by-id/virtio-x"),
        ("pilot", "/cvmfs/t2k.egi.eu/start.sh --name 'a b' 100%", "/cvmfs/t2k.egi.eu/start.sh --name 'a b' 100%"),
        ("onegate_endpoint", "http://169.254.16.9:5030/", "http://169.254.16.9:5030"),
        ("vmid", "42", "42"),
        ("hostname", "Zürich-1", "Zürich-1"),
        ("period_s", "1", 1),
        ("pilots", "core", "core"),
        ("pilots", "256", "256"),
        ("pilot_again_s", "0", 0),
        ("payload_pattern", "^job-([0-9]+)", "^job-([0-9]+)"),
        ("dirac_pilot", "/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py", "/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py"),
        ("dirac_pilot_sha256", "AB" * 32, "ab" * 32),
        ("condor_domain", "pool.example.org", "pool.example.org"),
        ("hs06", "12.5", 12.5),
        ("stop", "never", "never"),
        ("save_logs", "https://logs.example.org/belle", "https://logs.example.org/belle"),
    ],
)
def test_takes(option: str, text: str, value: object) -> None:
    settings, problems = make_settings({option: Value(text, "here")})
    assert problems == []
    assert getattr(settings, option) == value


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("site", "x\ny"),
        ("site", "x" * 129),
        ("cvmfs_repositories", "belle"),
        ("cvmfs_repositories", "belle.cern.ch;id"),
        ("cvmfs_repositories", "../../etc"),
        ("cvmfs_repositories", "-x.cern.ch"),
        ("cvmfs_proxy", "squid"),
        ("cvmfs_proxy", 'http://a:3128";id;"'),
        ("cvmfs_proxy", "http://a:3128|"),
        ("cvmfs_proxy", "http://$(id):3128"),
        ("cvmfs_quota_mib", "8 GB"),
        ("cvmfs_quota_mib", "0"),
        ("cvmfs_quota_mib", "٣٠٠"),
        ("scratch", "vdb"),
        ("scratch", "/dev/../etc/passwd"),
        ("scratch", "/dev/vdb -x"),
        ("pilot", "x\ny"),
        ("pilot", "run\u00a0it"),
        ("pilot", "run\u200bit"),
        ("pilot", "x" * 1001),
        ("onegate_endpoint", "ftp://x"),
        ("onegate_endpoint", "http://x\r\nX-A: b"),
        ("onegate_endpoint", "http://user@x"),
        ("vmid", "0x7"),
        ("period_s", "0"),
        ("pilots", "0"),
        ("pilots", "257"),
        ("pilots", "all"),
        ("pilots", "²"),
        ("payload_pattern", "("),
        ("payload_pattern", "a\nb"),
        ("pilot_drain", "x\ny"),
        ("stop", "later"),
        ("stop_no_jobs_s", "-1"),
        ("max_lifetime_s", "1e9"),
        ("heartbeat_s", "0"),
        ("hs06", "nan"),
        ("hs06", "-1"),
        ("dirac_manager", "https://d.example.org:9163/A/B"),
        ("dirac_manager", "dips://d.example.org:99999/A/B"),
        ("dirac_servers", "dips://d.example.org:9135/A/B,dips://e:0/A/B"),
        ("dirac_site", "a b"),
        ("dirac_pilot_sha256", "xyz"),
        ("condor_collector", "pool.example.org"),
        ("condor_collector", "pool.example.org:70000"),
        ("condor_token", "../token"),
        ("condor_token", "/etc/../token"),
        ("diracx_url", "https://[x"),
        ("diracx_url", "http://diracx.example.org"),
        ("diracx_url", "http://localhost.example.org:8000"),
        ("onegate_endpoint", "http://[fd00"),
        ("onegate_endpoint", "http://x:y"),
        ("onegate_endpoint", "http://:80"),
        ("cvmfs_proxy", "http://a:3128|http://[b"),
        ("cvmfs_proxy", "http://a:x"),
        ("save_logs", "http://logs.example.org"),
        ("credentials", "none"),
    ],
)
def test_refuses_and_says_where(option: str, text: str) -> None:
    settings, problems = make_settings({option: Value(text, "/here")})
    assert settings == Settings()
    assert len(problems) == 1
    assert problems[0].startswith(f"/here: {option}: ")


def test_every_problem_is_told_at_once() -> None:
    problems = make_settings({"vmid": Value("x", "a"), "scratch": Value("y", "b"), "vo": Value("belle", "c")})[1]
    assert [problem.split(":")[0] for problem in problems] == ["b", "a"]


def test_every_setting_is_in_the_table_and_in_the_sample_file() -> None:
    assert sorted(key.option for key in KEYS) == sorted(Settings._fields)
    table = (ROOT / "vmagent/README.md").read_text(encoding="utf-8").partition("## Checks")[0].splitlines()
    sample = (ROOT / "vmagent/files/etc/b2ct-vm/agent.conf").read_text(encoding="utf-8")
    for key in KEYS:
        (row,) = [line for line in table if line.startswith(f"| `{key.option}` |")]
        if key.variables != (f"B2CT_{key.option.upper()}",):
            assert f"context: {', '.join(f'`{variable}`' for variable in key.variables)}" in row
        assert f"\n#{key.option} = " in sample


def test_the_sample_file_is_right_with_every_line_in_force() -> None:
    sample = (ROOT / "vmagent/files/etc/b2ct-vm/agent.conf").read_text(encoding="utf-8")
    given = dict(line[1:].split(" = ", 1) for line in sample.splitlines() if re.match("#[a-z]+[a-z0-9_]* = ", line))
    assert make_settings({option: Value(text, "here") for option, text in given.items()})[1] == []


@given(st.sampled_from(["onegate_endpoint", "diracx_url", "cvmfs_proxy", "condor_collector", "save_logs"]), st.data())
def test_an_address_that_is_taken_has_a_host_and_a_port(option: str, data: st.DataObject) -> None:
    host = data.draw(st.text(alphabet="a1.[]:-_", min_size=1, max_size=12))
    text = host if option == "condor_collector" else f"https://{host}/x"[: None if option != "cvmfs_proxy" else -1]
    settings, problems = make_settings({option: Value(text, "here")})
    if not any(problem.startswith("here") for problem in problems):
        url = urlsplit(getattr(settings, option) if "//" in text else f"//{text}")
        assert url.hostname
        assert url.port != 0


def test_diracx_in_the_clear_only_on_this_machine() -> None:
    values = {"diracx_url": "http://127.0.0.1:8000/", "dirac_site": "CLOUD.T.it", "vo": "belle"}
    settings, problems = make_settings({option: Value(text, "here") for option, text in values.items()})
    assert (settings.diracx_url, problems) == ("http://127.0.0.1:8000", [])


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"pilot_kind": "dirac"}, {"dirac_pilot", "dirac_servers", "dirac_site", "dirac_ce", "dirac_queue", "vo"}),
        ({"pilot_kind": "htcondor", "vo": "belle"}, {"condor_collector", "condor_domain"}),
        ({"dirac_manager": "dips://d:9163/A/B", "vo": "belle"}, {"dirac_site"}),
        ({"diracx_url": "https://x", "dirac_site": "a"}, {"vo"}),
        ({"dirac_pilot": "https://x/pilot.py"}, {"dirac_pilot_sha256"}),
        ({"dirac_pilot": "https://x/pilot.py", "dirac_pilot_sha256": "0" * 64}, set()),
    ],
)
def test_what_another_setting_needs(given: dict[str, str], missing: set[str]) -> None:
    problems = make_settings({option: Value(text, "here") for option, text in given.items()})[1]
    assert {problem.rpartition(" ")[2] for problem in problems} == missing


@pytest.mark.parametrize(
    ("settings", "has_pilot", "has_end"),
    [
        (Settings(), False, False),
        (Settings(pilot="x"), True, True),
        (Settings(pilot="x", stop="never"), True, False),
        (Settings(pilot="x", max_lifetime_s=0), True, False),
        (Settings(pilot="x", pilot_kind="dirac"), False, False),
        (Settings(pilot_kind="htcondor"), True, True),
    ],
)
def test_what_a_machine_is_for(settings: Settings, has_pilot: bool, has_end: bool) -> None:  # noqa: FBT001 - parameters
    assert (settings.has_pilot, settings.has_end) == (has_pilot, has_end)
