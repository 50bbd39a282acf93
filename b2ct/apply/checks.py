"""The outcome of one consistency check of an image, be it an install ISO or a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from collections.abc import Callable

ABSENT = "absent"
_SHOWN = 4

SubjectT = TypeVar("SubjectT")


@dataclass(frozen=True, slots=True)
class Check:
    """One consistency check of an image."""

    name: str
    ok: bool
    """True also for what is absent: optional features need not be there."""
    detail: str
    """What was found, or what is wrong; ``absent`` where there is nothing to check."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a check, not yet named."""

    ok: bool
    detail: str


NOTHING = Verdict(ok=True, detail=ABSENT)
"""The verdict on what an image does not have."""


def judge(problems: list[str], found: str) -> Verdict:
    """Return a failure that quotes the first problems, or a pass that says what was found."""
    if not problems:
        return Verdict(ok=True, detail=found)
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return Verdict(ok=False, detail="; ".join(problems[:_SHOWN]) + more)


def run_check(name: str, check: Callable[[SubjectT], Verdict], subject: SubjectT) -> Check:
    """Return the named outcome of a check; what it cannot read is a failure of it."""
    try:
        verdict = check(subject)
    except B2ctError as error:
        verdict = Verdict(ok=False, detail=error.message)
    return Check(name, verdict.ok, verdict.detail)
