from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.crew import DRAIN_AGAIN_S, Crew, check_pilots
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.life import Life
from b2ct_vmagent.monitor import Work
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import prepare_pilot, record_end, unit_name
from b2ct_vmagent.programs import Done
from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

TWO = Settings(pilot="run it", pilots="2", payload_pattern="payload")
FAILED = {"SERVICE_RESULT": "exit-code", "EXIT_STATUS": "1"}


class Rig:
    """A crew whose units do what ``works`` says; a missing unit does not run, an error is no answer."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.paths = Paths(str(root))
        self.settings = settings
        self.life = Life.load(self.paths)
        self.works: dict[int, Work | AgentError] = {}
        self.asked: list[str] = []
        self.code = 0
        for number in range(4):
            Path(self.paths.pilot_state(number)).mkdir(parents=True)
        self.crew = self.restart()

    def restart(self) -> Crew:
        self.crew = Crew(self.paths, self.settings, self.life, "u", self.run)
        self.crew._watch = self  # type: ignore[assignment] # noqa: SLF001 - instead of control groups
        return self.crew

    def run(self, argv: Sequence[str], timeout_s: float) -> Done:
        assert timeout_s > 0
        self.asked.append(" ".join(argv))
        return Done(self.code, "Unit not found")

    def look(self, unit: str, pattern: str) -> Work | None:
        assert pattern == self.settings.payload_pattern
        number = next(number for number in range(4) if unit_name(self.settings, number) == unit)
        work = self.works.get(number)
        if isinstance(work, AgentError):
            raise work
        return work

    def begin(self, number: int) -> None:
        prepare_pilot(self.paths, self.settings, number)
        self.works[number] = Work()

    def end(self, number: int, **words: str) -> None:
        self.works.pop(number, None)
        record_end(self.paths, self.settings, number, {"SERVICE_RESULT": "success", **words})


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Rig(tmp_path, TWO)


def work(*payloads: str, cpu_s: float = 0.0) -> Work:
    return Work(frozenset(payloads), cpu_s)


def test_each_pilot_is_started_until_it_was(rig: Rig) -> None:
    rig.crew.start(5.0)
    rig.begin(0)
    rig.crew.start(6.0)
    rig.begin(1)
    rig.end(1)
    rig.restart().start(7.0)
    start = "systemctl --no-block start b2ct-vm-pilot@{}.service"
    assert rig.asked == [start.format(0), start.format(1), start.format(1)]
    assert rig.life.began_s == 5.0
    assert list(rig.crew.running()) == [0]


def test_a_refused_start_is_said_and_tried_again(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.code = 5
    rig.crew.start(5.0)
    rig.crew.start(6.0)
    assert len(rig.asked) == 4
    assert capsys.readouterr().err.count("Unit not found") == 4


def test_again_means_after_a_pause(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.settings = TWO._replace(pilot_again_s=60, pilots="1")
    crew = rig.restart()
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    rig.begin(0)
    rig.end(0)
    crew.start(159.0)
    assert rig.asked == []
    assert crew.ended() is None
    crew.start(160.0)
    assert len(rig.asked) == 1


def test_payloads_of_all_pilots_are_told_apart_and_counted(rig: Rig) -> None:
    for number in (0, 1):
        rig.begin(number)
        rig.works[number] = work("a", "b")
    rig.crew.look(1.0)
    assert rig.life.running == ["0/a", "0/b", "1/a", "1/b"]
    rig.works[0] = work("b")
    rig.crew.look(2.0)
    assert (rig.life.running, rig.life.done) == (["0/b", "1/a", "1/b"], 1)
    rig.end(1)
    rig.restart().look(3.0)
    assert (rig.life.running, rig.life.done, rig.life.busy_s) == (["0/b"], 3, 3.0)


def test_no_answer_keeps_what_was_known(rig: Rig) -> None:
    rig.begin(0)
    rig.begin(1)
    rig.works = {0: work("a", cpu_s=5.0), 1: work("b")}
    rig.crew.look(1.0)
    rig.works = {0: AgentError("no answer"), 1: work()}
    rig.crew.look(2.0)
    assert (rig.life.running, rig.life.done, rig.crew.cpu_s) == (["0/a"], 1, 5.0)
    rig.works[0] = work("a", cpu_s=6.0)
    rig.crew.look(3.0)
    assert (rig.life.running, rig.life.done, rig.crew.cpu_s) == (["0/a"], 1, 6.0)


def test_cpu_time_of_pilots_that_ended_is_kept(rig: Rig) -> None:
    rig.begin(0)
    rig.works[0] = work(cpu_s=10.0)
    rig.crew.look(1.0)
    rig.end(0)
    rig.crew.look(2.0)
    rig.begin(0)
    rig.works[0] = work(cpu_s=1.0)
    rig.crew.look(3.0)
    assert rig.crew.cpu_s == 11.0
    assert rig.life.spent_cpu_s == 10.0
    rig.restart().look(4.0)
    assert rig.crew.cpu_s == 11.0


def test_what_is_activity(rig: Rig) -> None:
    rig.begin(0)
    for now_s, cpu_s in ((10.0, 100.0), (20.0, 100.4), (30.0, 100.9), (40.0, 101.0)):
        rig.works[0] = work("a", cpu_s=cpu_s)
        rig.crew.look(now_s)
    assert rig.life.active_s == 30.0


def test_a_lost_life_counts_from_now(rig: Rig) -> None:
    rig.crew.look(3.0)
    assert rig.life.began_s is None
    rig.begin(0)
    rig.crew.look(5.0)
    rig.crew.look(6.0)
    assert rig.life.began_s == 5.0


def test_pilots_are_asked_to_drain_together_and_again(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.crew.drain(1.0)
    assert rig.asked == []
    rig.begin(0)
    rig.begin(1)
    reload = "systemctl --no-block reload "
    both = f"{reload}b2ct-vm-pilot@0.service b2ct-vm-pilot@1.service"
    rig.crew.drain(1.0)
    rig.crew.drain(DRAIN_AGAIN_S)
    assert rig.asked == [both]
    rig.crew.drain(1.0 + DRAIN_AGAIN_S)
    rig.end(0)
    rig.crew.drain(1.0 + 2 * DRAIN_AGAIN_S)
    assert rig.asked == [both, both, f"{reload}b2ct-vm-pilot@1.service"]
    assert capsys.readouterr().err.count("to take no more work") == 1


def test_all_that_runs_is_stopped_at_once(rig: Rig) -> None:
    rig.crew.stop()
    assert rig.asked == []
    rig.begin(0)
    rig.begin(1)
    rig.crew.stop()
    assert rig.asked == ["systemctl stop b2ct-vm-pilot@0.service b2ct-vm-pilot@1.service"]


def test_renewed_secrets_are_copied_for_those_that_run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {0, 1}
    monkeypatch.setattr("b2ct_vmagent.crew.has_old_secrets", lambda _paths, _settings, number: number in old)
    rig.crew.renew()
    rig.begin(0)
    rig.begin(1)
    old.remove(1)
    rig.crew.renew()
    assert rig.asked == ["systemctl --no-block start b2ct-vm-pilot-secrets@0.service"]


def test_the_gravest_end_counts_when_all_have_ended(rig: Rig) -> None:
    assert rig.crew.ended() is None
    rig.begin(0)
    rig.end(0, **FAILED)
    assert rig.crew.ended() is None
    rig.begin(1)
    assert rig.crew.ended() is None
    rig.end(1)
    assert rig.crew.ended() == Outcome(700, "The pilot failed: exit-code 1")
    rig.begin(0)
    rig.end(0)
    assert rig.crew.ended() == Outcome(300, "No more work available from the task queue")


def test_no_pilot_never_ends(rig: Rig) -> None:
    rig.settings = Settings()
    crew = rig.restart()
    crew.start(1.0)
    crew.look(1.0)
    assert (crew.ended(), list(crew.running()), rig.asked) == (None, [], [])


def test_the_check(rig: Rig) -> None:
    def check() -> tuple[str, str]:
        found = check_pilots(rig.paths, rig.settings)
        return found.state.value, found.detail

    assert check_pilots(rig.paths, Settings()).state.value == "skipped"
    assert check() == ("ok", "0 started, 0 running")
    rig.begin(0)
    rig.begin(1)
    assert check() == ("ok", "2 started, 2 running")
    rig.end(1)
    assert check() == ("ok", "2 started, 1 running")
    rig.end(0, **FAILED)
    assert check() == ("warning", "700 The pilot failed: exit-code 1: journalctl -u b2ct-vm-pilot@0.service")
