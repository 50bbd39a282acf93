"""The agent on a machine where things go wrong: it is restarted, disks fill, clocks jump, the power stays on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import files, service
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.reports import Order, Outcome, Phase, ReportError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vmagent.fake_machine import BOOTED_S, PATTERN, Centre, FakeMachine, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[str], FakeMachine]

PILOT = "pilot = run it\nperiod_s = 10\n"
UNIT = unit_of(0)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda conf: FakeMachine(tmp_path, monkeypatch, conf)


# an agent that is started anew


def test_an_agent_that_is_started_anew_finds_its_pilot_and_its_payloads(make: Make) -> None:
    machine = make(PILOT + PATTERN)
    machine.busy[0] = 0.5
    centre = Centre()
    machine.centres.append(centre)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(20, lambda: machine.begin(0, "payload-b"))
    machine.live(100)
    machine.finish(0, "payload-a")
    machine.live(100)
    assert machine.asked == [f"--no-block start {UNIT}"]
    assert (machine.life().running, machine.life().done) == (["0/b"], 1)
    machine.end(UNIT)
    machine.live()
    assert machine.off
    assert machine.asked[1:] == ["--no-block poweroff"]
    assert centre.told[-1].done == 2


@pytest.mark.parametrize("version", [1, 2])
def test_cpu_time_is_counted_over_a_restart_of_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    machine = FakeMachine(tmp_path, monkeypatch, PILOT, cgroup_version=version)
    centre = Centre()
    machine.centres.append(centre)
    machine.busy[0] = 2.0
    machine.live(100)
    machine.at(100, lambda: machine.end(UNIT))
    machine.live()
    assert 360 <= centre.told[-1].cpu_s <= 400


def test_an_agent_that_is_started_anew_goes_on_draining(make: Make) -> None:
    machine = make(PILOT + PATTERN)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(60, lambda: machine.order("DRAIN", "power cut"))
    machine.live(100)
    machine.at(500, lambda: machine.finish(0, "payload-a"))
    machine.live(499)
    assert not machine.off
    assert machine.count("start") == 1
    machine.live()
    assert machine.off
    assert machine.outcome() == "100 power cut"
    assert machine.now_s >= 100 + 100 + 500 + service.SETTLE_S - service.TICK_S


def test_an_agent_that_is_started_anew_goes_on_halting(make: Make) -> None:
    machine = make(PILOT + PATTERN)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(60, lambda: machine.order("HALT"))
    machine.refused = 3
    machine.live(100)
    assert machine.life().halting
    machine.refused = 0
    machine.live(20)
    assert machine.off


def test_a_systemd_that_does_not_answer_is_no_proof_that_payloads_have_ended(make: Make) -> None:
    machine = make(PILOT + PATTERN)
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(60, lambda: machine.order("DRAIN"))
    machine.live(100)
    machine.silent = True
    machine.now_s += 1000
    machine.live(1000)
    assert not machine.off
    assert (machine.life().running, machine.life().done) == (["0/a"], 0)
    machine.silent = False
    machine.finish(0, "payload-a")
    machine.live()
    assert machine.off
    assert machine.life().done == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "ending": 3}', "\x00" * 64])
def test_a_damaged_life_starts_no_second_pilot_and_keeps_the_policies(make: Make, damage: str) -> None:
    machine = make(PILOT + PATTERN + "stop_fizzle_s = 300\n")
    machine.live(100)
    Path(machine.paths.life).write_text(damage, encoding="ascii")
    machine.live(290)
    assert machine.asked == [f"--no-block start {UNIT}"]
    machine.live()
    assert machine.off
    assert machine.outcome() == "300 No job came in 300 s"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"order": "DANCE", "reason": ""}', '{"order": []}', '"HALT"'])
def test_a_damaged_order_is_no_order(make: Make, damage: str) -> None:
    machine = make(PILOT)
    machine.at(50, lambda: Path(machine.paths.order).write_text(damage, encoding="ascii"))
    machine.live(200)
    assert not Path(machine.paths.order).exists()
    assert machine.asked == [f"--no-block start {UNIT}"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"result": "success"}'])
def test_a_damaged_result_is_a_failed_pilot(make: Make, damage: str) -> None:
    machine = make(PILOT)
    machine.at(50, lambda: machine.end(UNIT))
    machine.at(50, lambda: Path(machine.paths.pilot(0), "result").write_text(damage, encoding="ascii"))
    machine.live()
    assert machine.off
    assert machine.outcome() == "700 The pilot failed: damaged"


@pytest.mark.parametrize("order", ["DRAIN", "HALT"])
@pytest.mark.parametrize("programs", range(8))
def test_an_agent_that_is_killed_at_any_program_is_followed_by_one_that_ends_it(
    make: Make, programs: int, order: str
) -> None:
    machine = make(PILOT + PATTERN)
    machine.killed_after = programs
    machine.at(30, lambda: machine.order(order))
    for _ in range(3):
        if not machine.off:
            machine.live(400)
    assert machine.off
    assert machine.outcome() == "100 Asked for inside the machine"
    assert machine.count("start") == 1
    assert machine.lost == []


# clocks


def test_when_the_clock_is_set_payloads_are_told_the_moment_anew_and_nothing_else_changes(make: Make) -> None:
    machine = make(PILOT + PATTERN + "max_lifetime_s = 50000\n")
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    seen: list[tuple[int, int]] = []

    def look() -> None:
        told = (machine.feature("machinefeatures/shutdowntime"), machine.feature("jobfeatures/0/shutdowntime_job"))
        seen.append((int(told[0]) - BOOTED_S, int(told[1]) - BOOTED_S))
        assert machine.status()["ready"]

    def jump(by_s: float) -> None:
        machine.wall_s += by_s

    machine.at(50, look)
    machine.at(60, lambda: jump(86400))
    machine.at(90, look)
    machine.at(100, lambda: jump(-100000))
    machine.at(130, look)
    machine.live(200)
    left_s = 50000 - 100
    assert seen == [(left_s, left_s), (left_s + 86400,) * 2, (left_s - 13600,) * 2]
    assert machine.life().ending is None


def test_a_drain_is_announced_to_payloads(make: Make) -> None:
    machine = make(PILOT + PATTERN + "max_lifetime_s = 50000\ngrace_s = 900\n")
    machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(95, lambda: machine.order("DRAIN"))
    machine.live(200)
    ending = machine.life().ending
    assert ending is not None
    for name in ("machinefeatures/shutdowntime", "jobfeatures/0/shutdowntime_job"):
        assert abs(int(machine.feature(name)) - BOOTED_S - 100 - 95 - 900 + 100) <= 15
    assert machine.feature("machinefeatures/grace_secs") == "900"


# full disks


def full(path: str, *_: object) -> None:
    raise AgentError(f"{path}: No space left on device")


@pytest.mark.parametrize("payload", [True, False])
def test_a_full_disk_keeps_no_machine_from_draining_and_halting(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    payload: bool,  # noqa: FBT001 - a parameter
) -> None:
    machine = make(PILOT + PATTERN)
    centre = Centre()
    machine.centres.append(centre)

    def fill() -> None:
        for module in ("files", "life", "status", "features", "pilots"):
            monkeypatch.setattr(f"b2ct_vmagent.{module}.write_file", full)

    if payload:
        machine.at(20, lambda: machine.begin(0, "payload-a"))
    machine.at(50, fill)
    machine.at(60, lambda: machine.order("DRAIN"))
    machine.at(500, lambda: machine.finish(0, "payload-a"))
    machine.live(2000)
    assert machine.off
    assert capsys.readouterr().err.count("No space left") <= 3
    assert (machine.now_s > 1000) is payload
    assert machine.count("start") == 1
    assert centre.told[-1].outcome == Outcome(100, "Asked for inside the machine")


def test_a_disk_that_is_full_from_the_start_still_lets_the_machine_live_and_go(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = make(PILOT + "stop_fizzle_s = 500\n")
    for module in ("files", "life", "status", "features", "pilots"):
        monkeypatch.setattr(f"b2ct_vmagent.{module}.write_file", full)
    machine.live(5000)
    assert machine.off
    assert "No space left" in capsys.readouterr().err


def test_the_status_comes_back_when_there_is_room_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make("pilot = run it\n" + PATTERN)
    machine.at(20, lambda: monkeypatch.setattr("b2ct_vmagent.status.write_file", full))
    machine.at(40, lambda: machine.begin(0, "payload-a"))
    machine.at(100, lambda: monkeypatch.setattr("b2ct_vmagent.status.write_file", files.write_file))
    seen: list[int] = []
    machine.at(115, lambda: seen.append(machine.status()["jobs"]))
    machine.live(200)
    assert seen == [1]


# power


def test_a_refused_power_off_is_tried_harder_then_again_and_the_status_says_so(make: Make) -> None:
    machine = make(PILOT)
    centre = Centre()
    machine.centres.append(centre)
    machine.refused = 4
    machine.at(20, lambda: machine.order("HALT"))
    seen: list[dict[str, object]] = []
    machine.at(200, lambda: seen.append(machine.status()))
    machine.live()
    assert machine.off
    ways = [line for line in machine.asked if "start" not in line and "stop" not in line]
    assert ways == [
        "--no-block poweroff",
        "--force poweroff",
        "signal 48 to 1",
        "--no-block poweroff",
        "--force poweroff",
    ]
    assert machine.now_s >= 120 + service.RETRY_S
    assert "power: the machine could not be turned off" in str(seen[0]["error"])
    assert (seen[0]["state"], seen[0]["outcome"]) == ("halting", "100 Asked for inside the machine")
    first = next(index for index, news in enumerate(centre.told) if news.outcome)
    assert {str(news.outcome) for news in centre.told[first:]} == {"100 Asked for inside the machine"}
    assert not machine.count("start") > 1


def test_a_shutdown_by_the_cloud_is_told(make: Make) -> None:
    machine = make(PILOT)
    centre = Centre()
    machine.centres.append(centre)

    def turn_off() -> None:
        machine.off = True

    machine.at(50, turn_off)
    machine.live()
    assert centre.told[-1].outcome == Outcome(100, "Shut down by the cloud")
    assert centre.told[-1].state is Phase.HALTING


def test_an_agent_that_is_only_restarted_says_no_goodbye(make: Make) -> None:
    machine = make(PILOT)
    centre = Centre()
    machine.centres.append(centre)
    machine.live(100)
    assert [news.outcome for news in centre.told] == [None] * len(centre.told)


# anything


EVENTS = (
    "begin",
    "finish",
    "end",
    "drain",
    "silent",
    "answers",
    "restart",
    "unready",
    "ready",
    "jump",
    "deaf",
    "hears",
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 1), st.integers(1, 400)), max_size=12))
def test_whatever_happens_no_payload_is_lost_and_the_machine_goes_in_the_end(
    events: list[tuple[str, int, int]],
) -> None:
    limits = {"no_jobs": 200, "fizzle": 300, "silent": 100, "unready": 100, "no_cpu": 90}
    conf = "".join(f"stop_{name}_s = {limit}\n" for name, limit in limits.items())
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        machine = FakeMachine(Path(folder), monkeypatch, PILOT + PATTERN + "pilots = 2\nmax_lifetime_s = 0\n" + conf)
        machine.centres.append(Centre())
        for count, (event, number, pause_s) in enumerate(events):
            happen(machine, event, number, count)
            machine.live(pause_s)
            if machine.off:
                break
        machine.silent = False
        for number in (0, 1):
            if machine.runs(number):
                machine.end(unit_of(number))
        if not machine.off:
            machine.live(2000)
        assert machine.off
        assert machine.lost == []
        assert max(machine.count(f"start {unit_of(number)}") for number in (0, 1)) <= 1


def happen(machine: FakeMachine, event: str, number: int, count: int) -> None:
    """Let one thing happen to a machine whose agent has just ended, or was not yet started."""
    centre = machine.centres[0]
    if event == "begin" and machine.runs(number):
        machine.begin(number, f"payload-{count}")
    elif event == "finish" and machine.runs(number):
        for payload in machine.payloads():
            machine.finish(number, payload)
    elif event == "end":
        machine.end(unit_of(number), "signal" if count % 2 else "success", "KILL")
    elif event == "drain" and (machine.root / "run/b2ct-vm").exists():
        machine.order("DRAIN")
    elif event in {"silent", "answers"}:
        machine.silent = event == "silent"
    elif event in {"ready", "unready"}:
        machine.be_ready(ready=event == "ready")
    elif event == "jump":
        machine.wall_s += (-1) ** count * 1e6
    elif event in {"deaf", "hears"}:
        centre.answer = ReportError("down", refused=bool(number)) if event == "deaf" else Order.NONE
