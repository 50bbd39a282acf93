from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud import CloudTooOldError, make_cloud_plan
from b2ct.plan.cloud_compare import seal, wanted_checksum
from b2ct.plan.cloud_model import CloudFacts, Existing, Kind, Mark, Quota, Reference, Step, Verb, Wanted
from tests.unit.plan.clouds import FILE, MARK, SITE, after, facts, image, made, template, vm

GROUP = Wanted(Kind.GROUP, "belle", mark=Mark(SITE, "site"), quota=Quota(vms=10))
NETWORK = Wanted(Kind.NETWORK, "private", template(VN_MAD="bridge", BRIDGE="br-private"), Mark(SITE, "site"))


def only(wanted: Wanted, cloud: CloudFacts) -> Step:
    (step,) = make_cloud_plan([wanted], cloud).steps
    return step


def test_what_is_not_there_is_made() -> None:
    assert only(vm(CPU="1"), facts()).verb is Verb.CREATE


def test_what_is_there_and_as_wanted_is_kept() -> None:
    step = only(vm(CPU="1"), facts(made(seal(vm(CPU="1")))))
    assert (step.verb, step.differences) == (Verb.KEEP, ())


def test_attributes_that_the_server_or_an_admin_adds_are_left_alone() -> None:
    existing = made(seal(vm(CPU="1", CONTEXT=(("NETWORK", "YES"),))))
    existing = replace(existing, template=(*existing.template, Attribute("LOGO", "x.png")))
    assert only(vm(CPU="1", CONTEXT=(("NETWORK", "YES"),)), facts(existing)).verb is Verb.KEEP


def test_blanks_around_values_and_the_order_of_keys_are_no_change() -> None:
    existing = made(seal(vm(CPU="1", CONTEXT=(("A", "1"), ("B", "2")))))
    assert only(vm(CONTEXT=(("B", "2"), ("A", " 1 ")), CPU=" 1"), facts(existing)).verb is Verb.KEEP


def test_a_change_by_hand_is_told_from_a_change_of_the_site() -> None:
    existing = made(seal(vm(CPU="1")))
    by_hand = replace(
        existing, template=tuple(replace(a, value="9") if a.name == "CPU" else a for a in existing.template)
    )
    step = only(vm(CPU="1"), facts(by_hand))
    assert (step.verb, step.reason) == (Verb.UPDATE, "changed by hand since B2CT wrote it")
    step = only(vm(CPU="2"), facts(existing))
    assert (step.verb, step.reason) == (Verb.UPDATE, "the site file or the bundle changed")
    assert [(d.attribute, d.now, d.wanted) for d in step.differences] == [("CPU", "1", "2")]


def test_an_attribute_that_is_no_longer_wanted_goes_with_the_update() -> None:
    step = only(vm(CPU="1"), facts(made(seal(vm(CPU="1", SCHED_RANK="FREE_CPU")))))
    assert step.verb is Verb.UPDATE
    assert [(d.attribute, d.wanted) for d in step.differences] == [("SCHED_RANK", "")]


def test_a_disk_more_than_wanted_is_a_difference() -> None:
    disk = (("IMAGE", "x"),)
    existing = made(seal(vm(DISK=disk)))
    existing = replace(existing, template=(*existing.template, Attribute("DISK", (("SIZE", "10"),))))
    step = only(vm(DISK=disk), facts(existing))
    assert [(d.attribute, d.now, d.wanted) for d in step.differences] == [("DISK[1]", "SIZE=10", "")]


def test_secrets_and_long_values_are_not_shown() -> None:
    existing = made(seal(vm(CONTEXT=(("PASSWORD", "old-secret"), ("TOKEN", "YES"), ("USERDATA", "a" * 100)))))
    step = only(vm(CONTEXT=(("PASSWORD", "new-secret"), ("TOKEN", "NO"), ("USERDATA", "b" * 100))), facts(existing))
    shown = {d.attribute: (d.now, d.wanted) for d in step.differences}
    assert shown["CONTEXT/PASSWORD"] == ("(hidden)", "(hidden)")
    assert shown["CONTEXT/TOKEN"] == ("YES", "NO")
    assert shown["CONTEXT/USERDATA"][0].startswith("(100 characters, sha256 ")
    assert "secret" not in str(step.differences)


def test_permissions_group_and_quota_are_compared() -> None:
    wanted = replace(vm(), permissions=0o640, group="belle")
    step = make_cloud_plan([GROUP, wanted], facts(made(seal(vm())))).steps[1]
    assert [(d.attribute, d.now, d.wanted) for d in step.differences] == [
        ("permissions", "600", "640"),
        ("group", "oneadmin", "belle"),
    ]
    step = only(GROUP, facts(replace(made(seal(GROUP), 100), quota=Quota(vms=5))))
    assert [(d.attribute, d.now, d.wanted) for d in step.differences] == [("quota", "vms 5", "vms 10")]


