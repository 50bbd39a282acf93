"""Every error that B2CT raises on purpose, and the exit code that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the command line returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SITE_FILE = 3
    REMOTE = 4
    INTERRUPTED = 130


class Severity(StrEnum):
    """Whether a problem stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a file: where it is, what it is, and what to do about it."""

    file: str
    """Path of the file as the user gave it."""
    line: int
    """Line in that file, counted from 1."""
    where: str
    """Dotted path of the value, such as ``hosts.1.disks.0``; empty for the whole file."""
    message: str
    """What is wrong."""
    hint: str = ""
    """What to do about it; empty when the message says it."""
    severity: Severity = Severity.ERROR
    """A warning is shown, and the work goes on."""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        kind = "warning: " if self.severity is Severity.WARNING else ""
        return f"{self.file}:{self.line}: {kind}{where}{self.message}{hint}"


class B2ctError(Exception):
    """Base of all errors that are reported to the user without a traceback.

    ``hint`` says what the user can do; it is shown on a line of its own.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(B2ctError):
    """The command was called in a way that cannot work."""

    exit_code = ExitCode.USAGE


class SiteFileError(B2ctError):
    """The site file (or another YAML file, ``what``) is wrong; carries every problem found."""

    exit_code = ExitCode.SITE_FILE

    def __init__(self, problems: tuple[Problem, ...], what: str = "the site file") -> None:
        self.problems = tuple(sorted(problems))
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in {what}")


class RemoteError(B2ctError):
    """Another machine refused, or could not be reached."""

    exit_code = ExitCode.REMOTE


class IsoError(B2ctError):
    """An ISO image is not what it has to be: truncated, of an unknown layout, inconsistent."""


class OutputError(B2ctError):
    """An output could not be written: it exists already, the disk is full, the place is read-only."""
