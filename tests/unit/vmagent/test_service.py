from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import crew, reporters, service
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.context import load_context
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import News, Order, Outcome, Phase, ReportError
from b2ct_vmagent.service import Agent

from tests.unit.vmagent.fake_machine import PATTERN, Centre, FakeMachine, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[str], FakeMachine]

PILOT = "pilot = run it\nperiod_s = 10\n"
UNIT = unit_of(0)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda conf: FakeMachine(tmp_path, monkeypatch, conf)


def test_becomes_ready_works_and_goes_when_the_pilot_ends(make: Make) -> None:
    machine = make(PILOT)
    centre = Centre()
    machine.centres.append(centre)
    machine.at(60, lambda: machine.end(UNIT))
    machine.live()
    assert machine.off
    assert machine.asked == [f"--no-block start {UNIT}", "--no-block poweroff"]
    assert [(news.state, news.ready) for news in centre.told] == [
        (Phase.READY, True),
        (Phase.WORKING, True),
        (Phase.DRAINING, True),
        (Phase.HALTING, True),
        (Phase.HALTING, True),
    ]
    assert [news.outcome for news in centre.told[:-1]] == [None] * 4
    assert str(centre.told[-1].outcome) == "200 Intended work completed ok"
    assert centre.told[-1].done == 1
    assert not Path(machine.paths.status).exists()


def test_no_pilot_starts_before_the_machine_is_ready(make: Make) -> None:
    machine = make(PILOT)
    machine.be_ready(ready=False)
    machine.at(100, lambda: machine.asked.append("comes back"))
    machine.at(100, lambda: machine.be_ready(ready=True))
    machine.live(200)
    assert machine.asked == ["comes back", f"--no-block start {UNIT}"]


@pytest.mark.parametrize("conf", ["", "stop_fizzle_s = 1\nstop_unready_s = 1\nmax_lifetime_s = 1\n"])
def test_a_machine_without_a_pilot_stays(make: Make, conf: str) -> None:
    machine = make(conf)
    machine.live(2000)
    assert machine.asked == []


def test_pilots_per_core(make: Make) -> None:
    machine = make(PILOT + "pilots = core\n")
    for number in range(4):
        machine.at(60 + 20 * number, lambda number=number: machine.end(unit_of(number)))  # type: ignore[misc]
    machine.live()
    assert machine.asked[:-1] == [f"--no-block start {unit_of(number)}" for number in range(4)]
    assert machine.now_s < 100 + 140
    assert machine.feature("jobfeatures/3/allocated_cpu") == "1"
    assert machine.feature("jobfeatures/3/max_rss_bytes") == str(2 << 30)


def test_a_pilot_that_ended_starts_again_after_its_pause(make: Make) -> None:
    machine = make(PILOT + PATTERN + "pilot_again_s = 300\nstop_fizzle_s = 0\nstop_no_jobs_s = 0\n")
    machine.at(50, lambda: machine.end(UNIT))
    machine.at(330, lambda: machine.asked.append("pause"))
    machine.live(1000)
    assert machine.asked == [f"--no-block start {UNIT}", "pause", f"--no-block start {UNIT}"]


@pytest.mark.parametrize("pattern", ["", PATTERN])
def test_a_pilot_that_fails_again_and_again_does_not_keep_the_machine(make: Make, pattern: str) -> None:
    machine = make(PILOT + pattern + "pilot_again_s = 60\nstop_fizzle_s = 0\nstop_no_jobs_s = 0\n")
    for after_s in range(30, 2000, 10):
        machine.at(after_s, lambda: machine.end(UNIT, "exit-code", "3"))
    machine.live(4000)
    assert machine.off
    assert machine.count(f"start {UNIT}") == crew.MOST_FAILURES
    assert machine.outcome() == "700 The pilot failed: exit-code 3"
    assert machine.life().done == 0


def test_a_command_that_finds_no_work_again_and_again_is_no_work(make: Make) -> None:
    machine = make(PILOT + "pilot_again_s = 60\nstop_fizzle_s = 900\n")
    for after_s in range(30, 3000, 10):
        machine.at(after_s, lambda: machine.end(UNIT))
    words = machine.root / "var/lib/b2ct-vm-pilot/0/shutdown_message"
    for after_s in range(25, 3000, 10):
        machine.at(after_s, lambda: words.parent.is_dir() and words.write_text("300 nothing", encoding="ascii"))
    machine.live(4000)
    assert machine.off
    assert machine.outcome() == "300 No job came in 900 s"


