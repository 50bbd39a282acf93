"""Access rules: what lets a group start virtual machines."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from b2ct.apply.opennebula.rules import may_start, start_rule
from tests.rigs.opennebula.recordings import load_recording

VERSIONS = ("6.10", "7.4")
USERS, NEW_GROUP = 1, 100


def rule(user: str, resource: str, rights: str, zone: str = "400000000") -> SimpleNamespace:
    return SimpleNamespace(USER=user, RESOURCE=resource, RIGHTS=rights, ZONE=zone)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_group_has_no_such_rule_and_the_group_users_has(version: str) -> None:
    tree = load_recording(version, "acl.info").tree
    rules = [rule(*(one.findtext(name) or "" for name in ("USER", "RESOURCE", "RIGHTS"))) for one in tree]
    assert may_start(rules, USERS)
    assert not may_start(rules, NEW_GROUP)
    assert may_start([*rules, rule(*start_rule(NEW_GROUP))], NEW_GROUP)


def test_the_rule_is_for_one_group_and_for_no_more_than_it_needs() -> None:
    assert start_rule(100) == ("200000064", "21400000000", "8", "400000000")
    assert not may_start([rule(*start_rule(100))], 101)


@pytest.mark.parametrize(
    ("rules", "enough"),
    [
        ([("200000064", "1400000000", "8")], False),  # VM alone
        ([("200000064", "1400000000", "8"), ("200000064", "20400000000", "8")], True),
        ([("200000064", "21400000000", "1")], False),  # USE
        ([("200000064", "21100000005", "8")], False),  # of one object
        ([("400000000", "21400000000", "f")], True),  # everybody
        ([("100000064", "21400000000", "8")], False),  # user 100
    ],
)
def test_only_rules_that_cover_all_of_it_count(rules: list[tuple[str, str, str]], enough: bool) -> None:  # noqa: FBT001 - a test's case
    assert may_start([rule(*one) for one in rules], 100) is enough
