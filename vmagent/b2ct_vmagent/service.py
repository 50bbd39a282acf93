"""The running agent: checks, starts pilots, watches, tells, obeys, and turns the machine off when it is not needed."""

import os
import random
import signal
import sys
import threading
import time
from types import FrameType
from typing import Callable, Dict, List, Optional

from b2ct_vmagent.checks import Check, State, check_clock, check_disk, check_names, check_settings
from b2ct_vmagent.context import Context, load_context
from b2ct_vmagent.credentials import check_credentials
from b2ct_vmagent.crew import Crew, check_pilots
from b2ct_vmagent.cvmfs import check_cvmfs, write_cvmfs_settings
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.features import move_shutdown, write_machine_features
from b2ct_vmagent.files import make_folder
from b2ct_vmagent.life import Life, forget_uid, load_uid
from b2ct_vmagent.log import log
from b2ct_vmagent.logs import save_logs
from b2ct_vmagent.monitor import Machine, look_at_machine
from b2ct_vmagent.orders import take_note
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.policies import REQUESTED, Seen, judge
from b2ct_vmagent.power import power_off
from b2ct_vmagent.programs import Runner, run_program
from b2ct_vmagent.reporters import make_reporters, start_credentials, start_deliveries
from b2ct_vmagent.reports import Delivery, News, Order, Outcome, Phase
from b2ct_vmagent.scratch import check_scratch
from b2ct_vmagent.status import Status, make_document, write_status

TICK_S = 10.0
"""Between two looks at the pilots."""
UNREADY_PERIOD_S = 10.0
"""While something fails it is checked more often: a squid or a DNS that comes late is no reason to wait long."""
FRESH_S = 600.0
"""So long a round may take, and a status be true: every program that a check runs has its own limit."""
SETTLE_S = 600.0
"""So long an idle pilot may take to end by itself: it may have fetched a job a moment before, and DIRAC's looks for its
stop file up to 7 minutes after the last time."""
FAREWELL_S = 60.0
"""So long the outcome may take to arrive; then the machine goes without."""
HASTY_FAREWELL_S = 15.0
"""The same when the machine is being shut down by others."""
RETRY_S = 300.0
"""After so long a machine that could not be turned off tries again."""


def make_status(paths: Paths, context: Context, run: Runner) -> Status:
    """Make every check."""
    settings = context.settings
    return Status(
        (
            check_settings(context.problems),
            check_clock(run),
            check_names(settings),
            check_scratch(paths, settings),
            check_disk(paths, settings),
            *check_cvmfs(paths, settings, run),
            check_credentials(paths, settings, run),
            check_pilots(paths, settings),
        )
    )


def load_prepared(paths: Paths) -> Context:
    """Read the context and write what follows from it; what goes wrong is a problem of the context."""
    context = load_context(paths)
    try:
        if write_cvmfs_settings(paths, context.settings):
            log("info", "wrote {}".format(paths.cvmfs_settings))
    except AgentError as error:
        context = context._replace(problems=(*context.problems, str(error)))
    return context