@pytest.mark.parametrize("wrong", ["pilot_kind = dirack\n", "pilot_kind = dirac\n", "pilot = \x01\n"])
def test_a_pilot_that_is_set_wrong_does_not_keep_the_machine(make: Make, wrong: str) -> None:
    machine = make(wrong + "stop_unready_s = 500\n")
    machine.live(2000)
    assert machine.off
    assert machine.outcome() == "500 Not ready for 500 s"


def test_a_pilot_that_ended_does_not_start_again_on_a_machine_that_drains(make: Make) -> None:
    machine = make(PILOT + PATTERN + "pilots = 2\npilot_again_s = 20\n")
    machine.at(20, lambda: machine.begin(1, "payload-a"))
    machine.at(30, lambda: machine.order("DRAIN"))
    machine.at(35, lambda: machine.end(UNIT))
    machine.at(300, lambda: machine.end(unit_of(1)))
    machine.live(1000)
    assert machine.off
    assert machine.count("start") == 2


def test_htcondor_is_one_unit_that_divides_the_machine_itself(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "check_credentials", lambda *_: Check("credentials", State.OK, ""))
    condor = "pilot_kind = htcondor\ncondor_collector = cm.example.org:9618\ncondor_domain = pool\nvo = belle\n"
    machine = make(condor + "pilots = core\nperiod_s = 10\n")
    machine.at(20, lambda: machine.begin(0, "condor_starter -f -a slot1_1 cm"))
    machine.at(60, lambda: machine.order("DRAIN"))
    machine.at(300, lambda: machine.finish(0, "condor_starter -f -a slot1_1 cm"))
    machine.live(1000)
    assert machine.off
    unit = "b2ct-vm-htcondor.service"
    assert machine.asked[0] == f"--no-block start {unit}"
    assert set(machine.asked[1:-2]) == {f"--no-block reload {unit}"}
    assert machine.asked[-2:] == [f"stop {unit}", "--no-block poweroff"]
    assert machine.life().done == 1
    assert machine.now_s >= 400


def test_what_the_machine_does_is_told(make: Make) -> None:
    machine = make(PILOT + "heartbeat_s = 30\n")
    centre = Centre()
    machine.centres.append(centre)
    net = machine.root / "proc/net/dev"
    machine.at(50, lambda: net.write_text(f"eth0: 1000{' 0' * 7} 23{' 0' * 7}\n", encoding="ascii"))
    machine.live(200)
    told = centre.told[-1]
    assert (told.moved_bytes, told.jobs, told.state) == (1023, 1, Phase.WORKING)
    assert 250 <= told.uptime_s <= 300
    assert told.load >= 0
    assert [news.jobs for news in centre.told[:2]] == [0, 1]


# orders


@pytest.mark.parametrize("payload", [True, False])
def test_drain_waits_for_payloads_and_asks_the_pilot_every_minute(make: Make, payload: bool) -> None:  # noqa: FBT001 - a parameter
    machine = make(PILOT + PATTERN)
    if payload:
        machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(60, lambda: machine.order("DRAIN"))
    machine.at(365, lambda: machine.asked.append("last"))
    machine.at(365, lambda: machine.finish(0, "payload-a"))
    machine.live(1000)
    assert machine.off
    assert machine.asked[-2:] == [f"stop {UNIT}", "--no-block poweroff"]
    reloads = machine.count(f"--no-block reload {UNIT}")
    if payload:
        assert machine.now_s >= 100 + 365 + service.SETTLE_S - 10
        assert abs(reloads - (365 - 60 + service.SETTLE_S) / 60) < 2
    else:
        assert machine.now_s <= 100 + 60 + service.SETTLE_S + 20
        assert abs(reloads - service.SETTLE_S / 60) < 2


def test_an_order_to_halt_waits_for_nothing(make: Make) -> None:
    machine = make(PILOT + PATTERN)
    centre = Centre()
    machine.centres.append(centre)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(60, lambda: machine.order("DRAIN"))
    machine.at(120, lambda: machine.order("HALT", "fire"))
    machine.live()
    assert machine.now_s < 100 + 140
    assert machine.asked[-2:] == [f"stop {UNIT}", "--no-block poweroff"]
    assert centre.told[-1].outcome == Outcome(100, "fire")


