"""Reading site files: lines, every problem at once, and words that people understand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from b2ct.errors import SiteFileError, UsageError
from b2ct.site.load import load_site, read_site_text
from b2ct.site.yaml import read_yaml
from tests.unit.site.sites import SITE, changed

if TYPE_CHECKING:
    from pathlib import Path

BAD = """\
site: Torino
domain: to.infn.it
media: {distro: almalinux, version: 9.6}
opennebula: {version: 6.10, tokn: x}
networks:
  service: {cidr: 10.10.0.0/24, gateway: 10.11.0.1}
hosts:
  - name: cn01
    role: fronten
    nics: [{mac: 52:54:00:00:01:01}]
  - name: cn01
    name: cn02
    nics: [{mac: "52:54:00:00:01:01"}]
users: [{name: admin, password: hunter2}]
time: {zone: Europe/Roma}
"""


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read_site_text(text, "s.yaml")[1]]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(json.dumps(SITE))
    assert load_site(path).hosts[1].bonds[0].nics == ("eno1", "eno2")


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    found = problems(BAD)
    expected = [
        ("s.yaml:1: site: 'Torino'", "lower-case letters"),
        ("s.yaml:4: opennebula.tokn: there is no such key", "did you mean token?"),
        ("s.yaml:6: networks.service.gateway: 10.11.0.1", "outside 10.10.0.0/24"),
        ("s.yaml:9: hosts.0.role: 'fronten'", "'frontend' or 'node'"),
        ("s.yaml:12: hosts.1.name", "here twice (first on line 11)"),
        ("s.yaml:13: hosts.1.nics.0.mac", "used twice"),
        ("s.yaml:14: users.0.password", "reference to a secret"),
        ("s.yaml:15: time.zone: 'Europe/Roma'", "not a time zone"),
    ]
    assert len(found) == len(expected), found
    for line, (start, words) in zip(found, expected, strict=True):
        assert line.startswith(start)
        assert words in line


def test_a_secret_that_stands_in_the_file_is_not_shown() -> None:
    assert not any("hunter2" in line for line in problems(BAD))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("[]", "has to hold keys"),
        ("site", "has to hold keys"),
        ("a: [", "s.yaml:2: not valid YAML"),
        ("a: 1\n b: 2", "s.yaml:2: not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("site: !!python/object:os.system x", "has no meaning here"),
        ("? [a, b]\n: 1", "one word"),
        ("a: &x [*x]", "contain themselves"),
        ("media: 3", "media: '3' has to hold keys"),
        ("hosts: 3", "hosts: '3' has to be a list"),
        ("users: [{name: a, ssh_keys: [ssh-rsa nonsense]}]", "users.0.ssh_keys.0: not an OpenSSH public key"),
        ("central: {kind: slurm}", "central.kind: 'slurm' has to be one of 'dirac', 'diracx', 'htcondor'"),
        ("sources: {proxy: 'http://u:p@proxy:3128'}", "must not carry a user or password"),
    ],
)
def test_what_is_no_site_file_is_explained(text: str, words: str) -> None:
    assert any(words in line for line in problems(text)), problems(text)


def test_aliases_cannot_fill_the_memory() -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 30)}]\n" for n in range(1, 12))
    assert any("repeat too much" in line for line in problems(bomb))


def test_anchors_and_merges_work() -> None:
    text = "base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\n"
    document = read_yaml(text, "f")
    assert document.data["other"] == {"x": "1", "y": "3"}
    assert document.problems == ()


@pytest.mark.parametrize("plain", ["9.10", "no", "0x10", "1e3", "52:54:00:00:01:01", "2016-05-31", "010", "y"])
def test_plain_words_mean_what_they_show(plain: str) -> None:
    assert read_yaml(f"a: {plain}", "f").data == {"a": plain}


@pytest.mark.parametrize(
    "text",
    [
        f"central: {{kind: diracx, url: 'http://x', site_name: LCG.A.it, token: '{'S3CRET' * 60}'}}",
        "sources: {proxy: 'http://bob:S3CRET@proxy:3128'}",
        "sources: {proxy: 'http://bob:S3CRET@pro xy'}",
        "media: {distro: almalinux, version: 9, iso: 'https://bob:S3CRET@host/x.iso'}",
        "opennebula: {version: '7.2', token: 'S3CRET'}",
    ],
)
def test_a_value_that_may_be_a_secret_is_never_shown(text: str) -> None:
    assert not any("S3CRET" in line for line in problems(text))
    assert any(not line.endswith("is missing") for line in problems(text))


@pytest.mark.parametrize(
    ("path", "value", "only"),
    [
        ("media.distro", "almalinx", "media.distro: 'almalinx' has to be"),
        (
            "networks.service.cidr",
            "10.10.0.300/24",
            "networks.service.cidr: '10.10.0.300/24' is not a valid IPv4 network",
        ),
        ("networks", {"service": {"cidr": "x"}}, "networks.service.cidr: 'x' is not a valid IPv4 network"),
        ("networks.private.vlan", "5000", "networks.private.vlan: '5000' has to be at most 4094"),
        ("hosts.1.disks.0.size", "480", "is the unit missing?"),
        ("hosts.0.links.0.address", "10.10.0.321", "'10.10.0.321' is not a valid IPv4 address"),
    ],
)
def test_one_mistake_gives_one_problem(path: str, value: object, only: str) -> None:
    (problem,) = problems(json.dumps(changed(path, value)))
    assert only in problem


def test_cores_are_a_number_or_a_whole_node() -> None:
    (problem,) = problems(json.dumps(changed("vms", [{"bundle": "b", "vo": "belle", "cores": ["1", "all"]}])))
    assert problem.endswith("vms.0.cores.1: 'all' has to be a number of cores, or whole-node")


def test_a_number_that_is_no_size_lacks_no_unit() -> None:
    (problem,) = problems(json.dumps(changed("vms", [{"bundle": "belle2-worker", "vo": "belle", "cores": ["0"]}])))
    assert problem.endswith("vms.0.cores.0: '0' has to be at least 1")


def test_mistakes_in_the_base_do_not_hide_the_others() -> None:
    data = changed("media.distro", "almalinx")
    data["networks"]["service"]["cidr"] = "10.10.0.0.0/24"
    data["time"] = {"zone": "Mars"}
    data["hosts"][1]["name"] = "cn01"
    text = "\n".join(problems(json.dumps(data)))
    for words in ("almalinx", "10.10.0.0.0/24", "Mars", "cn01 is used twice"):
        assert words in text
    assert len(text.splitlines()) == 4


def test_values_nested_without_end_are_refused() -> None:
    assert problems("a: " + "[" * 5000 + "]" * 5000) == ["s.yaml:1: the values are nested too deep"]


def test_a_card_is_meant_by_its_mac_in_capitals_too() -> None:
    data = changed("hosts.0.nics", [{"mac": "AA:54:00:00:01:01"}])
    data["hosts"][0]["links"][0]["on"] = "AA:54:00:00:01:01"
    assert problems(json.dumps(data)) == []


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_site(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_a_problem_of_the_site_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"site: \xff\xfe")
    with pytest.raises(SiteFileError) as caught:
        load_site(path)
    assert "not UTF-8" in caught.value.problems[0].message


def test_findings_around_a_refused_value_are_not_reported() -> None:
    text = json.dumps(changed("users", [{"name": "admin", "password": "hunter2"}]))
    assert [line for line in problems(text) if "users" in line] == [
        line for line in problems(text) if "reference to a secret" in line
    ]


@pytest.mark.parametrize("bad", [{"cvmfs": []}, {"name": "b e"}])
def test_a_mistake_in_one_item_hides_no_duplicates_of_the_others(bad: dict[str, object]) -> None:
    vo = SITE["vo"][0]
    found = [line.partition(": ")[2] for line in problems(json.dumps(changed("vo", [vo, bad, vo])))]
    assert len(found) == 2
    assert found[0].startswith("vo.1.name: ")
    assert found[1] == "vo.2.name: the community belle is used twice (first in vo.0.name)"
