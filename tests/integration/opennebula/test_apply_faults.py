"""A front-end fails in every way while a plan is applied: nothing is made twice, nothing half-made stays unnoticed."""

from __future__ import annotations

import _thread
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.opennebula.apply_plan import apply_plan, no_password
from b2ct.apply.opennebula.patience import Patience
from b2ct.apply.opennebula.report import ApplyError, ApplyInterruptedError, Phase
from b2ct.apply.opennebula.sources import Upload
from b2ct.errors import ExitCode
from b2ct.plan.cloud_model import Kind, Verb
from tests.rigs.opennebula.server import Fault, OpenNebulaServer
from tests.rigs.opennebula.wishes import HURRY, Bench, wanted_image, wanted_infrastructure, wanted_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKER = (wanted_image(), wanted_template())
EVERYTHING = (*wanted_infrastructure(), *WORKER)
LOST = [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.RESTART]


@pytest.fixture(params=["6.10", "7.4"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with OpenNebulaServer(request.param) as one:
        yield Bench(one)


def names(bench: Bench) -> Counter[str]:
    return Counter(f"{item.kind} {item.name}" for item in bench.probe().objects if item.mark)


ONCE = Counter(f"{item.kind} {item.name}" for item in EVERYTHING)


@pytest.mark.parametrize("fault", LOST)
def test_lost_answers_are_resolved_by_looking(bench: Bench, fault: Fault) -> None:
    """Each acting call loses one answer; the run goes through, and every object is there once."""
    bench.one.down_s = 0.1
    methods = ["cluster.allocate", "group.allocate", "group.update", "user.allocate", "host.allocate", "host.update"]
    methods += ["datastore.allocate", "vn.allocate", "vn.chmod", "secgroup.allocate", "image.allocate", "image.chmod"]
    for method in [*methods, "template.allocate", "template.chmod", "imagepool.info"]:
        bench.one.fail_next(method, fault)
    assert len(bench.apply(*EVERYTHING).done) == len(EVERYTHING)
    assert names(bench) == ONCE
    assert bench.plan(*EVERYTHING).changes == ()


@pytest.mark.parametrize("fault", LOST)
def test_lost_answers_while_changing_and_removing(bench: Bench, fault: Fault) -> None:
    bench.one.down_s = 0.1
    bench.apply(*EVERYTHING)
    old = bench.find(Kind.IMAGE, "worker-1.0.0")
    newer = (wanted_image("worker-1.1.0", "1.1.0", "b"), wanted_template(image="worker-1.1.0"))
    for method in ("template.update", "image.delete"):
        bench.one.fail_next(method, fault)
    assert len(bench.apply(*newer, remove=[old]).done) == 3
    assert bench.plan(*newer).changes == ()
    assert bench.probe().find(Kind.IMAGE, old.name) is None


def test_a_lost_range_is_not_added_twice(bench: Bench) -> None:
    network = wanted_infrastructure()[5]
    bench.apply(*wanted_infrastructure())
    more = (("TYPE", "IP4"), ("IP", "192.0.2.100"), ("SIZE", "5"))
    wanted = replace(network, template=(*network.template, replace(network.template[-1], value=more)))
    bench.one.fail_next("vn.add_ar", Fault.DROP_AFTER)
    bench.apply(wanted)
    assert sum(item.name == "AR" for item in bench.find(Kind.NETWORK, "private").template) == 2


def test_an_answer_that_takes_too_long_is_looked_for(bench: Bench) -> None:
    """The call is made only once: it may still be at work."""
    bench.client.timeout_s = 0.3
    slow = Bench(bench.one, timeout_s=0.3, patience=replace(HURRY, restart_s=1))
    bench.one.fail_next("template.allocate", Fault.HANG)
    with pytest.raises(ApplyError, match=r"no answer in 0\.3 s; it may have taken effect") as failed:
        slow.apply(*WORKER)
    assert bench.one.methods().count("template.allocate") == 1
    assert [item.name for item in failed.value.report.done] == ["worker-1.0.0"]
    assert [item.name for item in bench.apply(*WORKER).done] == ["worker"]


def test_reading_calls_that_hang_are_made_again(bench: Bench) -> None:
    slow = Bench(bench.one, timeout_s=0.3)
    for method in ("user.info", "imagepool.info", "templatepool.info"):
        bench.one.fail_next(method, Fault.HANG)
    assert len(slow.apply(*WORKER).done) == 2
    bench.one.latency_s = 0.2
    assert slow.plan(*WORKER).changes == ()


def test_an_upload_that_fails_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    """The server for the file ends, and an image that is LOCKED for ever is removed by force."""
    file = tmp_path / "image"
    file.write_bytes(b"x" * 5000)
    bench.one.cloud.image_delay_s = 60
    hasty = Bench(bench.one, patience=replace(HURRY, image_s=0.2, image_mib_per_s=100, settle_s=0.1))
    with pytest.raises(ApplyError, match="removed again: image worker"):
        hasty.apply(*WORKER, sources={WORKER[0].name: Upload(file)})
    assert names(bench) == Counter()
    (text,) = (call.params[0] for call in bench.one.calls if call.method == "image.allocate")
    (url,) = (part for part in text.split('"') if part.startswith("http"))
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=2)  # noqa: S310 - our own server's


def test_what_cannot_be_removed_is_reported(bench: Bench) -> None:
    bench.one.cloud.next_image_error = "Error copying"
    brief = Bench(bench.one, patience=replace(HURRY, settle_s=0.1))
    bench.one.fail_next("image.delete", *[Fault.DROP_BEFORE] * 50)
    with pytest.raises(ApplyError, match=r"left half-made: image worker-1\.0\.0"):
        brief.apply(*WORKER)
    assert [step.verb for step in bench.plan(*WORKER).steps] == [Verb.CREATE, Verb.CREATE]


def test_a_front_end_that_does_not_come_back_ends_the_run(bench: Bench) -> None:
    brief = Bench(bench.one, patience=replace(HURRY, restart_s=0.5, settle_s=0.1))
    plan = brief.plan(*WORKER)
    bench.one.down_s = 30
    bench.one.fail_next("image.allocate", Fault.RESTART)
    started = time.monotonic()
    with pytest.raises(ApplyError, match="running it again does the rest") as failed:
        apply_plan(brief.client, plan, brief.means(WORKER))
    assert failed.value.exit_code is ExitCode.REMOTE
    assert time.monotonic() - started < 10


def test_http_errors_are_resolved_by_looking(bench: Bench) -> None:
    bench.one.fail_next("template.allocate", Fault.HTTP_500)
    assert len(bench.apply(*WORKER).done) == 2
    assert names(bench) == Counter({"image worker-1.0.0": 1, "template worker": 1})


def test_a_full_datastore_is_said_and_nothing_stays(bench: Bench) -> None:
    bench.one.fill_datastore(free_mib=0)
    with pytest.raises(ApplyError, match="the datastore has not enough space") as failed:
        bench.apply(*WORKER)
    report = failed.value.report
    assert ([step.name for step in report.open], report.done, report.cleaned) == (["worker"], (), ())
    assert failed.value.hint is not None
    assert names(bench) == Counter()
    bench.one.fill_datastore(free_mib=1000)
    assert len(bench.apply(*WORKER).done) == 2


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Not allowed to copy image from /srv/x, check RESTRICTED_DIRS in your datastore", "SAFE_DIRS"),
        ("Error copying /var/tmp/x to /var/lib/one/datastores/1/0", "checksum"),
    ],
)
def test_an_image_that_ends_in_error_is_said_and_removed(bench: Bench, reason: str, said: str) -> None:
    bench.one.cloud.next_image_error = reason
    with pytest.raises(ApplyError, match=r"image worker-1\.0\.0") as failed:
        bench.apply(*WORKER)
    assert said in (failed.value.hint or "")
    assert [item.name for item in failed.value.report.cleaned] == ["worker-1.0.0"]
    assert "removed again: image worker-1.0.0" in str(failed.value)
    assert bench.one.image_id("worker-1.0.0") is None
    assert [event.phase for event in bench.events] == [Phase.STARTED, Phase.FAILED, Phase.CLEANED]
    assert len(bench.apply(*WORKER).done) == 2