@pytest.mark.parametrize(("order", "halts"), [(Order.DRAIN, False), (Order.HALT, True)])
def test_the_centre_is_obeyed(make: Make, order: Order, halts: bool) -> None:  # noqa: FBT001 - a parameter
    machine = make(PILOT + "heartbeat_s = 30\n")
    centre = Centre("vmdirac")
    machine.centres.append(centre)
    machine.at(60, lambda: setattr(centre, "answer", order))
    machine.live(1000)
    assert machine.off is halts
    assert machine.outcome() == "100 Asked for by vmdirac"
    assert machine.count("reload") == (0 if halts else 16)


def test_who_is_not_central_orders_nothing(make: Make) -> None:
    machine = make(PILOT)
    centre = Centre(central=False)
    centre.answer = Order.HALT
    machine.centres.append(centre)
    machine.live(1000)
    assert machine.life().ending is None


# policies


def test_a_payload_that_runs_is_left_alone_until_the_lifetime_is_over(make: Make) -> None:
    machine = make(PILOT + PATTERN + "max_lifetime_s = 3000\ngrace_s = 1000\nstop_no_cpu_s = 500\nstop_silent_s = 50\n")
    centre = Centre()
    centre.answer = ReportError("down", refused=False)
    machine.centres.append(centre)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(400, lambda: machine.be_ready(ready=False))
    machine.live()
    assert 3000 <= machine.now_s <= 3000 + service.FAREWELL_S + 20
    assert machine.outcome() == "300 The machine's lifetime of 3000 s is over"


def test_before_its_lifetime_is_over_it_drains(make: Make) -> None:
    machine = make(PILOT + PATTERN + "max_lifetime_s = 3000\ngrace_s = 1000\nstop_no_jobs_s = 0\nstop_fizzle_s = 0\n")
    machine.live()
    assert 0 <= machine.now_s - service.SETTLE_S - 2000 < 50
    assert machine.count("reload") >= 1


def test_never(make: Make) -> None:
    machine = make(PILOT + PATTERN + "stop = never\nmax_lifetime_s = 50\nstop_fizzle_s = 1\nstop_no_jobs_s = 1\n")
    machine.at(100, lambda: machine.end(UNIT, "exit-code", "3"))
    machine.live(2000)
    assert machine.life().ending is None
    machine.order("HALT")
    machine.live()
    assert machine.off


def test_a_centre_that_is_silent_ends_only_a_machine_that_does_nothing(make: Make) -> None:
    machine = make(PILOT + PATTERN + "stop_silent_s = 500\nstop_no_jobs_s = 0\nstop_fizzle_s = 0\n")
    centre = Centre()
    centre.answer = ReportError("down", refused=False)
    machine.centres.append(centre)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(900, lambda: machine.finish(0, "payload-a"))
    machine.live()
    assert 1000 <= machine.now_s <= 1000 + service.SETTLE_S + service.FAREWELL_S + 40
    assert machine.outcome() == "600 No central service for 500 s"


def test_a_machine_that_never_becomes_ready_goes(make: Make) -> None:
    machine = make(PILOT + "stop_unready_s = 600\n")
    machine.be_ready(ready=False)
    centre = Centre()
    machine.centres.append(centre)
    machine.live()
    assert 700 <= machine.now_s < 740
    assert (centre.told[-1].outcome, centre.told[-1].ready) == (Outcome(500, "Not ready for 600 s"), False)
    assert centre.told[-1].error.startswith("disk: ")


# reporters


@pytest.mark.parametrize(
    "answer",
    [ReportError("down", refused=False), ReportError("401", refused=True), KeyError("x"), None, "HALT", 2.5],
    ids=str,
)
def test_whatever_a_reporter_does_the_machine_goes_on_and_goes_in_time(make: Make, answer: object) -> None:
    machine = make(PILOT + PATTERN)
    centre, other = Centre(), Centre("other")
    centre.answer = answer
    machine.centres += [centre, other]
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    seen: list[dict[str, dict[str, str]]] = []
    machine.at(40, lambda: seen.append(machine.status()["reports"]))
    machine.at(500, lambda: machine.finish(0, "payload-a"))
    machine.at(500, lambda: machine.order("DRAIN"))
    machine.live()
    assert seen[0]["centre"]["state"] == "waiting"
    assert seen[0]["other"] == {"state": "ok", "detail": "arrived"}
    assert machine.off
    assert other.told[-1].outcome == Outcome(100, "Asked for inside the machine")
    assert machine.now_s <= 600 + 30 + service.SETTLE_S + service.FAREWELL_S + service.TICK_S
    assert machine.now_s >= 600 + service.FAREWELL_S


