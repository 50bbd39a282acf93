"""What ``b2ct init`` writes is valid and holds the answers."""

from __future__ import annotations

import re

import pytest

from b2ct.render.starter import Answers, render_starter
from b2ct.site.load import read_site_text
from tests.unit.site.sites import KEY


def test_the_shortest_answers_give_a_valid_file() -> None:
    site, problems = read_site_text(render_starter(Answers(site="torino", domain="to.infn.it")), "f")
    assert site is not None
    assert problems == ()


def test_all_answers_are_in_the_file() -> None:
    answers = Answers(
        site="torino",
        domain="to.infn.it",
        distro="rocky",
        version="10",
        iso="Rocky-10.iso",
        opennebula="7.4",
        cidr="10.1.0.0/16",
        gateway="10.1.0.1",
        dns=("10.1.0.2", "10.1.0.3"),
        user="maria",
        ssh_key=KEY,
        zone="Europe/Rome",
    )
    site, problems = read_site_text(render_starter(answers), "f")
    assert problems == ()
    assert site is not None
    assert (site.media.iso, site.time.zone, site.users[0].ssh_keys) == ("Rocky-10.iso", "Europe/Rome", (KEY,))
    assert [str(address) for address in site.networks["service"].dns] == ["10.1.0.2", "10.1.0.3"]


@pytest.mark.parametrize("name", ["Torino", "a b", "x: {y: z}", "'"])
def test_bad_answers_are_found_by_the_check(name: str) -> None:
    _, problems = read_site_text(render_starter(Answers(site=name, domain="to.infn.it")), "f")
    assert problems


def test_what_is_commented_for_virtual_machines_is_valid() -> None:
    text = render_starter(Answers(site="torino", domain="to.infn.it"))
    for part in (r"  # private:.*?\n\n", r"# vo:.*"):
        text, found = re.subn(rf"(?s){part}", lambda block: re.sub(r"(?m)^( *)# ", r"\1", block[0]), text)
        assert found == 1
    site, problems = read_site_text(text, "f")
    assert problems == ()
    assert site is not None
    assert [community.name for community in site.vo] == ["belle"]
    assert [(vm.network, vm.cores) for vm in site.vms] == [("private", (1, 8))]