def test_other_images_are_completed_when_one_fails(bench: Bench) -> None:
    images = [wanted_image(f"many-{i}") for i in range(6)]
    bench.one.cloud.next_image_error = "Error copying"
    with pytest.raises(ApplyError) as failed:
        bench.apply(*images, wanted_template(image="many-0"))
    report = failed.value.report
    assert (len(report.done), len(report.failed), len(report.cleaned), len(report.open)) == (5, 1, 1, 1)
    assert len(bench.apply(*images).done) == 1


def test_a_network_that_ends_in_error_is_said_and_removed(bench: Bench) -> None:
    network = replace(wanted_infrastructure()[5], cluster=None)
    bad = (("TYPE", "IP4"), ("IP", "nonsense"), ("SIZE", "5"))
    wanted = replace(network, template=(*network.template[:-1], replace(network.template[-1], value=bad)))
    with pytest.raises(ApplyError, match="an address range has no valid first IP address"):
        bench.apply(wanted)
    assert names(bench) == Counter()
    assert len(bench.apply(network).done) == 1


def test_an_image_that_never_gets_ready_is_given_up(bench: Bench) -> None:
    bench.one.cloud.image_delay_s = 60
    hasty = Bench(bench.one, patience=replace(HURRY, image_s=0.2, image_mib_per_s=100))
    with pytest.raises(ApplyError, match=r"not made after 0 s \(state LOCKED\)"):
        hasty.apply(*WORKER)
    assert bench.one.image_id("worker-1.0.0") is None