def test_a_group_without_limits_is_as_wanted_when_none_are_set() -> None:
    wanted = replace(GROUP, quota=Quota())
    assert only(wanted, facts(replace(made(seal(wanted), 100), quota=None))).verb is Verb.KEEP


@pytest.mark.parametrize("wanted", [image(), vm()])
def test_a_name_that_is_taken_is_refused(wanted: Wanted) -> None:
    foreign = made(replace(wanted, mark=None))
    step = only(wanted, facts(foreign))
    assert step.verb is Verb.REFUSE
    assert "of oneadmin, which B2CT did not make" in step.reason
    other_site = made(replace(wanted, mark=Mark("napoli", "belle2-worker", "1.0.0", FILE)))
    assert only(wanted, facts(other_site)).verb is Verb.REFUSE


def test_the_same_name_of_another_user_is_not_taken() -> None:
    assert only(image(), facts(made(replace(image(), mark=None), owner="alice"))).verb is Verb.CREATE


def test_a_mark_that_another_user_wrote_proves_nothing() -> None:
    forged = made(image(), owner="mallory")
    assert only(image(), facts(forged)).verb is Verb.CREATE
    assert only(image(), facts(forged, user="alice")).verb is Verb.CREATE
    (step,) = make_cloud_plan([], facts(forged), remove=[forged], site=SITE).steps
    assert (step.verb, step.reason) == (Verb.REFUSE, "it belongs to mallory, who has to remove it")


def test_an_ordinary_user_uses_what_oneadmin_made_for_the_site() -> None:
    assert only(image(), facts(made(image()), user="alice")).verb is Verb.KEEP
    assert only(vm(CPU="2"), facts(made(seal(vm(CPU="1"))), user="alice")).verb is Verb.CREATE


def test_what_oneadmin_made_by_hand_does_not_stand_in_the_way_of_others() -> None:
    foreign = made(replace(vm(CPU="1"), mark=None))
    assert only(vm(CPU="1"), facts(foreign, user="alice")).verb is Verb.CREATE


def test_admins_share_what_oneadmin_made() -> None:
    existing = made(seal(vm(CPU="1")))
    bob = replace(facts(existing), user="bob")
    assert only(vm(CPU="1"), bob).verb is Verb.KEEP
    assert only(vm(CPU="2"), bob).verb is Verb.UPDATE
    assert only(vm(CPU="1"), replace(bob, objects=(replace(existing, mark=None),))).verb is Verb.CREATE


def test_what_somebody_else_made_of_the_infrastructure_is_used() -> None:
    foreign = made(replace(NETWORK, mark=None, template=template(VN_MAD="vxlan", BRIDGE="br0")))
    step = only(NETWORK, facts(foreign))
    assert step.verb is Verb.USE
    assert [d.attribute for d in step.differences] == ["BRIDGE", "VN_MAD"]


def test_another_file_under_the_same_name_is_refused() -> None:
    step = only(image(checksum="sha256:" + "b" * 64), facts(made(image())))
    assert step.verb is Verb.REFUSE
    assert "raise the image's version" in step.reason


def test_where_the_file_came_from_is_no_difference() -> None:
    step = only(image(PATH="http://a/1", MD5="0" * 32, TYPE="OS"), facts(made(image())))
    assert step.verb is Verb.KEEP


@pytest.mark.parametrize("state", ["LOCKED", "INIT"])
def test_an_image_that_is_still_copied_is_waited_for(state: str) -> None:
    step = only(image(), facts(made(image(), state=state)))
    assert step.verb is Verb.UPDATE
    assert "waited for" in step.reason


def test_a_broken_image_of_ours_is_made_again() -> None:
    broken = made(image(checksum="sha256:" + "b" * 64), state="ERROR")
    broken = replace(broken, template=(*broken.template, Attribute("ERROR", "no space")))
    step = only(image(), facts(broken))
    assert (step.verb, step.existing) == (Verb.CREATE, broken)
    assert "no space" in step.reason
    assert only(image(), facts(replace(broken, uses=1))).verb is Verb.REFUSE
    foreign = made(replace(image(), mark=None), state="ERROR")
    assert only(image(), facts(foreign)).verb is Verb.REFUSE


@pytest.mark.parametrize("kind", [Kind.CLUSTER, Kind.GROUP, Kind.USER, Kind.HOST, Kind.DATASTORE, Kind.NETWORK])
def test_an_ordinary_user_is_told_to_ask(kind: Kind) -> None:
    step = only(Wanted(kind, "new", mark=MARK), facts(user="alice"))
    assert step.verb is Verb.REFUSE
    assert "ask an administrator" in step.reason


