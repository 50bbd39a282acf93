"""Running other programs: one door, which always comes back, even from a file system that hangs."""

import os
import signal
import subprocess
import tempfile
from typing import BinaryIO, Callable, NamedTuple, Sequence

LARGEST_OUTPUT_BYTES = 65536
REAP_S = 5.0
"""A process that waits for a dead file system cannot be ended; after so long it is left to the kernel."""


class Done(NamedTuple):
    """How a program ended: exit code (127 not found, 124 stopped after its time), and all that it wrote."""

    code: int
    output: str


Runner = Callable[[Sequence[str], float], Done]
"""Runs an argument vector for at most so many seconds."""


def run_program(argv: Sequence[str], timeout_s: float) -> Done:
    """Run a program with an English locale and no input; when its time is over, all that it started ends with it."""
    # into a file, for whoever inherits a pipe can keep it open
    with tempfile.TemporaryFile() as output:
        failed = run_into(argv, timeout_s, output)
        output.seek(0)
        said = output.read(LARGEST_OUTPUT_BYTES).decode("utf-8", "replace").strip()
        return Done(failed.code, failed.output or said)


def run_into(argv: Sequence[str], timeout_s: float, output: BinaryIO) -> Done:
    """Do the same with everything that the program writes going to ``output``; the result holds only why it failed."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, LC_ALL="C"),
            start_new_session=True,
        )
    except OSError as error:
        return Done(127, "{}: {}".format(argv[0], error.strerror))
    try:
        return Done(process.wait(timeout_s), "")
    except subprocess.TimeoutExpired:
        return Done(124, "no answer in {:.0f} s".format(timeout_s))
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that still runs, and its whole session."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP_S)
    except subprocess.TimeoutExpired:
        return
