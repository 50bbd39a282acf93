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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.machine import start_machine
from tests.rigs.screen import menu_is_shown, read_screen, read_text, write_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.rigs.machine import Machine
    from tests.rigs.qmp import Monitor

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

NO_BOOTABLE_DEVICE = "No bootable device"
"""SeaBIOS's last words; after a hard disk or stick has given up it tries no second disk."""

_MARK = "B2CT-RIG "
_ENDS = (f"{_MARK}done", f"{_MARK}local disk")
_KEY_GAP_S = 0.5
_AT_ONCE = 2


class Firmware(StrEnum):
    """What starts the machine."""

    BIOS = "bios"
    UEFI = "uefi"


class Medium(StrEnum):
    """How the ISO reaches the machine."""

    CD = "cd"
    USB = "usb"


ALL_WAYS = tuple((firmware, medium) for medium in Medium for firmware in Firmware)
"""The four ways to boot an ISO."""


@dataclass(frozen=True, slots=True)
class BootResult:
    """What a machine wrote until it was done."""

    serial_text: str
    fields: dict[str, str]
    """The ``B2CT-RIG key=value`` lines; ``local disk`` (empty) when the machine's own disk was booted,
    ``No bootable device`` (empty) when SeaBIOS said so."""


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
        arguments = firmware_arguments(firmware, Path(tmp)) + _medium_arguments(medium, iso)
        if local_disk:
            arguments += _disk_arguments(local_disk)
        with start_machine(arguments, timeout_s=timeout_s) as machine:
            before = read_screen(machine.monitor)
            machine.monitor.execute("cont")
            if keys or screenshot:
                _wait_for_menu(machine, before)
                _use_menu(machine.monitor, keys, screenshot)
            return _wait_for_report(machine, firmware)


def boot_ways(
    iso: Path, ways: Sequence[tuple[Firmware, Medium]], *, local_disk: Path | None = None, keys: Sequence[str] = ()
) -> list[BootResult]:
    """Boot ``iso`` in several ways, two machines at a time; the results come in the order of ``ways``."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [
            pool.submit(boot, iso, firmware=firmware, medium=medium, local_disk=local_disk, keys=keys)
            for firmware, medium in ways
        ]
        return [future.result() for future in futures]


def boot_kernel(kernel: Path, initrd: Path, arguments: str, *, disk: Path, timeout_s: float = 120) -> BootResult:
    """Start ``kernel`` without a boot loader, with ``disk`` as USB stick: a short way to the look-alikes' init."""
    options = ["-machine", "pc", "-kernel", str(kernel), "-initrd", str(initrd), "-append", arguments]
    with start_machine([*options, *_stick_arguments(disk, "")], timeout_s=timeout_s) as machine:
        machine.monitor.execute("cont")
        return _wait_for_report(machine, Firmware.UEFI)


def boot_disk(disk: Path, *, firmware: Firmware, timeout_s: float = 240) -> BootResult:
    """Boot a qcow2 disk as OpenNebula attaches it, by virtio; nothing is written to it.

    Raises:
        RigError: QEMU failed, or the time passed; carries what the serial port said.
    """
    with tempfile.TemporaryDirectory(prefix="b2ct-boot-") as tmp:
        drive = ["-drive", f"if=virtio,format=qcow2,snapshot=on,file={disk}"]
        with start_machine([*firmware_arguments(firmware, Path(tmp)), *drive], timeout_s=timeout_s) as machine:
            machine.monitor.execute("cont")
            return _wait_for_report(machine, firmware)


def read_fields(serial_text: str) -> dict[str, str]:
    """The ``B2CT-RIG key=value`` lines of ``serial_text``; a line without ``=`` has an empty value."""
    marked = [line.split(_MARK, 1)[1].strip() for line in serial_text.splitlines() if _MARK in line]
    return {key: value for key, _, value in (line.partition("=") for line in marked)}


def _wait_for_report(machine: Machine, firmware: Firmware) -> BootResult:
    """What the machine reported, once it has said its last line."""
    has_given_up = False

    def is_done() -> bool:
        nonlocal has_given_up
        if any(end in machine.read_serial() for end in _ENDS) or machine.process.poll() is not None:
            return any(end in machine.read_serial() for end in _ENDS)
        has_given_up = firmware is Firmware.BIOS and NO_BOOTABLE_DEVICE in read_text(machine.monitor)
        return has_given_up

    machine.wait_until("report", is_done)
    text = machine.read_serial()
    return BootResult(text, read_fields(text) | ({NO_BOOTABLE_DEVICE: ""} if has_given_up else {}))


def _wait_for_menu(machine: Machine, before: bytes) -> None:
    machine.wait_until("boot menu", lambda: menu_is_shown(machine.monitor, machine.read_serial(), before))


def _use_menu(monitor: Monitor, keys: Sequence[str], screenshot: Path | None) -> None:
    """Take the boot menu's picture and press ``keys``."""
    time.sleep(_KEY_GAP_S * 2)  # the menu is painted after it has set its mode
    if screenshot:
        write_png(monitor, screenshot)
    for key in keys:
        monitor.human(f"sendkey {key}")
        time.sleep(_KEY_GAP_S)


def firmware_arguments(firmware: Firmware, home: Path) -> list[str]:
    """SeaBIOS on the older machine, OVMF on the newer: between them they have both kinds of disk controller."""
    if firmware is Firmware.BIOS:
        return ["-machine", "pc"]
    variables = shutil.copy(OVMF_VARS, home / "vars.fd")
    code = f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"
    return ["-machine", "q35", "-drive", code, "-drive", f"if=pflash,format=raw,file={variables}"]


def _medium_arguments(medium: Medium, image: Path) -> list[str]:
    """The install medium, first in the boot order."""
    if medium is Medium.USB:
        return _stick_arguments(image, ",bootindex=0")
    drive = f"if=none,id=d0,media=cdrom,readonly=on,format=raw,file={image}"
    return ["-drive", drive, "-device", "ide-cd,drive=d0,bootindex=0"]


def _stick_arguments(image: Path, order: str) -> list[str]:
    """A USB stick; what is written to it is thrown away."""
    drive = f"if=none,id=d0,format=raw,snapshot=on,file={image}"
    stick = f"usb-storage,bus=x.0,drive=d0,removable=on{order}"
    return ["-drive", drive, "-device", "qemu-xhci,id=x", "-device", stick]


def _disk_arguments(image: Path) -> list[str]:
    drive = f"if=none,id=d1,format=raw,snapshot=on,file={image}"
    return ["-drive", drive, "-device", "ide-hd,bus=ide.1,drive=d1,bootindex=1"]


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