def test_what_an_earlier_run_began_is_waited_for_or_made_again(bench: Bench) -> None:
    bench.one.cloud.image_delay_s = 0.4
    text = 'NAME = "worker-1.0.0"\nPATH = "/var/tmp/images/worker-1.0.0.qcow2"\nDEV_PREFIX = "vd"\n'
    mark = WORKER[0].mark
    assert mark is not None
    text += f'B2CT_SITE = "{mark.site}"\nB2CT_SOURCE = "{mark.source}"\nB2CT_VERSION = "1.0.0"\n'
    number = bench.client.call("image.allocate", text + f'B2CT_CHECKSUM = "{mark.checksum}"', 1)
    report = bench.apply(*WORKER)
    assert (report.done[0].verb, report.done[0].id) == (Verb.UPDATE, number)
    assert bench.find(Kind.IMAGE, "worker-1.0.0").permissions == 0o644
    assert bench.plan(*WORKER).changes == ()
    bench.one.cloud.objects["image"][number].find("STATE").text = "5"  # type: ignore[union-attr] # it is there
    (image, *_) = bench.apply(*WORKER).done
    assert (image.verb, image.id != number) == (Verb.CREATE, True)
    assert bench.plan(*WORKER).changes == ()


def test_used_up_quotas_and_missing_rights_are_said(bench: Bench) -> None:
    alice = Bench(bench.one, bench.one.add_user("alice"))
    user = bench.find(Kind.USER, "alice")
    bench.client.call("user.quota", user.id, 'DATASTORE = [ ID = "1", IMAGES = "1", SIZE = "-2" ]')
    alice.apply(wanted_image())
    with pytest.raises(ApplyError, match="is used up; 0 of 1 changes are done"):
        alice.apply(wanted_image("worker-1.1.0", "1.1.0", "b"))
    stranger = Bench(bench.one, bench.one.add_user("bob", groups=(bench.one.add_group("nothing"),)))
    with pytest.raises(ApplyError, match="the user may not CREATE TEMPLATE"):
        stranger.apply(replace(wanted_template(), needs=()))


def test_a_name_that_is_taken_meanwhile_is_said(bench: Bench) -> None:
    plan = bench.plan(replace(wanted_template(), needs=()))
    bench.client.call("template.allocate", 'NAME = "worker"')
    with pytest.raises(ApplyError, match="the name is already taken by TEMPLATE 0"):
        apply_plan(bench.client, plan, bench.means(()))


def test_a_group_that_cannot_be_marked_does_not_stay(bench: Bench) -> None:
    group = replace(wanted_infrastructure()[1], quota=None)
    brief = Bench(bench.one, patience=replace(HURRY, restart_s=0.1))
    bench.one.fail_next("group.update", *[Fault.DROP_BEFORE] * 20)
    with pytest.raises(ApplyError, match=r"group.update"):
        brief.apply(group)
    assert bench.probe().find(Kind.GROUP, "belle") is None


def test_no_password_no_user(bench: Bench) -> None:
    with pytest.raises(ApplyError, match="no password is known for the user dirac"):
        bench.apply(*wanted_infrastructure()[1:3], passwords=no_password)
    assert bench.probe().find(Kind.USER, "dirac") is None


def test_ctrl_c_cleans_up_and_resumes(bench: Bench) -> None:
    bench.one.cloud.image_delay_s = 30
    patient = Bench(bench.one, patience=Patience(poll_s=0.05, settle_s=0.1))

    def press() -> None:
        while bench.one.image_id("worker-1.0.0") is None:
            time.sleep(0.01)
        time.sleep(0.2)
        _thread.interrupt_main()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(ApplyInterruptedError, match=r"removed again: image worker-1\.0\.0") as stopped:
        patient.apply(*EVERYTHING)
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    report = stopped.value.report
    assert len(report.done) == len(EVERYTHING) - 2
    assert bench.one.image_id("worker-1.0.0") is None
    bench.one.cloud.image_delay_s = 0
    assert [item.kind for item in bench.apply(*EVERYTHING).done] == [Kind.IMAGE, Kind.TEMPLATE]


def test_secrets_are_in_no_message_and_no_object(bench: Bench) -> None:
    bench.one.fail_next("user.allocate", *[Fault.HTTP_500] * 50)
    brief = Bench(bench.one, patience=replace(HURRY, restart_s=0.2))
    with pytest.raises(ApplyError) as failed:
        brief.apply(*wanted_infrastructure()[1:3])
    assert "dirac-password" not in f"{failed.value}{failed.value.report}{brief.events}"
    assert "opennebula:" not in str(failed.value)