class Agent:
    """One agent in one machine; what matters of it is in the Life, so that a new one goes on where the last one was."""

    def __init__(self, paths: Paths, stop: threading.Event, run: Runner = run_program) -> None:
        self._paths = paths
        self._stop = stop
        self._run = run
        make_folder(paths.run)
        self._context = load_prepared(paths)
        self._settings = self._context.settings
        self._uid = load_uid(paths, self._settings.site, self._settings.vmid)
        self._life = Life.load(paths)
        self._crew = Crew(paths, self._settings, self._life, self._uid, run)
        self._machine = Machine()
        self._status: Optional[Status] = None
        self._check_due_s = 0.0
        self._unwritten: Dict[str, str] = {}
        self._stuck = ""
        self._told: Optional[Outcome] = None
        start_credentials(paths, self._context, run)
        reporters = make_reporters(self._context, self._uid)
        self._deliveries: List[Delivery] = start_deliveries(reporters, self._settings.heartbeat_s)

    def run(self) -> None:
        """Run until ``stop`` is set, then take the status away."""
        self._write_features()
        tick_s = min(TICK_S, float(self._settings.period_s))
        try:
            while not self._stop.is_set():
                self._round(time.monotonic())
                self._stop.wait(tick_s * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, hides nothing
        finally:
            self._say_goodbye()
            if os.path.exists(self._paths.status):
                os.unlink(self._paths.status)
            log("info", "ends")

    def _round(self, now_s: float) -> None:
        if now_s >= self._check_due_s:
            self._check(now_s)
        self._machine = look_at_machine(self._paths, self._place())
        self._crew.look(now_s)
        self._obey(now_s)
        self._judge(now_s)
        ending = self._life.ending
        if ending is not None and not ending.forced:
            self._announce_end(now_s)
            self._crew.drain(now_s)
        elif ending is None and self._status is not None and self._status.ready:
            self._crew.start(now_s)
        self._keep(self._paths.life, self._life.save)
        self._tell()
        if self._must_halt(now_s):
            self._halt()

    def _keep(self, place: str, write: Callable[[], None]) -> None:
        """Write something down; a full disk is no reason to leave payloads alone, and is told once for each place."""
        try:
            write()
        except AgentError as error:
            if self._unwritten.get(place) != str(error):
                log("error", str(error))
            self._unwritten[place] = str(error)
        else:
            self._unwritten.pop(place, None)

    def _check(self, now_s: float) -> None:
        """Make the checks and set when the next are due."""
        before, status = self._status, make_status(self._paths, self._context, self._run)
        if self._stuck:
            status = Status((*status.checks, Check("power", State.FAILED, self._stuck)))
        if before is None or (status.ready, status.error) != (before.ready, before.error):
            log("info" if status.ready else "warning", "ready" if status.ready else "not ready: " + status.error)
        if status.ready:
            self._life.unready_s = None
        elif self._life.unready_s is None:
            self._life.unready_s = now_s
        period_s = float(self._settings.period_s)
        if not status.ready:
            period_s = min(period_s, UNREADY_PERIOD_S)
        self._status = status
        self._announce_end(now_s)
        self._crew.renew()
        self._check_due_s = time.monotonic() + period_s * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load

    def _place(self) -> str:
        return self._paths.scratch if self._settings.scratch else self._paths.work

    def _obey(self, now_s: float) -> None:
        """Take orders: from an administrator inside, and from central schedulers."""
        try:
            note = take_note(self._paths)
        except AgentError as error:
            log("error", str(error))
            note = None
        if note is not None and note.order is not Order.NONE:
            self._end(Outcome(REQUESTED, note.reason or "Asked for inside the machine"), note.order, now_s)
        for delivery in self._deliveries:
            order = delivery.order()
            if order is not Order.NONE and delivery.reporter.central:
                self._end(Outcome(REQUESTED, "Asked for by {}".format(delivery.reporter.name)), order, now_s)

    def _end(self, outcome: Outcome, order: Order, now_s: float) -> None:
        forced = order is Order.HALT
        if self._life.end(outcome, forced=forced, now_s=now_s):
            self._keep(self._paths.life, self._life.save)
            log("info", "{}: {}".format("halts" if forced else "drains", outcome))

    def _judge(self, now_s: float) -> None:
        """Ask the policies, and begin to end when they say so."""
        verdict = judge(self._settings, self._seen(now_s))
        if verdict is not None:
            self._end(verdict.outcome, Order.HALT if verdict.forced else Order.DRAIN, now_s)

    def _seen(self, now_s: float) -> Seen:
        life = self._life

        def since(moment_s: Optional[float]) -> Optional[float]:
            return None if moment_s is None else now_s - moment_s

        central = [delivery.silent_s() for delivery in self._deliveries if delivery.reporter.central]
        return Seen(
            age_s=now_s,
            jobs=len(life.running),
            done=life.done,
            began_for_s=since(life.began_s),
            idle_for_s=since(_latest(life.busy_s, life.began_s)),
            quiet_for_s=since(_latest(life.active_s, life.began_s)),
            silent_for_s=min(central) if central else None,
            unready_for_s=since(life.unready_s) or 0.0,
            ended=self._crew.ended(),
            wants_pilot=self._context.wants_pilot,
        )

    def _announce_end(self, now_s: float) -> None:
        """Tell payloads when the machine goes; anew when the clock was set or the plan changed."""
        self._keep(self._paths.machine_features, lambda: move_shutdown(self._paths, self._end_s(now_s)))

    def _end_s(self, now_s: float) -> Optional[int]:
        """Return when the machine goes, seconds since 1970; None when nothing says so."""
        settings, ending = self._settings, self._life.ending
        left_s = [] if ending is None else [ending.since_s + settings.grace_s - now_s]
        if settings.has_end:
            left_s.append(settings.max_lifetime_s - now_s)
        return int(time.time() + max(0.0, min(left_s))) if left_s else None

    def _must_halt(self, now_s: float) -> bool:
        """Return whether the time has come: forced, nothing left, or idle for so long that nothing is on its way."""
        life = self._life
        if life.ending is None:
            return False
        if life.ending.forced or life.halting or not self._crew.running():
            return True
        idle_s = now_s - max(life.ending.since_s, life.busy_s or 0.0)
        return not life.running and not self._crew.blind and idle_s >= SETTLE_S

    def _halt(self) -> None:
        """Go: end the pilots, keep the logs, tell the outcome, turn the power off; come back only if that failed."""
        ending = self._life.ending
        if ending is None:
            return
        again = self._life.halting
        self._life.halting = True
        self._keep(self._paths.life, self._life.save)
        self._tell()
        log("info", "halts: {}".format(ending.outcome))
        self._crew.stop()
        if not again:
            self._save_logs()
        self._farewell(ending.outcome, FAREWELL_S)
        power_off(self._run, self._stop.wait)
        if not self._stop.is_set():
            self._stuck = "the machine could not be turned off; it is tried every {:.0f} s".format(RETRY_S)
            self._check(time.monotonic())
            self._tell()
            self._stop.wait(RETRY_S)

    def _save_logs(self) -> None:
        if not self._settings.save_logs:
            return
        try:
            log("info", "kept the logs: {}".format(save_logs(self._paths, self._settings.save_logs, self._uid)))
        except AgentError as error:
            log("error", "the logs are lost: {}".format(error))

    def _farewell(self, outcome: Outcome, patience_s: float) -> None:
        """Tell everyone why the machine goes, and wait a while for it to arrive."""
        until_s = time.monotonic() + patience_s
        self._told = outcome
        news = self._news()._replace(state=Phase.HALTING)
        for delivery in self._deliveries:
            delivery.offer(news)
        lost = [one for one in self._deliveries if not one.wait_arrived(until_s - time.monotonic())]
        # should it run again (a reboot, a resume), it is another machine to them: this one has gone
        forget_uid(self._paths)
        for delivery in lost:
            log("error", "{} does not know the outcome: {}".format(delivery.reporter.name, delivery.state()["detail"]))

    def _say_goodbye(self) -> None:
        """When the machine is shut down by others, the centre is told as well."""
        if self._life.halting or not self._deliveries:
            return
        if self._run(["systemctl", "is-system-running"], 5.0).output == "stopping":
            self._farewell(Outcome(REQUESTED, "Shut down by the cloud"), HASTY_FAREWELL_S)

    def _news(self) -> News:
        status, life, machine = self._status or Status(()), self._life, self._machine
        return News(
            ready=status.ready,
            error=status.error,
            state=self._phase(status),
            load=machine.load,
            jobs=len(life.running),
            done=life.done,
            cpu_s=self._crew.cpu_s,
            moved_bytes=machine.moved_bytes,
            free_memory_mib=machine.free_memory_mib,
            free_disk_mib=machine.free_disk_mib,
            uptime_s=int(machine.uptime_s),
            outcome=self._told,
        )

    def _phase(self, status: Status) -> Phase:
        if self._life.halting:
            return Phase.HALTING
        if self._life.ending is not None:
            return Phase.DRAINING
        if self._life.running:
            return Phase.WORKING
        return Phase.READY if status.ready else Phase.STARTING

    def _tell(self) -> None:
        """Give the news to the reporters, and write the status."""
        news = self._news()
        for delivery in self._deliveries:
            delivery.offer(news)
        ending = self._life.ending
        shown = news._replace(outcome=None if ending is None else ending.outcome)
        reports = {delivery.reporter.name: delivery.state() for delivery in self._deliveries}
        document = make_document(self._status or Status(()), self._settings, shown, reports, self._uid)
        self._keep(self._paths.status, lambda: write_status(self._paths, document, FRESH_S))

    def _write_features(self) -> None:
        cores, end_s = os.cpu_count() or 1, self._end_s(time.monotonic())
        place = self._paths.machine_features
        self._keep(place, lambda: write_machine_features(self._paths, self._settings, cores, end_s))


def serve(paths: Paths) -> None:
    """Be the agent until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    Agent(paths, threading.Event()).run()


def _end(_number: int, _frame: Optional[FrameType]) -> None:
    """End from wherever the agent is, also from a program that it waits for; a second signal changes nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _latest(*moments_s: Optional[float]) -> Optional[float]:
    known = [moment_s for moment_s in moments_s if moment_s is not None]
    return max(known) if known else None
