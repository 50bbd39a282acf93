"""What applying a plan did, and how it says so while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.errors import B2ctError, ExitCode

if TYPE_CHECKING:
    from b2ct.plan.cloud_model import Kind, Step, Verb


class Phase(StrEnum):
    """What happens to an object."""

    STARTED = "started"
    DOWNLOADING = "downloading"
    """This machine fetches an image's file from a repository."""
    COPYING = "copying"
    """The front-end copies an image's file."""
    DONE = "done"
    FAILED = "failed"
    CLEANED = "cleaned"
    """It was begun, is of no use, and was removed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    phase: Phase
    kind: Kind
    name: str
    bytes_done: int = 0
    """Of a download: what has come. Of an upload: what has gone out; the front-end reads a file's beginning twice."""
    bytes_total: int = 0
    """The file's size; 0 when it is not known."""
    message: str = ""


Progress = Callable[[Event], None]
"""Gets every event, from one thread at a time."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A step that was done."""

    verb: Verb
    kind: Kind
    name: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind.label} {self.name} ({self.id})"


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that failed."""

    step: Step
    error: B2ctError

    def __str__(self) -> str:
        return f"{self.step.kind.label} {self.step.name}: {str(self.error).rstrip('.')}"


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What became of a plan's changes."""

    done: tuple[Applied, ...] = ()
    """In the order in which they were complete."""
    failed: tuple[Failure, ...] = ()
    cleaned: tuple[Applied, ...] = ()
    """What was begun, is of no use, and was removed."""
    left: tuple[Applied, ...] = ()
    """What was begun, is of no use, and could not be removed."""
    open: tuple[Step, ...] = ()
    """What was not begun."""


class PlanRefusedError(B2ctError):
    """The plan holds steps that cannot be done; nothing was done."""

    def __init__(self, refused: tuple[Step, ...]) -> None:
        self.refused = refused
        more = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        first = refused[0]
        super().__init__(f"{first.kind.label} {first.name}: {first.reason}{more}", hint="nothing was changed")


class ApplyError(B2ctError):
    """Some steps failed; ``report`` says what was done, and running the same again does the rest."""

    exit_code = ExitCode.REMOTE

    def __init__(self, report: AppliedReport) -> None:
        self.report = report
        first = report.failed[0]
        more = f", and {len(report.failed) - 1} more failed" if len(report.failed) > 1 else ""
        super().__init__(f"{first}{more}; {_summary(report)}", hint=first.error.hint)


class ApplyInterruptedError(B2ctError):
    """Somebody pressed Ctrl-C; ``report`` says what was done, and running the same again does the rest."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, report: AppliedReport) -> None:
        self.report = report
        super().__init__(f"interrupted; {_summary(report)}")


def _summary(report: AppliedReport) -> str:
    parts = [f"{len(report.done)} of {len(report.done) + len(report.failed) + len(report.open)} changes are done"]
    if report.cleaned:
        parts.append(f"removed again: {', '.join(map(str, report.cleaned))}")
    if report.left:
        parts.append(f"left half-made: {', '.join(map(str, report.left))}")
    return f"{'; '.join(parts)}; running it again does the rest"