def test_an_ordinary_user_uses_what_it_cannot_change() -> None:
    existing = replace(made(seal(GROUP), 100), quota=None)
    assert only(GROUP, facts(existing, user="alice")).verb is Verb.USE


def test_what_cannot_change_is_refused() -> None:
    existing = made(seal(replace(NETWORK, template=template(VN_MAD="vxlan", BRIDGE="br-private"))))
    step = only(NETWORK, facts(existing))
    assert (step.verb, step.reason[:36]) == (Verb.REFUSE, "its VN_MAD is vxlan and cannot becom")


def test_what_is_needed_has_to_be_there() -> None:
    wanted = replace(vm(), needs=(Reference(Kind.IMAGE, image().name),))
    step = only(wanted, facts())
    assert step.verb is Verb.REFUSE
    assert "oneimage create" in step.reason
    assert [s.verb for s in make_cloud_plan([wanted, image()], facts()).steps] == [Verb.CREATE, Verb.CREATE]
    assert only(wanted, facts(made(image()))).verb is Verb.CREATE
    assert only(wanted, facts(made(image(), state="ERROR"))).verb is Verb.REFUSE
    (first, second) = make_cloud_plan([wanted, image(checksum="sha256:" + "b" * 64)], facts(made(image()))).steps
    assert (first.verb, second.verb) == (Verb.REFUSE, Verb.REFUSE)
    assert second.reason == f"it needs the image {image().name}, which is refused"
    assert only(replace(vm(), group="belle"), facts()).verb is Verb.REFUSE
    assert only(replace(vm(), group="users"), facts(user="alice")).verb is Verb.CREATE


def test_an_old_cloud_is_refused() -> None:
    with pytest.raises(CloudTooOldError, match=r"6\.8\.1 is too old"):
        make_cloud_plan([], facts(version=(6, 8, 1)))


def test_what_an_interrupted_run_left_is_completed() -> None:
    bare = Existing(Kind.GROUP, 100, "belle", "", "", (), None)
    assert only(GROUP, facts(bare)).verb is Verb.UPDATE
    assert only(GROUP, facts(replace(bare, uses=1))).verb is Verb.USE
    assert only(GROUP, facts(replace(bare, id=1))).verb is Verb.USE
    assert only(GROUP, facts(replace(bare, quota=Quota(vms=1)))).verb is Verb.USE
    assert only(GROUP, facts(replace(bare, template=template(X="1")))).verb is Verb.USE
    user = Wanted(Kind.USER, "dirac", mark=MARK, group="belle")
    lone = Existing(Kind.USER, 5, "dirac", "", "belle", (), None)
    assert [s.verb for s in make_cloud_plan([GROUP, user], facts(bare, lone)).steps] == [Verb.UPDATE, Verb.UPDATE]
    foreign = replace(bare, uses=1)
    assert [s.verb for s in make_cloud_plan([GROUP, user], facts(foreign, lone)).steps] == [Verb.USE, Verb.USE]


def test_steps_come_in_the_order_of_making() -> None:
    old = made(vm("old"), 1), made(image("old"), 2)
    plan = make_cloud_plan([vm(), image(), NETWORK, GROUP], facts(*old), remove=old[::-1])
    assert [(s.verb, s.kind) for s in plan.steps] == [
        (Verb.CREATE, Kind.GROUP),
        (Verb.CREATE, Kind.NETWORK),
        (Verb.CREATE, Kind.IMAGE),
        (Verb.CREATE, Kind.TEMPLATE),
        (Verb.REMOVE, Kind.TEMPLATE),
        (Verb.REMOVE, Kind.IMAGE),
    ]


def test_what_is_used_is_not_removed() -> None:
    old, busy = made(image("old"), 2), replace(made(image("busy"), 3), uses=4)
    cloud = facts(old, busy, made(vm("by-number", DISK=(("IMAGE_ID", "2"),)), 1))
    plan = make_cloud_plan([], cloud, remove=[old, busy], site=SITE)
    assert [(s.verb, s.reason) for s in plan.steps] == [
        (Verb.REFUSE, "these VM templates use it: by-number: remove or change them first"),
        (Verb.REFUSE, "it is in use by 4 virtual machines: remove them first"),
    ]


def test_a_template_that_is_switched_to_another_image_frees_the_old_one() -> None:
    old = made(image("old"), 2)
    existing = made(seal(vm(DISK=(("IMAGE", "old"),))), 1)
    wanted = [image("new"), vm(DISK=(("IMAGE", "new"),))]
    plan = make_cloud_plan(wanted, facts(old, existing), remove=[old])
    assert [s.verb for s in plan.steps] == [Verb.CREATE, Verb.UPDATE, Verb.REMOVE]
    back = [vm(DISK=(("IMAGE", "old"),))]
    plan = make_cloud_plan(back, facts(old, existing), remove=[old])
    assert [s.verb for s in plan.steps] == [Verb.KEEP, Verb.REFUSE]


