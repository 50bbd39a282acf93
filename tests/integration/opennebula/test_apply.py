"""Plans are applied to a pretended front-end, and nothing is left to do afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.opennebula.apply_plan import apply_plan
from b2ct.apply.opennebula.report import ApplyError, Phase, PlanRefusedError
from b2ct.plan.attributes import Attribute, first_text, first_value, set_values
from b2ct.plan.cloud_model import Kind, Mark, Quota, Verb
from b2ct.render.opennebula import ObjectNameError, render_template
from b2ct.render.quoting import QuotingError
from tests.rigs.opennebula.server import OpenNebulaServer
from tests.rigs.opennebula.wishes import SITE, Bench, wanted_image, wanted_infrastructure, wanted_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.cloud_model import Wanted

WORKER = (wanted_image(), wanted_template())


@pytest.fixture(params=["6.10", "7.4"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with OpenNebulaServer(request.param) as one:
        yield Bench(one)


def test_an_image_and_its_template_are_made_once(bench: Bench) -> None:
    report = bench.apply(*WORKER)
    assert [(item.verb, item.kind) for item in report.done] == [(Verb.CREATE, Kind.IMAGE), (Verb.CREATE, Kind.TEMPLATE)]
    image, template = bench.find(Kind.IMAGE, "worker-1.0.0"), bench.find(Kind.TEMPLATE, "worker")
    assert (image.state, image.permissions, image.mark) == ("READY", 0o644, WORKER[0].mark)
    assert bench.one.cloud.contents[image.id] == b"worker-1.0.0" * 100
    assert template.permissions == 0o640
    assert first_text(template.template, "CONTEXT", "GREETING") == first_text(WORKER[1].template, "CONTEXT", "GREETING")
    assert [event.phase for event in bench.events] == [Phase.STARTED, Phase.DONE] * 2

    before = len(bench.one.calls)
    assert bench.apply(*WORKER).done == ()
    assert bench.acts(before) == []
    assert {step.verb for step in bench.plan(*WORKER).steps} == {Verb.KEEP}


def test_the_whole_infrastructure_is_made_once(bench: Bench) -> None:
    wanted = wanted_infrastructure()
    assert len(bench.apply(*wanted).done) == len(wanted)
    assert bench.find(Kind.GROUP, "belle").quota == Quota(vms=10, memory_mib=4096)
    assert bench.find(Kind.USER, "dirac").group == "belle"
    assert bench.find(Kind.HOST, "hv01.example.org").cluster == "torino"
    assert bench.find(Kind.NETWORK, "private").state == "READY"
    assert bench.find(Kind.NETWORK, "private").cluster == "torino"
    assert bench.probe().user == Bench(bench.one, "oneadmin:opennebula").probe().user
    assert Bench(bench.one, "dirac:dirac-password").probe().group == "belle"
    before = len(bench.one.calls)
    assert bench.apply(*wanted).done == ()
    assert bench.acts(before) == []


def test_everything_of_ours_can_be_removed_again(bench: Bench) -> None:
    everything = (*wanted_infrastructure(), *WORKER)
    untouched = {(item.kind, item.id) for item in bench.probe().objects}
    bench.apply(*everything)
    for _ in range(2):  # a cluster and a group are empty only in the second round
        ours = [item for item in bench.probe().objects if item.mark]
        plan = bench.plan(remove=ours)
        apply_plan(bench.client, replace(plan, steps=plan.changes), bench.means(()))
    assert {(item.kind, item.id) for item in bench.probe().objects} == untouched


def test_what_differs_is_changed_and_nothing_else(bench: Bench) -> None:
    everything = (*wanted_infrastructure(), *WORKER)
    bench.apply(*everything)
    before = len(bench.one.calls)
    changed = tuple(map(_changed, everything))
    report = bench.apply(*changed)
    assert {(item.verb, item.kind) for item in report.done} == {
        (Verb.UPDATE, Kind.GROUP),
        (Verb.UPDATE, Kind.NETWORK),
        (Verb.UPDATE, Kind.SECURITY_GROUP),
        (Verb.UPDATE, Kind.IMAGE),
        (Verb.UPDATE, Kind.TEMPLATE),
    }
    changes = ["group.quota", "group.update", "vn.update_ar", "vn.add_ar", "vn.update", "secgroup.update"]
    assert sorted(bench.acts(before)) == sorted([*changes, "image.chmod", "template.update"])
    assert bench.plan(*changed).changes == ()
    template = bench.find(Kind.TEMPLATE, "worker")
    assert first_value(template.template, "MEMORY") is None
    bench.apply(*everything)
    assert bench.plan(*everything).changes == ()


def _changed(wanted: Wanted) -> Wanted:
    match wanted.kind:
        case Kind.GROUP:
            return replace(wanted, quota=Quota(cores=8))
        case Kind.NETWORK:
            ranges = [
                (("TYPE", "IP4"), ("IP", f"192.0.2.{ip}"), ("SIZE", size)) for ip, size in ((10, "60"), (100, "9"))
            ]
            return replace(wanted, template=set_values(wanted.template, "AR", *ranges))
        case Kind.SECURITY_GROUP:
            return replace(wanted, template=(Attribute("RULE", (("PROTOCOL", "ALL"), ("RULE_TYPE", "OUTBOUND"))),))
        case Kind.IMAGE:
            return replace(wanted, permissions=0o640)
        case Kind.TEMPLATE:
            return replace(wanted, template=set_values(set_values(wanted.template, "MEMORY"), "CPU", "4"))
        case _:
            return wanted


def test_a_change_by_hand_is_taken_back(bench: Bench) -> None:
    bench.apply(*WORKER)
    template = bench.find(Kind.TEMPLATE, "worker")
    bench.client.call("template.update", template.id, render_template((Attribute("CPU", "64"),)), 1)
    (step,) = bench.plan(*WORKER).changes
    assert step.reason == "changed by hand since B2CT wrote it"
    bench.apply(*WORKER)
    assert first_text(bench.find(Kind.TEMPLATE, "worker").template, "CPU") == "1"


def test_a_new_version_stands_beside_the_old_one_until_that_is_removed(bench: Bench) -> None:
    bench.apply(*WORKER)
    newer = (wanted_image("worker-1.1.0", "1.1.0", "b"), wanted_template(image="worker-1.1.0"))
    old = bench.find(Kind.IMAGE, "worker-1.0.0")
    report = bench.apply(*newer, remove=[old])
    assert [(item.verb, item.name) for item in report.done] == [
        (Verb.CREATE, "worker-1.1.0"),
        (Verb.UPDATE, "worker"),
        (Verb.REMOVE, "worker-1.0.0"),
    ]


def test_what_users_have_is_switched_when_the_new_version_is_there(bench: Bench) -> None:
    bench.apply(wanted_image(), wanted_template())
    since = len(bench.one.methods())
    changed = wanted_template(GREETING="changed")
    bench.apply(wanted_image(), changed, wanted_template("worker-v2"), wanted_template("worker-v3"))
    acts = [act for act in bench.acts(since) if act in {"template.allocate", "template.update"}]
    assert acts == ["template.allocate", "template.allocate", "template.update"]


def test_what_another_run_made_meanwhile_is_said_to_be_that(bench: Bench) -> None:
    wanted = (wanted_image(), wanted_template())
    plan = bench.plan(*wanted)
    bench.apply(*wanted)
    with pytest.raises(ApplyError, match=r"image worker-1\.0\.0: it was made meanwhile, as by another run") as caught:
        apply_plan(bench.client, plan, bench.means(wanted))
    assert caught.value.hint == "let that one end, then run this again"
    assert {step.verb for step in bench.plan(*wanted).steps} == {Verb.KEEP}


def test_an_ordinary_user_imports_for_itself(bench: Bench) -> None:
    alice = Bench(bench.one, bench.one.add_user("alice"))
    template = replace(wanted_template(), template=set_values(WORKER[1].template, "DISK", (("IMAGE", "worker-1.0.0"),)))
    wanted = (wanted_image(), template)
    assert len(alice.apply(*wanted).done) == 2
    assert {item.owner for item in alice.probe().objects if item.mark} == {"alice"}
    before = len(bench.one.calls)
    assert alice.apply(*wanted).done == ()
    assert bench.acts(before) == []
    facts = alice.probe()
    assert (facts.user, facts.group, facts.admin) == ("alice", "users", False)


def test_an_ordinary_user_is_refused_what_only_admins_can_make(bench: Bench) -> None:
    alice = Bench(bench.one, bench.one.add_user("alice"))
    with pytest.raises(PlanRefusedError, match="cluster torino: it is not there, and alice cannot make it") as refused:
        alice.apply(*wanted_infrastructure())
    assert len(refused.value.refused) == len(wanted_infrastructure()) - 1
    assert bench.acts() == []


def test_an_ordinary_user_uses_what_oneadmin_imported(bench: Bench) -> None:
    bench.apply(wanted_image())
    alice = Bench(bench.one, bench.one.add_user("alice"))
    (step,) = alice.plan(wanted_image()).steps
    assert (step.verb, step.existing and step.existing.owner) == (Verb.KEEP, "oneadmin")


def test_a_template_is_given_to_the_community(bench: Bench) -> None:
    wanted = (wanted_infrastructure()[1], wanted_image(), replace(wanted_template(), group="belle"))
    bench.apply(*wanted)
    assert bench.find(Kind.TEMPLATE, "worker").group == "belle"
    assert bench.plan(*wanted).changes == ()


def test_images_of_one_import_are_copied_at_the_same_time(bench: Bench) -> None:
    bench.one.cloud.image_delay_s = 0.5
    bench.one.latency_s = 0.02
    images = [wanted_image(f"many-{i}") for i in range(8)]
    bench.apply(*images)
    assert 2 <= bench.one.peak_calls <= 4
    polls = bench.one.methods().count("imagepool.info")
    assert polls < 16


def test_objects_of_others_are_not_touched(bench: Bench) -> None:
    bench.client.call("template.allocate", 'NAME = "worker"\nCPU = "8"')
    before = len(bench.one.calls)
    with pytest.raises(PlanRefusedError, match="the name is taken by template 0 of oneadmin"):
        bench.apply(*WORKER)
    assert bench.acts(before) == []


def test_what_lost_its_mark_since_it_was_planned_is_not_removed(bench: Bench) -> None:
    bench.apply(*WORKER)
    template = bench.find(Kind.TEMPLATE, "worker")
    plan = bench.plan(remove=[template])
    bench.client.call("template.update", template.id, 'CPU = "1"', 0)
    with pytest.raises(ApplyError, match="not ours any more"):
        apply_plan(bench.client, plan, bench.means(()))
    assert bench.find(Kind.TEMPLATE, "worker").id == template.id


def test_a_half_made_group_is_completed(bench: Bench) -> None:
    bench.one.add_group("belle")
    group = wanted_infrastructure()[1]
    assert [item.verb for item in bench.apply(group).done] == [Verb.UPDATE]
    assert bench.find(Kind.GROUP, "belle").mark is not None
    assert bench.find(Kind.GROUP, "belle").quota == group.quota
    assert bench.plan(group).changes == ()


def test_objects_of_another_site_are_left_to_it(bench: Bench) -> None:
    elsewhere = replace(wanted_infrastructure()[5], mark=Mark("napoli", "site"), cluster=None)
    bench.apply(elsewhere)
    here = replace(elsewhere, mark=Mark(SITE, "site"))
    assert [step.verb for step in bench.plan(here).steps] == [Verb.USE]


def test_what_cannot_be_written_is_refused_before_anything_is_done(bench: Bench) -> None:
    bad = replace(wanted_template(), template=(Attribute("GREETING", "]]>"),))
    with pytest.raises(QuotingError, match="GREETING"):
        bench.apply(*wanted_infrastructure(), wanted_image(), bad)
    with pytest.raises(ObjectNameError):
        bench.apply(wanted_image(), replace(wanted_template(), name="a/b"))
    assert bench.acts() == []
