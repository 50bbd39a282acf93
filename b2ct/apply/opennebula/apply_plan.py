"""Does what a plan says: in order, several calls at once, and so that it can be done again after any failure."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from b2ct.apply.opennebula.errors import OneError, OneLostError
from b2ct.apply.opennebula.objects import Numbers, Objects, Passwords, check_writable
from b2ct.apply.opennebula.patience import Line, Patience, StoppedError
from b2ct.apply.opennebula.probe import CALLS_AT_ONCE
from b2ct.apply.opennebula.report import (
    Applied,
    AppliedReport,
    ApplyError,
    ApplyInterruptedError,
    Event,
    Failure,
    Phase,
    PlanRefusedError,
    Progress,
)
from b2ct.apply.opennebula.sources import Source, Sources
from b2ct.apply.opennebula.waiting import let_go, wait_until_made
from b2ct.errors import B2ctError, UsageError
from b2ct.plan.cloud import BUSY
from b2ct.plan.cloud_model import Kind, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from b2ct.apply.opennebula.client import OneClient
    from b2ct.apply.opennebula.waiting import NotMadeError
    from b2ct.plan.cloud_model import CloudPlan, Step

WAITED_FOR = frozenset({Kind.IMAGE, Kind.NETWORK})
"""Kinds that the front-end goes on making after its answer."""

Result = TypeVar("Result")


def no_password(name: str) -> str:
    """Refuse to make a user; raises UsageError."""
    raise UsageError(f"no password is known for the user {name}", hint="vo[].password in the site file")


def no_progress(_event: Event) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Means:
    """What applying a plan takes besides the plan."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    """Where each image comes from, by its name; without one its template has PATH."""
    bind: str | None = None
    """Address of this machine at which the front-end fetches uploads; None: the one that faces the front-end."""
    passwords: Passwords = no_password
    progress: Progress = no_progress
    patience: Patience = field(default_factory=Patience)
    before: tuple[Applied, ...] = ()
    """What the same command did before this plan: reports count it in."""


def apply_plan(client: OneClient, plan: CloudPlan, means: Means | None = None) -> AppliedReport:
    """Do the steps of ``plan``: kind after kind, up to four calls at once within a kind; return what was done.

    When steps fail, the others of the same kind are completed, and nothing is begun after them. Images and networks
    that this run began and that did not get ready are removed; what is complete stays, so that a new plan holds only
    the rest.

    Raises:
        PlanRefusedError: the plan holds refused steps; nothing was done.
        ObjectNameError, QuotingError: no front-end can hold a name or a value; nothing was done.
        ApplyError: steps failed; carries the report.
        ApplyInterruptedError: Ctrl-C; carries the report.
    """
    if plan.refused:
        raise PlanRefusedError(plan.refused)
    for step in plan.changes:
        if step.wanted:
            check_writable(step.wanted)
    with ExitStack() as stack:
        run = _Run(client, means or Means(), stack)
        run.learn(plan.steps)
        try:
            for steps in _phases(plan.changes):
                run.do(steps)
                if run.failed:
                    break
        except KeyboardInterrupt:
            run.clean_up()
            raise ApplyInterruptedError(run.report(plan.changes)) from None
        except BaseException:
            run.clean_up()
            raise
        run.clean_up()
    report = run.report(plan.changes)
    if report.failed:
        raise ApplyError(report)
    return report


def _phases(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Give the steps that do not depend on each other: neighbours of the same kind, made, then changed, or removed.

    So what users have is switched to a new version when the new objects are there.
    """
    for _, neighbours in groupby(steps, key=lambda step: (step.kind, step.verb is Verb.REMOVE)):
        for _, phase in groupby(sorted(neighbours, key=_is_update), key=_is_update):
            yield tuple(phase)


def _is_update(step: Step) -> bool:
    return step.verb is Verb.UPDATE