@pytest.mark.parametrize("mark", [None, Mark("napoli", "belle2-worker")])
def test_what_is_not_ours_is_never_removed(mark: Mark | None) -> None:
    foreign = made(replace(vm("foreign"), mark=mark))
    (step,) = make_cloud_plan([], facts(foreign), remove=[foreign], site=SITE).steps
    assert step.verb is Verb.REFUSE


def test_what_is_still_wanted_is_not_removed() -> None:
    existing = made(seal(vm()))
    plan = make_cloud_plan([vm()], facts(existing), remove=[existing])
    assert [s.verb for s in plan.steps] == [Verb.KEEP, Verb.REFUSE]


def test_the_checksum_does_not_depend_on_the_mark() -> None:
    assert wanted_checksum(vm(CPU="1")) == wanted_checksum(replace(vm(CPU="1"), mark=None))
    assert wanted_checksum(vm(CPU="1")) != wanted_checksum(vm(CPU="2"))
    assert wanted_checksum(vm(A="x", B="y")) == wanted_checksum(vm(B="y", A="x"))


TEXTS = st.sampled_from(["", "1", "2", " 1 ", "a" * 70])
VALUES = TEXTS | st.dictionaries(st.sampled_from(["SIZE", "IMAGE", "TOKEN"]), TEXTS, min_size=1).map(
    lambda keys: tuple(keys.items())
)
TEMPLATES = st.lists(st.tuples(st.sampled_from(["CPU", "DISK", "CONTEXT"]), VALUES), max_size=4).map(
    lambda items: tuple(Attribute(name, value) for name, value in items)
)
MARKS = st.sampled_from(
    [None, MARK, replace(MARK, checksum=FILE), replace(MARK, version="2"), Mark("napoli", "site", "", FILE)]
)
KINDS = st.sampled_from([Kind.GROUP, Kind.SECURITY_GROUP, Kind.IMAGE, Kind.TEMPLATE])
NAMES = st.sampled_from(["one", "two", "three"])
WANTED = st.builds(
    Wanted,
    kind=KINDS,
    name=NAMES,
    template=TEMPLATES,
    mark=st.sampled_from([MARK, replace(MARK, checksum=FILE)]),
    permissions=st.sampled_from([None, 0o640]),
)
EXISTING = st.builds(
    lambda wanted, owner, state, uses, sealed: replace(
        made(seal(wanted) if sealed else wanted, owner=owner, state=state if wanted.kind is Kind.IMAGE else ""),
        uses=uses,
    ),
    st.builds(Wanted, kind=KINDS, name=NAMES, template=TEMPLATES, mark=MARKS),
    st.sampled_from(["oneadmin", "alice", "mallory"]),
    st.sampled_from(["READY", "ERROR", "LOCKED", "USED"]),
    st.sampled_from([0, 0, 3]),
    st.booleans(),
)
CLOUDS = st.builds(
    lambda objects, user: facts(*(replace(item, id=200 + i) for i, item in enumerate(objects)), user=user),
    st.lists(EXISTING, max_size=6, unique_by=lambda item: (item.kind, item.name, item.owner)),
    st.sampled_from(["oneadmin", "alice"]),
)
WISHES = st.lists(WANTED, max_size=5, unique_by=lambda item: (item.kind, item.name))


@settings(deadline=None)
@given(wanted=WISHES, cloud=CLOUDS)
def test_planning_again_after_applying_changes_nothing(wanted: list[Wanted], cloud: CloudFacts) -> None:
    again = make_cloud_plan(wanted, after(make_cloud_plan(wanted, cloud), cloud))
    assert {step.verb for step in again.steps} <= {Verb.KEEP, Verb.USE, Verb.REFUSE}


@settings(deadline=None)
@given(wanted=WISHES, cloud=CLOUDS, data=st.data())
def test_no_step_touches_what_is_not_ours(wanted: list[Wanted], cloud: CloudFacts, data: st.DataObject) -> None:
    remove = data.draw(st.lists(st.sampled_from(cloud.objects), unique=True))
    plan = make_cloud_plan(wanted, cloud, remove=remove, site=SITE)
    for step in plan.changes:
        if step.existing:
            bare = step.kind is Kind.GROUP and not step.existing.template and not step.existing.uses
            assert bare or (step.existing.mark and step.existing.mark.site == SITE), step
            assert step.existing.owner in {"", cloud.user} or (cloud.admin and step.existing.owner == "oneadmin"), step
            assert not (step.verb is not Verb.UPDATE and step.existing.uses), step
    assert len(plan.steps) == len(wanted) + len(remove)
