"""A QEMU machine, emulated unless told otherwise: started paused, watched through serial port and monitor, ended."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING

from tests.rigs.process import RigError
from tests.rigs.qmp import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_POLL_S = 0.25

_BASE = "-cpu qemu64 -m 1024 -display none -vga std -net none -no-reboot -S"


@dataclass(frozen=True, slots=True)
class Machine:
    """A running QEMU."""

    process: Popen[bytes]
    monitor: Monitor
    serial: Path
    """The file that its first serial port writes."""
    deadline: float
    """When to give it up, on the monotonic clock."""

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Return once ``condition`` holds.

        Raises:
            RigError: the machine ended or the time passed before; carries what the serial port said.
        """
        while not condition():
            if self.process.poll() is not None:
                if condition():  # it came true while the machine went off
                    return
                raise RigError(f"the machine ended without {what}; its serial port said:\n{self.read_serial()[-4000:]}")
            if time.monotonic() > self.deadline:
                raise RigError(f"no {what} in time; the serial port said:\n{self.read_serial()[-4000:]}")
            time.sleep(_POLL_S)

    def read_serial(self) -> str:
        """Everything that the serial port wrote up to now."""
        return self.serial.read_text(encoding="utf-8", errors="replace") if self.serial.exists() else ""


@contextmanager
def start_machine(
    arguments: Sequence[str], *, timeout_s: float, accelerator: str = "tcg,thread=multi"
) -> Iterator[Machine]:
    """A machine with ``arguments`` besides the usual ones, paused before its first instruction; killed at the end.

    Raises:
        RigError: QEMU did not start.
    """
    with tempfile.TemporaryDirectory(prefix="b2ct-machine-") as tmp:
        home = Path(tmp)
        argv = ["qemu-system-x86_64", "-accel", accelerator, *_BASE.split(), "-serial", f"file:{home}/serial"]
        argv += ["-qmp", f"unix:{home}/qmp,server=on,wait=off", *arguments]
        with Popen(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE) as process:
            try:
                with closing(_connect(process, home / "qmp")) as monitor:
                    yield Machine(process, monitor, home / "serial", time.monotonic() + timeout_s)
            finally:
                process.kill()


def _connect(process: Popen[bytes], path: Path) -> Monitor:
    """The monitor, as soon as QEMU listens."""
    while process.poll() is None:
        try:
            return Monitor(path)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(_POLL_S)
    errors = process.stderr.read().decode(errors="replace") if process.stderr else ""
    raise RigError(f"qemu did not start: {errors}")