def test_a_reporter_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real threads and the real clock."""
    machine = FakeMachine(tmp_path, monkeypatch, "pilot = run it\nperiod_s = 1\n")
    monkeypatch.undo()
    hanging, told = threading.Event(), threading.Event()

    class Hanging(Centre):
        def report(self, news: News) -> Order:
            hanging.wait(20)
            return super().report(news)

    class Heard(Centre):
        def report(self, news: News) -> Order:
            if news.outcome is not None:
                told.set()
            return super().report(news)

    monkeypatch.setattr(service, "make_reporters", lambda *_: [Hanging("slow"), Heard("quick")])
    monkeypatch.setattr(service, "FAREWELL_S", 0.3)
    monkeypatch.setattr("b2ct_vmagent.checks.SMALLEST_FREE_MIB", 0)
    off, stop = threading.Event(), threading.Event()

    def power_off(*_: object) -> None:
        off.set()
        stop.set()

    monkeypatch.setattr(service, "power_off", power_off)
    machine.root.joinpath("run/b2ct-vm").mkdir()
    machine.order("HALT")
    try:
        Agent(machine.paths, stop, machine.run).run()
    finally:
        hanging.set()
    assert told.is_set()
    assert off.is_set()


def test_who_is_told_follows_from_the_settings(tmp_path: Path) -> None:
    folder = tmp_path / "run/b2ct-vm"
    folder.mkdir(parents=True)
    context_sh, paths = folder / "context.sh", Paths(str(tmp_path))
    context_sh.write_text("ONEGATE_ENDPOINT='http://127.0.0.1:5030'\nVMID='7'\n", encoding="ascii")

    def names() -> list[str]:
        return [one.name for one in reporters.make_reporters(load_context(paths), "u")]

    assert names() == []
    (folder / "token.txt").write_text("t", encoding="ascii")
    assert names() == ["onegate"]
    more = "B2CT_REPORT_FILE='/run/b2ct-vm/r.json'\nB2CT_DIRAC_MANAGER='dips://d.example.org:9163/WorkloadManagement/VMM'\n"
    with context_sh.open("a", encoding="ascii") as file:
        file.write(more + "B2CT_DIRACX_URL='https://x.example.org'\nB2CT_DIRAC_SITE='CLOUD.T.it'\nB2CT_VO='belle'\n")
    assert names() == ["onegate", "vmdirac", "diracx", "file"]


def test_what_cannot_be_set_up_is_a_problem_of_the_settings(make: Make) -> None:
    machine = make("cvmfs_proxy = DIRECT\n")
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/cvmfs_config").touch()
    seen: list[str] = []
    machine.at(5, lambda: seen.append(machine.status()["error"]))
    machine.live(20)
    assert "default.local: No such file" in seen[0]


def test_logs_are_kept_before_the_end_and_their_loss_ends_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(PILOT + "save_logs = /logs\n")

    def save(_paths: object, place: str, name: str) -> str:
        machine.asked.append(f"save {place} {name.rpartition('-')[0]}")
        raise AgentError("no room")

    monkeypatch.setattr("b2ct_vmagent.service.save_logs", save)
    machine.at(20, lambda: machine.order("HALT"))
    machine.live()
    assert machine.asked[1:] == [f"stop {UNIT}", "save /logs torino-0", "--no-block poweroff"]


def test_the_status_is_for_all_to_read_and_whole(make: Make) -> None:
    machine = make(PILOT)
    seen: list[str] = []
    machine.at(40, lambda: seen.append(Path(machine.paths.status).read_text(encoding="utf-8")))
    machine.live(60)
    document = json.loads(seen[0])
    assert (document["state"], document["jobs"], document["outcome"]) == ("working", 1, None)
    assert document["uid"].startswith("torino-0-")
