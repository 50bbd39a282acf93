"""Running other programs: one door, which always comes back, even from a file system that hangs."""

import os
import select
import signal
import subprocess
import time
from typing import BinaryIO, Callable, NamedTuple, Sequence, Union

LARGEST_OUTPUT_BYTES = 65536
LOOK_S = 0.05
"""How often it is looked whether a program has ended while it says nothing."""
REAP_S = 5.0
"""A process that waits for a dead file system cannot be ended; after so long it is left to the kernel."""


class Done(NamedTuple):
    """How a program ended: exit code (127 not found, 124 stopped after its time), and all that it wrote."""

    code: int
    output: str


Runner = Callable[[Sequence[str], float], Done]
"""Runs an argument vector for at most so many seconds."""


def run_program(argv: Sequence[str], timeout_s: float) -> Done:
    """Run a program with an English locale and no input; when its time is over, all that it started ends with it.

    Its words come through a pipe, for a file would need room on a disk that may be full.
    """
    reading, writing = os.pipe()
    try:
        try:
            process = _start(argv, writing)
        except OSError as error:
            return Done(127, "{}: {}".format(argv[0], error.strerror))
        finally:
            os.close(writing)
        try:
            said = _listen(process, reading, time.monotonic() + timeout_s)
            late = process.poll() is None
        finally:
            _end(process)
        output = said.decode("utf-8", "replace").strip()
        return Done(124, _late(timeout_s)) if late else Done(process.returncode, output)
    finally:
        os.close(reading)


def _listen(process: "subprocess.Popen[bytes]", reading: int, until_s: float) -> bytes:
    """Return what a program writes until it ends or its time is over; whoever inherits the pipe can keep it open."""
    said = b""
    while True:
        ended = process.poll() is not None
        left_s = until_s - time.monotonic()
        if left_s <= 0 or (ended and len(said) == LARGEST_OUTPUT_BYTES):
            return said
        pause_s = 0.0 if ended else min(LOOK_S, left_s)
        if not select.select([reading], [], [], pause_s)[0]:
            if ended:
                return said
            continue
        piece = os.read(reading, LARGEST_OUTPUT_BYTES)
        said = (said + piece)[:LARGEST_OUTPUT_BYTES]
        if not piece:  # nobody writes any more
            _wait(process, until_s - time.monotonic())
            return said


def run_into(argv: Sequence[str], timeout_s: float, output: BinaryIO) -> Done:
    """Do the same with everything that the program writes going to ``output``; the result holds only why it failed."""
    try:
        process = _start(argv, output)
    except OSError as error:
        return Done(127, "{}: {}".format(argv[0], error.strerror))
    try:
        return Done(process.returncode, "") if _wait(process, timeout_s) else Done(124, _late(timeout_s))
    finally:
        _end(process)


def _start(argv: Sequence[str], output: Union[int, BinaryIO]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, LC_ALL="C"),
        start_new_session=True,
    )


def _late(timeout_s: float) -> str:
    return "no answer in {:.0f} s".format(timeout_s)


def _wait(process: "subprocess.Popen[bytes]", timeout_s: float) -> bool:
    try:
        process.wait(max(0.0, timeout_s))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that still runs, and its whole session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        _wait(process, REAP_S)
