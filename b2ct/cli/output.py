"""Where words go: the result to stdout, everything else to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from b2ct.errors import B2ctError, Severity, SiteFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from b2ct.errors import Problem

JSON_VERSION = 1
"""Version of the documents that ``--json`` prints; it grows when a key changes its meaning or goes away."""

_LAYOUT = "\n\t"
"""What an error may quote of another program's words."""


def stderr() -> Console:
    """Return the console for people; made anew each time, because tests and pipes change what stderr is."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row, its cells in columns: nothing is cut or wrapped, so that a pipe gets whole names."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (zip(row, widths, strict=True) for row in rows)
    return ["  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in padded]


def escape(text: str, *, keep: str = "") -> str:
    """Return what others wrote so that a terminal only shows it: escaped is what is not printable, but for ``keep``."""
    return "".join(char if char.isprintable() or char in keep else _codes(char) for char in text)


def _codes(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def print_json(command: str, result: dict[str, Any]) -> None:
    """Print the one JSON document of a command that did its work."""
    _dump({"b2ct": JSON_VERSION, "command": command, "ok": True, **result})


def print_error(error: B2ctError, *, as_json: bool) -> None:
    """Print an error: one JSON document to stdout, or words to stderr."""
    problems = error.problems if isinstance(error, SiteFileError) else ()
    if as_json:
        details = {"message": error.message, "hint": error.hint, "problems": problems}
        _dump({"b2ct": JSON_VERSION, "ok": False, "error": details})
        return
    print_problems(problems)
    console = stderr()
    console.print(f"[bold red]error:[/] {_plain(error.message)}")
    if error.hint:
        console.print(f"[bold]hint:[/] {_plain(error.hint)}")


def print_problems(problems: tuple[Problem, ...]) -> None:
    """Print problems to stderr, a line each."""
    console = stderr()
    for problem in problems:
        console.print(_plain(str(problem)), style="yellow" if problem.severity is Severity.WARNING else None)


def print_warnings(lines: Iterable[str]) -> None:
    """Print warnings that belong to no line of a file to stderr, a line each."""
    console = stderr()
    for line in lines:
        console.print(f"warning: {escape(line, keep=_LAYOUT)}", style="yellow", markup=False)


def _plain(text: str) -> str:
    return escape(text, keep=_LAYOUT).replace("[", r"\[")


def _dump(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, default=_jsonable, indent=2) + "\n")


def _jsonable(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


@contextmanager
def progress_bar(text: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar with rate and time left while the caller reports (done, total) bytes; only on a terminal."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn(text), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
