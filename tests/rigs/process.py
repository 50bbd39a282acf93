"""Running the real tools: one door, whose error says what ran and what it wrote."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EPOCH = 1_718_000_000
"""The time stamp of everything that the rigs make, seconds since 1970 (2024-06-10)."""


class RigError(RuntimeError):
    """A tool of the rigs failed, or a machine did not do what it was started for."""


def run_tool(argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run ``argv`` to its end with ``SOURCE_DATE_EPOCH`` set; return its standard output.

    Raises:
        RigError: the exit code is not 0; carries argv and everything written.
    """
    words = [str(word) for word in argv]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "UTC", "LC_ALL": "C.UTF-8", **(env or {})}
    done = subprocess.run(words, cwd=cwd, env=variables, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise RigError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout
