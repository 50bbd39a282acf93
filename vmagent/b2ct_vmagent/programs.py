"""Running other programs: one door, which always comes back."""

import os
import subprocess
from typing import Callable, NamedTuple, Sequence


class Done(NamedTuple):
    """How a program ended: exit code (127 not found, 124 stopped after its time), and all that it wrote."""

    code: int
    output: str


Runner = Callable[[Sequence[str], float], Done]
"""Runs an argument vector for at most so many seconds."""


def run_program(argv: Sequence[str], timeout_s: float) -> Done:
    """Run a program with an English locale and no input."""
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "no answer in {:.0f} s".format(timeout_s))
    except OSError as error:
        return Done(127, "{}: {}".format(argv[0], error.strerror))
    return Done(done.returncode, done.stdout.decode("utf-8", "replace").strip())
