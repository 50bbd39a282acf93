"""All pilots of the machine: started when it is ready, watched, asked to end when it drains."""

import os
from typing import Dict, List, Optional, Sequence

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.life import Life
from b2ct_vmagent.log import log
from b2ct_vmagent.monitor import UnitWatch, Work
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import (
    Ended,
    has_old_secrets,
    judge_end,
    load_end,
    make_pilot,
    make_slot,
    pilot_count,
    unit_name,
    was_started,
)
from b2ct_vmagent.policies import ACTIVE_CORES, BAD_PILOT, BAD_SERVICE, NO_WORK
from b2ct_vmagent.programs import Done, Runner
from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import Settings

SYSTEMCTL_S = 30.0
STOP_S = 120.0
MOST_FAILURES = 5
"""After so many failures one after the other no pilot is started again."""
DRAIN_AGAIN_S = 60.0
"""A pilot that goes on is asked again: it may have been starting when it was asked first."""


class Crew:
    """The pilots of one machine; what has happened to them is in the Life and in their own files."""

    def __init__(self, paths: Paths, settings: Settings, life: Life, uid: str, run: Runner) -> None:
        self._paths = paths
        self._settings = settings
        self._life = life
        self._uid = uid
        self._run = run
        self._watch = UnitWatch(paths, run)
        self._numbers = range(pilot_count(settings, os.cpu_count() or 1))
        self._patterns: Dict[int, str] = {}
        self._cpu_s: Dict[int, float] = {}
        self._looked_s: Optional[float] = None
        self._asked_s: Dict[int, float] = {}
        self.blind = False
        """Whether what runs could not be seen at the last look."""
        self._began_with: Dict[int, Optional[float]] = {}
        """By pilot that runs: when a payload had last been seen as it began."""

    @property
    def cpu_s(self) -> float:
        """CPU time that the pilots have used since boot."""
        return self._life.spent_cpu_s + sum(self._cpu_s.values())

    def running(self) -> Sequence[int]:
        """Return the numbers of the pilots that were started and have not ended."""
        paths = self._paths
        return [number for number in self._numbers if was_started(paths, number) and load_end(paths, number) is None]

    def look(self, now_s: float) -> None:
        """See what the pilots do, and write it into the Life."""
        running = self.running()
        if running and self._life.began_s is None:
            self._life.began_s = now_s  # what was written down is lost
        self.blind = False
        for number in running:
            self._began_with.setdefault(number, self._life.busy_s)
        payloads: List[str] = []
        used_s = 0.0
        for number in self._numbers:
            unit = unit_name(self._settings, number)
            try:
                work = self._watch.look(unit, self._pattern(number)) if number in running else None
            except AgentError as error:  # no answer is no proof that payloads have ended
                log("error", str(error))
                self.blind = True
                payloads += [name for name in self._life.running if name.startswith("{}/".format(number))]
                continue
            used_s += self._spend(number, work)
            payloads += ["{}/{}".format(number, name) for name in (work.payloads if work else ())]
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        self._life.saw(payloads, active=passed_s > 0 and used_s / passed_s >= ACTIVE_CORES, now_s=now_s)
        self._weigh(running)

    def _weigh(self, running: Sequence[int]) -> None:
        """Count no plain command as a payload that failed, or found no work."""
        life = self._life
        for number in [number for number in self._began_with if number not in running]:
            busy_s = self._began_with.pop(number)
            ended = load_end(self._paths, number)
            code = judge_end(ended, life.done).code if ended else NO_WORK
            if code >= NO_WORK and not self._pattern(number):
                life.done, life.busy_s = max(0, life.done - 1), busy_s

    def _spend(self, number: int, work: Optional[Work]) -> float:
        """Return the CPU time that a pilot has used since the last look; what an ended one used is kept."""
        before_s, now_s = self._cpu_s.get(number), work.cpu_s if work else 0.0
        self._cpu_s[number] = now_s
        if before_s is None:
            return 0.0  # the agent has just begun: what was before is no news
        if now_s < before_s:
            self._life.spent_cpu_s += before_s
            return now_s
        return now_s - before_s

    def _pattern(self, number: int) -> str:
        if self._settings.payload_pattern:
            return self._settings.payload_pattern
        if number not in self._patterns:
            slot = make_slot(self._paths, self._settings, number, self._uid)
            self._patterns[number] = make_pilot(self._settings, slot).payloads
        return self._patterns[number]

    def ended(self) -> Optional[Outcome]:
        """Return the outcome when all pilots have ended for good: the gravest one counts; None before."""
        ends = [load_end(self._paths, number) for number in self._numbers]
        again = self._settings.pilot_again_s and self._life.failures < MOST_FAILURES
        if again or not ends or any(end is None for end in ends):
            return None
        return max(judge_end(end, self._life.done) for end in ends if end is not None)

    def start(self, now_s: float) -> None:
        """Start what does not run and is to; only for a machine that is ready."""
        for number in self._numbers:
            ended = load_end(self._paths, number)
            if was_started(self._paths, number) and not self._is_due(ended, now_s):
                continue
            if ended is not None and not self._may_start_again(ended):
                continue
            if self._life.began_s is None:
                self._life.began_s = now_s
            unit = unit_name(self._settings, number)
            if self._order(["systemctl", "--no-block", "start", unit], SYSTEMCTL_S):
                log("info", "asked systemd to start {}".format(unit))

    def _is_due(self, ended: Optional[Ended], now_s: float) -> bool:
        """Return whether a pilot that ended is to start again."""
        pause_s = self._settings.pilot_again_s
        return ended is not None and pause_s > 0 and now_s - ended.at_s >= pause_s

    def _may_start_again(self, ended: Ended) -> bool:
        """Count failures in a row; return whether a pilot that ended so may have another try."""
        life = self._life
        life.failures = life.failures + 1 if judge_end(ended, life.done).code >= BAD_SERVICE else 0
        return life.failures < MOST_FAILURES

    def drain(self, now_s: float) -> None:
        """Ask the pilots to take no more work, by the ExecReload of their units, which runs as the pilot's own user."""
        numbers = self.running()
        due = [number for number in numbers if now_s - self._asked_s.get(number, -DRAIN_AGAIN_S) >= DRAIN_AGAIN_S]
        if not due:
            return
        first = any(number not in self._asked_s for number in due)
        self._asked_s.update(dict.fromkeys(due, now_s))
        units = [unit_name(self._settings, number) for number in due]
        # not waited for: a pilot's script that hangs must hold up neither the others nor the machine's end
        if self._order(["systemctl", "--no-block", "reload", *units], SYSTEMCTL_S) and first:
            log("info", "asked {} to take no more work".format(", ".join(units)))

    def renew(self) -> None:
        """Have root copy what pilots show to their centre, where it was renewed."""
        for number in self.running():
            if has_old_secrets(self._paths, self._settings, number):
                unit = "b2ct-vm-pilot-secrets@{}.service".format(number)
                self._order(["systemctl", "--no-block", "start", unit], SYSTEMCTL_S)

    def stop(self) -> None:
        """End all pilots and what they started."""
        units = [unit_name(self._settings, number) for number in self.running()]
        if units:
            self._order(["systemctl", "stop", *units], STOP_S)

    def _order(self, argv: List[str], timeout_s: float) -> bool:
        done: Done = self._run(argv, timeout_s)
        if done.code != 0:
            log("error", "{}: {}".format(" ".join(argv), done.output or "exit code {}".format(done.code)))
        return done.code == 0


def check_pilots(paths: Paths, settings: Settings) -> Check:
    """Return how the pilots are: a warning when one failed, since the machine itself is as it should be."""
    if not settings.has_pilot:
        return Check("pilot", State.SKIPPED, "no pilot is asked for")
    numbers = [number for number in range(pilot_count(settings, os.cpu_count() or 1)) if was_started(paths, number)]
    running = 0
    for number in numbers:
        ended = load_end(paths, number)
        running += ended is None
        outcome = judge_end(ended, 1) if ended else None
        if outcome and outcome.code >= BAD_PILOT:
            return Check("pilot", State.WARNING, "{}: journalctl -u {}".format(outcome, unit_name(settings, number)))
    return Check("pilot", State.OK, "{} started, {} running".format(len(numbers), running))