class _Run:
    """One run: what was begun, done and failed."""

    def __init__(self, client: OneClient, means: Means, stack: ExitStack) -> None:
        self.line = Line(client, means.patience)
        self.stack = stack
        self.progress = means.progress
        self.sources = Sources(client.endpoint, means.sources, means.bind, stack, self.say)
        self.objects = Objects(self.line, Numbers(self.line), means.passwords)
        self.done = list(means.before)
        self.failed: list[Failure] = []
        self.begun: dict[tuple[Kind, int], Step] = {}
        """What this run allocated and is not ready."""
        self.cleaned: list[Applied] = []
        self.left: list[Applied] = []
        self._over: set[int] = set()
        self._lost = False
        self._lock = threading.Lock()

    def say(self, event: Event) -> None:
        """Hand on an event, one at a time."""
        with self._lock:
            self.progress(event)

    def learn(self, steps: Sequence[Step]) -> None:
        """Remember the numbers of what is there."""
        for step in steps:
            if step.existing and step.verb in {Verb.KEEP, Verb.USE, Verb.UPDATE}:
                self.objects.numbers.known[step.kind, step.name] = step.existing.id

    def do(self, steps: tuple[Step, ...]) -> None:
        """Do the steps of one phase; failures are kept."""
        kind = steps[0].kind
        if steps[0].verb is Verb.REMOVE or kind not in WAITED_FOR:
            self._at_once(steps, lambda step: self._finish(step, self._begin(step)))
            return
        begun = self._at_once(steps, self._begin)
        fresh = [(step, number) for step, number in begun if not _is_waited_for(step)]
        made = self._wait(kind, [(step, number) for step, number in begun if _is_waited_for(step)])
        numbers = {id(step): number for step, number in (*fresh, *made)}
        self._at_once([step for step, _ in (*fresh, *made)], lambda step: self._finish(step, numbers[id(step)]))

    def clean_up(self) -> None:
        """Remove what was begun and did not get ready; the sources end first, so that the front-end gives up."""
        self.line.stop.set()
        self.stack.close()
        line = Line(self.line.client, replace(self.line.patience, restart_s=self.line.patience.settle_s))
        objects = Objects(line, Numbers(line), no_password)
        for (kind, number), step in self.begun.items():
            what = Applied(step.verb, kind, step.name, number)
            try:
                if self.sources.server is not None:
                    let_go(line, kind, number)
                objects.delete(kind, number)
            except (OneError, OneLostError):
                self.left.append(what)
            else:
                self.cleaned.append(what)
                self.say(Event(Phase.CLEANED, kind, step.name))

    def report(self, changes: Sequence[Step]) -> AppliedReport:
        """Return what became of the plan's changes."""
        rest = tuple(step for step in changes if id(step) not in self._over)
        return AppliedReport(tuple(self.done), tuple(self.failed), tuple(self.cleaned), tuple(self.left), rest)

    def _begin(self, step: Step) -> int:
        """Remove or make what a step is about, and return its number."""
        self.say(Event(Phase.STARTED, step.kind, step.name))
        wanted, existing = step.wanted, step.existing
        if step.verb is Verb.REMOVE and existing is not None:
            self.objects.remove(existing)
        elif step.verb is Verb.CREATE and wanted is not None:
            if existing is not None:
                self.objects.delete(step.kind, existing.id)
            extra = self.sources.attributes(wanted) if step.kind is Kind.IMAGE else ()
            number = self.objects.create(wanted, extra)
            self.objects.numbers.known[step.kind, step.name] = number
            if step.kind in WAITED_FOR:
                self.begun[step.kind, number] = step
            return number
        if existing is None:
            raise ValueError(step)
        return existing.id

    def _finish(self, step: Step, number: int) -> None:
        """Do what is left to do with an object that is there."""
        if step.verb is Verb.CREATE and step.wanted is not None:
            self.objects.settle(step.wanted, number)
        elif step.verb is Verb.UPDATE:
            self.objects.update(step)
        self._over.add(id(step))
        self.done.append(Applied(step.verb, step.kind, step.name, number))
        self.say(Event(Phase.DONE, step.kind, step.name))

    def _fail(self, step: Step, error: B2ctError) -> None:
        self._lost = self._lost or isinstance(error, OneLostError)
        self._over.add(id(step))
        self.failed.append(Failure(step, error))
        self.say(Event(Phase.FAILED, step.kind, step.name, message=str(error)))

    def _wait(self, kind: Kind, begun: Sequence[tuple[Step, int]]) -> list[tuple[Step, int]]:
        """Wait for images or networks, and return those that got ready."""
        steps = {number: step for step, number in begun}
        made: list[tuple[Step, int]] = []

        def ended(number: int, error: NotMadeError | None) -> None:
            step = steps.pop(number)
            if error is not None:
                self._fail(step, error)
            else:
                self.begun.pop((kind, number), None)
                made.append((step, number))

        try:
            wait_until_made(self.line, kind, tuple(steps), ended)
        except (OneError, OneLostError) as error:
            for step in steps.values():
                self._fail(step, error)
        return made

    def _at_once(self, steps: Sequence[Step], act: Callable[[Step], Result]) -> list[tuple[Step, Result]]:
        """Do something with each step, several at once; return the results of those that did not fail.

        Once the front-end is lost, no more are begun.
        """
        results: list[tuple[Step, Result]] = []

        def one(step: Step) -> None:
            if self._lost or self.line.stop.is_set():
                return
            try:
                results.append((step, act(step)))
            except StoppedError:
                return
            except B2ctError as error:
                self._fail(step, error)

        threads = ThreadPoolExecutor(CALLS_AT_ONCE)
        try:
            for future in [threads.submit(one, step) for step in steps]:
                future.result()
        except BaseException:
            self.line.stop.set()
            raise
        finally:
            threads.shutdown(cancel_futures=True)
        return results


def _is_waited_for(step: Step) -> bool:
    """Whether an object may not be ready yet."""
    return step.verb is Verb.CREATE or (step.existing is not None and step.existing.state in BUSY)
