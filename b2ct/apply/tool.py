"""Runs other programs: the one door, whose errors say what ran and what it wrote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import B2ctError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TOOL_TIMEOUT_S = 3600.0
"""How long a program may take unless its caller says otherwise, seconds."""

_END_S = 10.0
"""How long programs that a killed program started may hold its output open, seconds."""
_SHOWN_LINES = 6
_SHOWN_CHARACTERS = 300
_TELLING = re.compile(
    r"^(E|W|Err):|(?<![\w-])(errors?|fatal|failed|cannot|can't|could not|couldn't|unable|denied|refused|no such)\b",
    re.IGNORECASE,
)
"""What programs begin a line with, or have in it, that says why they failed."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class ToolError(B2ctError):
    """A program failed, or took too long; carries its arguments, exit code and output.

    The message names ``program`` (left out: the first of ``argv``) and the few lines of its output that tell most.
    """

    def __init__(
        self, argv: Sequence[str], returned: int | None, stdout: str, stderr: str, *, program: str = ""
    ) -> None:
        self.argv = tuple(argv)
        self.returned = returned
        """Exit code; None when it took too long."""
        self.stdout = stdout
        self.stderr = stderr
        how = "took too long" if returned is None else f"failed with exit code {returned}"
        said = stderr.strip() or stdout.strip()
        hint = "the disk is full: make room, or write elsewhere" if "No space left on device" in said else None
        name = shorten(program or self.argv[0].rpartition("/")[2])
        super().__init__("\n".join((f"{name} {how}", *find_telling_lines(said))), hint=hint)


def find_telling_lines(text: str) -> list[str]:
    """Return the few lines of a program's output that say why it failed, in their order.

    The first error, which mostly is the cause, then the last ones, then other lines.
    """
    lines = list(dict.fromkeys(line.rstrip() for line in text.splitlines() if line.strip()))
    telling = [bool(_TELLING.search(line)) for line in lines]
    first = telling.index(True) if True in telling else -1
    ranked = sorted(range(len(lines)), key=lambda number: (number == first, telling[number], number))
    return [shorten(lines[number]) for number in sorted(ranked[-_SHOWN_LINES:])]


def shorten(line: str) -> str:
    """Return a line of no more than 300 characters."""
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is needed, and the packages that bring it."""

    name: str
    """Its name, or the absolute path of a file."""
    debian: str
    """Debian's and Ubuntu's package."""
    el: str | None
    """The EL family's package; None where it has none."""


def find_program(name: str) -> str | None:
    """Return the path of the program ``name``, also where only root's PATH leads; None if there is none."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN)))


def need_programs(programs: Iterable[Program]) -> None:
    """Return if all ``programs`` are there.

    Raises:
        UsageError: names every program that is missing, and the packages to install.
    """
    missing = [program for program in programs if find_program(program.name) is None and not _is_file(program.name)]
    if not missing:
        return
    debian = sorted({program.debian for program in missing})
    hint = f"on Debian and Ubuntu: apt-get install {' '.join(debian)}"
    foreign = [program.name for program in missing if program.el is None]
    el = sorted({program.el for program in missing if program.el})
    hint += f"; on EL: dnf install {' '.join(el)}" if el else ""
    hint += f"; EL has no {', '.join(foreign)}" if foreign else ""
    raise UsageError(f"missing: {', '.join(program.name for program in missing)}", hint=hint)


def run_tool(  # noqa: PLR0913 (what subprocess takes)
    argv: Sequence[str | Path],
    *,
    program: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text_in: str | None = None,
    timeout_s: float = TOOL_TIMEOUT_S,
) -> str:
    """Run ``argv`` to its end and return its standard output; ``env`` is added to the environment, in the C locale.

    Secrets go through ``text_in`` (standard input), never through ``argv``. ``program`` is what errors call it where
    the first word only starts it.

    Raises:
        ToolError: it could not be started, did not return 0, or took longer than ``timeout_s``.
    """
    words = [str(word) for word in argv]
    program = program or words[0].rpartition("/")[2]
    words[0] = find_program(words[0]) or words[0]
    variables = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})}
    try:
        process = subprocess.Popen(  # noqa: S603 (argv is a list; no shell reads it)
            words,
            cwd=cwd,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ToolError(words, 127, "", str(error), program=program) from error
    with process:
        try:
            stdout, stderr = process.communicate(text_in or "", timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise ToolError(words, None, _text(error.stdout), _text(error.stderr), program=program) from error
        except BaseException:
            _end(process)
            raise
    if process.returncode != 0:
        raise ToolError(words, process.returncode, stdout, stderr, program=program)
    return stdout


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a program, and wait for what ends with it: whoever cleans up after it must not meet it writing."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_END_S)


def _text(output: bytes | str | None) -> str:
    """Return what was written before the time was over; subprocess gives bytes there even in text mode."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _is_file(name: str) -> bool:
    return name.startswith("/") and os.path.exists(name)  # noqa: PTH110 (a name, not a path, came in)
