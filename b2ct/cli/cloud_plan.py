"""Shows a plan of an OpenNebula cloud, asks, has it applied, and reports."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from b2ct.apply.opennebula.report import Event, Phase, PlanRefusedError
from b2ct.apply.publish import Planned, apply_planned
from b2ct.cli.output import align, print_json, stderr
from b2ct.errors import B2ctError, UsageError
from b2ct.plan.cloud_model import CloudPlan, Step, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from b2ct.plan.cloud_model import Difference

STYLES = {
    Verb.CREATE: "green",
    Verb.UPDATE: "yellow",
    Verb.REMOVE: "bold red",
    Verb.REFUSE: "bold red",
    Verb.KEEP: "dim",
    Verb.USE: "dim",
}


def run_plan(command: str, planned: Planned, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show the plan; apply it unless it is a dry run, nothing is to be done, or the user says no.

    Raises:
        PlanRefusedError: a step cannot be done; nothing was changed.
        UsageError: something would be removed, and nobody can be asked.
        B2ctError: applying failed.
    """
    plan = planned.plan
    if not as_json:
        print_plan(plan)
        for note in planned.notes:
            stderr().print(note, style="yellow")
    if plan.refused:
        raise PlanRefusedError(plan.refused)
    done = not dry_run and bool(plan.changes)
    if done:
        _ask_before_removing(plan, yes=yes)
        with _event_display(quiet=as_json) as say:
            apply_planned(planned, say)
    if as_json:
        steps = [_step_document(step) for step in plan.steps]
        print_json(command, {"applied": done, "steps": steps, "notes": planned.notes})
    elif not plan.changes:
        spared = any(step.wanted is None for step in plan.steps)
        stderr().print("Nothing can be removed now." if spared else "Everything is as it should be.")
    elif dry_run:
        stderr().print("Nothing was changed: this was a dry run.")
    else:
        stderr().print("Done.")


@contextmanager
def _event_display(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Show what is done, a line each; on a terminal also a bar for each image that is being copied."""
    console = stderr()
    if quiet:
        yield lambda _event: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def say(event: Event) -> None:
            if event.phase in {Phase.DOWNLOADING, Phase.COPYING} and event.bytes_total:
                if event.name not in tasks:
                    tasks[event.name] = bars.add_task("", total=event.bytes_total)
                done = min(event.bytes_done, event.bytes_total)
                bars.update(tasks[event.name], description=f"{event.phase.value} {event.name}", completed=done)
            elif event.phase in {Phase.DONE, Phase.FAILED, Phase.CLEANED}:
                if event.name in tasks:
                    bars.remove_task(tasks.pop(event.name))
                line = f"{event.phase.value:8} {event.kind.value:9} {event.name} {event.message}"
                console.print(line.rstrip(), markup=False)

        yield say


def print_plan(plan: CloudPlan) -> None:
    """Print every step, what differs below it, and a count."""
    console = Console(highlight=False, soft_wrap=True)
    lines = align([(step.verb.value, step.kind.value, step.name, step.reason) for step in plan.steps])
    for step, line in zip(plan.steps, lines, strict=True):
        text = Text(line)
        text.stylize(STYLES[step.verb], 0, len(step.verb.value))
        console.print(text)
        for difference in step.differences if step.verb is not Verb.KEEP else ():
            console.print(Text(f"    {_difference_text(difference)}", "dim"))
    count = Counter(step.verb for step in plan.steps)
    typer.echo(", ".join(f"{count[verb]} {verb.value}" for verb in Verb if count[verb]) or "nothing to do")


def _difference_text(difference: Difference) -> str:
    return f"{difference.attribute}: {difference.now or '(none)'} -> {difference.wanted or '(none)'}"


def _ask_before_removing(plan: CloudPlan, *, yes: bool) -> None:
    removed = [step for step in plan.steps if step.verb is Verb.REMOVE]
    if not removed or yes:
        return
    names = ", ".join(f"{step.kind.value} {step.name}" for step in removed)
    if not sys.stdin.isatty():
        raise UsageError(f"this removes {names}", hint="--yes removes them without asking")
    if not typer.confirm(f"Remove {names}?", err=True):
        raise B2ctError("nothing was changed")


def _step_document(step: Step) -> dict[str, object]:
    return {
        "verb": step.verb.value,
        "kind": step.kind.value,
        "name": step.name,
        "id": step.existing.id if step.existing else None,
        "reason": step.reason,
        "differences": step.differences,
    }
