from __future__ import annotations

from pathlib import Path

import pytest
from b2ct_vmagent.settings import KEYS, Settings, Value, make_settings

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
    assert [key.option for key in KEYS] == list(Settings._fields)
    table = (ROOT / "vmagent/README.md").read_text(encoding="utf-8")
    sample = (ROOT / "vmagent/files/etc/b2ct-vm/agent.conf").read_text(encoding="utf-8")
    for key in KEYS:
        names = ", ".join(f"`{variable}`" for variable in key.variables)
        assert f"| `{key.option}` | {names} |" in table
        assert f"\n#{key.option} = " in sample
