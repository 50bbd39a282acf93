from __future__ import annotations

from dataclasses import replace

import pytest

from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud_model import CloudFacts, Existing, Kind, Mark
from b2ct.plan.credentials import (
    NEW_KEY_PAUSE_S,
    Act,
    Answered,
    Machine,
    Policy,
    Worker,
    find_workers,
    make_decisions,
)
from b2ct.site.model import Site
from tests.unit.site.sites import SITE

NOW = 1_800_000_000
ANSWERED = Answered(key="k", source="s", issued_s=NOW - 100, renew_s=NOW + 100, expires_s=NOW + 300)
MACHINE = Machine(id=7, name="w-7", owner="belle", group="belle", template_id=3, key="k", answered=ANSWERED)
POLICY = Policy(
    site="torino",
    vos=frozenset({"belle"}),
    workers={3: Worker("worker", "belle", "belle")},
    templates=frozenset({3, 4}),
    trusted=frozenset({"oneadmin", "importer"}),
    sources={"belle": "s"},
)
VARIABLES = (("B2CT_SITE", "torino"), ("B2CT_KIND", "worker"), ("B2CT_VO", "belle"))
CONTEXT = (Attribute("CONTEXT", VARIABLES),)


def decide(machine: Machine, policy: Policy = POLICY, now_s: int = NOW) -> tuple[Act, str]:
    (decision,) = make_decisions([machine], policy, now_s)
    assert decision.machine.id == machine.id
    return decision.act, decision.reason


@pytest.mark.parametrize(
    ("machine", "act", "words"),
    [
        (MACHINE, Act.KEEP, "still holds"),
        (replace(MACHINE, key=""), Act.WAIT, "not asked yet"),
        (replace(MACHINE, answered=None), Act.ANSWER, "for the first time"),
        (replace(MACHINE, answered=replace(ANSWERED, issued_s=NOW + 1)), Act.ANSWER, "for the first time"),
        (replace(MACHINE, answered=replace(ANSWERED, renew_s=NOW)), Act.ANSWER, "half of the time"),
        (replace(MACHINE, answered=replace(ANSWERED, renew_s=NOW - 1, expires_s=NOW)), Act.ANSWER, "has expired"),
        (replace(MACHINE, answered=replace(ANSWERED, source="old")), Act.ANSWER, "credentials were changed"),
        (replace(MACHINE, answered=replace(ANSWERED, key="other")), Act.WAIT, "another key than before"),
        (replace(MACHINE, key="", problem="its request is bad"), Act.REFUSE, "its request is bad"),
        (replace(MACHINE, group="users"), Act.REFUSE, "belongs to the group users, its template to belle"),
        (replace(MACHINE, group="users", owner="oneadmin"), Act.KEEP, "still holds"),
        (replace(MACHINE, group="users", owner="importer"), Act.KEEP, "still holds"),
        (replace(MACHINE, template_id=4), Act.REFUSE, "not made from a worker template"),
        (replace(MACHINE, template_id=4, context=CONTEXT), Act.REFUSE, "not made from a worker template"),
        (replace(MACHINE, template_id=None), Act.REFUSE, "not made from a worker template"),
        (replace(MACHINE, template_id=9), Act.REFUSE, "not made from a worker template"),
        (replace(MACHINE, template_id=9, context=CONTEXT), Act.KEEP, "still holds"),
        (replace(MACHINE, template_id=9, context=CONTEXT, group="t2k"), Act.REFUSE, "belongs to the group t2k"),
    ],
)
def test_one_machine(machine: Machine, act: Act, words: str) -> None:
    found, reason = decide(machine)
    assert found is act
    assert words in reason


@pytest.mark.parametrize("name", ["SITE", "KIND", "VO"])
def test_all_of_a_context_has_to_be_right(name: str) -> None:
    wrong = tuple((key, "other" if key == f"B2CT_{name}" else value) for key, value in VARIABLES)
    machine = replace(MACHINE, template_id=9, context=(Attribute("CONTEXT", wrong),))
    assert decide(machine)[0] is Act.REFUSE


def test_a_new_key_is_answered_after_a_while() -> None:
    machine = replace(MACHINE, key="new")
    due_s = ANSWERED.issued_s + NEW_KEY_PAUSE_S
    assert decide(machine, now_s=due_s - 1)[0] is Act.WAIT
    assert decide(machine, now_s=due_s) == (Act.ANSWER, "it asks with a new key")


def test_a_vo_without_credentials_is_refused() -> None:
    assert decide(MACHINE, replace(POLICY, sources={})) == (
        Act.REFUSE,
        "the site has no credentials for belle, or they have expired",
    )


def test_two_machines_with_one_key_are_both_refused() -> None:
    decisions = make_decisions([replace(MACHINE, id=9), MACHINE, replace(MACHINE, id=8, key="own")], POLICY, NOW)
    assert [(one.machine.id, one.act) for one in decisions] == [(7, Act.REFUSE), (8, Act.WAIT), (9, Act.REFUSE)]
    assert "copy of the other's disk" in decisions[0].reason


def test_machines_of_others_that_do_not_ask_are_nobodys_business() -> None:
    assert make_decisions([replace(MACHINE, template_id=4, key="")], POLICY, NOW) == ()


def make_item(number: int, *, owner: str = "oneadmin", site: str | None = "torino", kind: str = "worker") -> Existing:
    template = (Attribute("CONTEXT", (("B2CT_KIND", kind), ("B2CT_VO", "belle"))),)
    mark = Mark(site, "belle2-worker", "1.0") if site else None
    return Existing(Kind.TEMPLATE, number, f"t{number}", owner, "belle", template, mark)


def test_only_the_sites_own_worker_templates_count() -> None:
    items = (
        make_item(1),
        make_item(2, owner="importer"),
        make_item(3, owner="belle"),
        make_item(4, site="bologna"),
        make_item(5, site=None),
        make_item(6, kind="squid"),
        replace(make_item(7), kind=Kind.IMAGE),
    )
    facts = CloudFacts((7, 4, 0), "importer", "oneadmin", admin=True, objects=items)
    assert find_workers(Site.model_validate(SITE), facts) == {
        1: Worker("t1", "belle", "belle"),
        2: Worker("t2", "belle", "belle"),
    }
