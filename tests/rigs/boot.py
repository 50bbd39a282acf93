"""Booting an install ISO in QEMU, in each of the four ways that a host may boot it, and reading what its init reports.

Command line: ``python -m tests.rigs.boot ISO [--firmware uefi] [--medium usb] [--keys up,ret] [--screenshot FILE.png]``
prints what Anaconda would get.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import TYPE_CHECKING

from tests.rigs.process import RigError
from tests.rigs.qmp import Monitor
from tests.rigs.screen import menu_is_shown, read_screen, write_png

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

_MARK = "B2CT-RIG "
_ENDS = (f"{_MARK}done", f"{_MARK}local disk")
_POLL_S = 0.25
_KEY_GAP_S = 0.5


class Firmware(StrEnum):
    """What starts the machine."""

    BIOS = "bios"
    UEFI = "uefi"


class Medium(StrEnum):
    """How the ISO reaches the machine."""

    CD = "cd"
    USB = "usb"


@dataclass(frozen=True, slots=True)
class BootResult:
    """What a machine wrote until it was done."""

    serial_text: str
    fields: dict[str, str]
    """The ``B2CT-RIG key=value`` lines; ``local disk`` (empty) when the machine's own disk was booted."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """A running QEMU, the file that its serial port writes, and when to give up."""

    process: Popen[bytes]
    serial: Path
    deadline: float

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Return once ``condition`` holds."""
        while not condition():
            if time.monotonic() > self.deadline:
                raise RigError(f"no {what} in time; the serial port said:\n{self.read_serial()[-4000:]}")
            if self.process.poll() is not None:
                if condition():
                    return
                raise RigError(f"qemu ended without {what}: {self._errors()}\n{self.read_serial()[-4000:]}")
            time.sleep(_POLL_S)

    def read_serial(self) -> str:
        """Everything from the serial port up to now."""
        return self.serial.read_text(encoding="utf-8", errors="replace") if self.serial.exists() else ""

    def is_done(self) -> bool:
        """Whether the machine has said its last line."""
        return any(end in self.read_serial() for end in _ENDS)

    def _errors(self) -> str:
        return self.process.stderr.read().decode(errors="replace") if self.process.stderr else ""


def boot(  # noqa: PLR0913 (each is one thing that tests vary)
    iso: Path,
    *,
    firmware: Firmware,
    medium: Medium,
    local_disk: Path | None = None,
    keys: Sequence[str] = (),
    screenshot: Path | None = None,
    timeout_s: float = 240,
) -> BootResult:
    """Boot ``iso`` and return what was reported; nothing is written to the ISO or to ``local_disk``.

    Args:
        iso: the image, a CD in a drive or the content of a USB stick.
        firmware: SeaBIOS, or OVMF with empty variables.
        medium: which of the two.
        local_disk: an image of the machine's own disk, second in the boot order.
        keys: keys in QEMU's names (``up``, ``ret``), sent once the boot menu is shown; none lets the menu time out.
        screenshot: where to keep the boot menu as PNG, as it is before any key.
        timeout_s: when to give the machine up, in seconds.

    Raises:
        RigError: QEMU failed, or the time passed; carries what the serial port said.
    """
    with tempfile.TemporaryDirectory(prefix="b2ct-boot-") as tmp:
        home = Path(tmp)
        argv = _qemu_argv(home, iso, firmware, medium, local_disk)
        with Popen(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE) as process:
            try:
                machine = _Machine(process, home / "serial", time.monotonic() + timeout_s)
                machine.wait_until("monitor", (home / "qmp").exists)
                with closing(Monitor(home / "qmp")) as monitor:
                    before = read_screen(monitor)
                    monitor.execute("cont")
                    if keys or screenshot:
                        machine.wait_until("boot menu", lambda: menu_is_shown(monitor, machine.read_serial(), before))
                        _use_menu(monitor, keys, screenshot)
                machine.wait_until("report", machine.is_done)
            finally:
                process.kill()
        text = machine.read_serial()
    return BootResult(text, read_fields(text))


def read_fields(serial_text: str) -> dict[str, str]:
    """The ``B2CT-RIG key=value`` lines of ``serial_text``; a line without ``=`` has an empty value."""
    marked = [line.split(_MARK, 1)[1].strip() for line in serial_text.splitlines() if _MARK in line]
    return {key: value for key, _, value in (line.partition("=") for line in marked)}


def _use_menu(monitor: Monitor, keys: Sequence[str], screenshot: Path | None) -> None:
    """Take the boot menu's picture and press ``keys``."""
    time.sleep(_KEY_GAP_S * 2)  # the menu is painted after it has set its mode
    if screenshot:
        write_png(monitor, screenshot)
    for key in keys:
        monitor.human(f"sendkey {key}")
        time.sleep(_KEY_GAP_S)


def _qemu_argv(home: Path, iso: Path, firmware: Firmware, medium: Medium, local_disk: Path | None) -> list[str]:
    """The command line of a machine without network whose medium comes first in the boot order."""
    argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "qemu64", "-m", "1024", "-display", "none"]
    argv += ["-vga", "std", "-net", "none", "-no-reboot", "-S", "-serial", f"file:{home}/serial"]
    argv += ["-qmp", f"unix:{home}/qmp,server=on,wait=off", "-machine", "q35" if firmware is Firmware.UEFI else "pc"]
    if firmware is Firmware.UEFI:
        variables = shutil.copy(OVMF_VARS, home / "vars.fd")
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
        argv += ["-drive", f"if=pflash,format=raw,file={variables}"]
    if medium is Medium.CD:
        argv += ["-drive", f"if=none,id=d0,media=cdrom,readonly=on,format=raw,file={iso}"]
        argv += ["-device", "ide-cd,drive=d0,bootindex=0"]
    else:
        argv += ["-drive", f"if=none,id=d0,format=raw,snapshot=on,file={iso}", "-device", "qemu-xhci,id=x"]
        argv += ["-device", "usb-storage,bus=x.0,drive=d0,bootindex=0,removable=on"]
    if local_disk:
        argv += ["-drive", f"if=none,id=d1,format=raw,snapshot=on,file={local_disk}"]
        argv += ["-device", "ide-hd,drive=d1,bootindex=1"]
    return argv


def main(arguments: Sequence[str] | None = None) -> None:
    """Boot one ISO from the command line and print what was reported."""
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.boot", description=__doc__)
    parser.add_argument("iso", type=Path)
    parser.add_argument("--firmware", type=Firmware, choices=list(Firmware), default=Firmware.BIOS)
    parser.add_argument("--medium", type=Medium, choices=list(Medium), default=Medium.CD)
    parser.add_argument("--local-disk", type=Path)
    parser.add_argument("--keys", default="", help="comma-separated, in QEMU's names: up,ret")
    parser.add_argument("--screenshot", type=Path)
    chosen = parser.parse_args(arguments)
    result = boot(
        chosen.iso,
        firmware=chosen.firmware,
        medium=chosen.medium,
        local_disk=chosen.local_disk,
        keys=[key for key in chosen.keys.split(",") if key],
        screenshot=chosen.screenshot,
    )
    sys.stdout.writelines(f"{key}={value}\n" if value else f"{key}\n" for key, value in result.fields.items())


if __name__ == "__main__":
    main()
