"""Runs a virtual machine once, unattended, until it powers itself off: QEMU, its serial ports written to files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.tool import Program, ToolError, find_program, run_tool
from b2ct.errors import B2ctError, UsageError
from b2ct.plan.image import BootMode

if TYPE_CHECKING:
    from collections.abc import Callable

_QEMU = "qemu-system-x86_64"

GUEST_TIMEOUT_S = 3 * 3600.0
"""How long a guest may take, seconds: an hour's work without KVM, and a slow mirror."""

_KVM = Path("/dev/kvm")
_EL_QEMU = Path("/usr/libexec/qemu-kvm")
_FIRMWARE = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/edk2/ovmf/OVMF_CODE.fd"), Path("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")),
)
"""Where Debian, the EL family and older Debians keep OVMF: its code, and its empty variables."""

_PROBE = bytes.fromhex("ba0406 b80020 ef f4 ebfd")
"""mov dx,0x604; mov ax,0x2000; out dx,ax; hlt; jmp: a boot sector that powers q35 off (ACPI's PM1a_CNT, SLP_EN)."""
_PROBE_DISK_BYTES = 8 * 1024**2
"""SeaBIOS boots no disk that is smaller than a cylinder."""
_PROBE_TIMEOUT_S = 30.0
_POLL_S = 0.2
_CONSOLE = "console.log"
_REPORT = "report.log"
_TAIL_BYTES = 1024 * 1024
_TAIL_LINES = 25


class Accelerator(StrEnum):
    """What runs the guest's code."""

    KVM = "kvm"
    """The processor itself."""
    TCG = "tcg"
    """QEMU's emulation: everywhere, ten to twenty times slower."""


class GuestError(B2ctError):
    """A guest did not do what it was started for; the message ends with the last lines that it wrote."""

    def __init__(self, message: str, said: GuestOutput) -> None:
        super().__init__(f"{message}; it said last:\n{tail(said.report or said.console)}")


@dataclass(frozen=True, slots=True)
class GuestOutput:
    """The last MiB that a guest wrote to each of its serial ports."""

    console: str
    """``ttyS0``: firmware, kernel, what is written to the console."""
    report: str
    """``ttyS1``: nobody but us writes there, and OVMF before anything starts."""


@dataclass(frozen=True, slots=True)
class DirectKernel:
    """A kernel that is started without a boot loader."""

    kernel: Path
    initrd: Path
    arguments: str


@dataclass(frozen=True, slots=True)
class GuestMachine:
    """A virtual machine with user network: it reaches out, and nobody reaches in."""

    disk: Path
    """Its qcow2 disk, which it changes."""
    cds: tuple[Path, ...] = ()
    """ISO images, read only."""
    firmware: BootMode = BootMode.BIOS
    kernel: DirectKernel | None = None
    """None boots the disk."""
    memory_mib: int = 2048
    cpus: int = 2


def find_accelerator() -> Accelerator:
    """Return KVM if a guest really runs with it, which a writable ``/dev/kvm`` does not promise, else TCG."""
    has_kvm = os.access(_KVM, os.R_OK | os.W_OK)
    return Accelerator.KVM if has_kvm and can_run(Accelerator.KVM) else Accelerator.TCG


def can_run(accelerator: Accelerator) -> bool:
    """Return whether a guest of a few instructions starts with ``accelerator`` and powers itself off."""
    with tempfile.TemporaryDirectory(prefix="b2ct-probe-") as tmp:
        disk = Path(tmp) / "disk"
        with disk.open("wb") as file:
            file.write(_PROBE.ljust(510, b"\0") + b"\x55\xaa")
            file.truncate(_PROBE_DISK_BYTES)
        argv = [_qemu(), *_processor(accelerator), "-nodefaults", "-display", "none", "-no-reboot"]
        try:
            run_tool([*argv, "-drive", f"if=ide,format=raw,file={disk}"], timeout_s=_PROBE_TIMEOUT_S)
        except ToolError:
            return False
    return True


def find_firmware() -> tuple[Path, Path]:
    """Return OVMF's code and its empty variables.

    Raises:
        UsageError: it is not installed.
    """
    for code, variables in _FIRMWARE:
        if code.is_file() and variables.is_file():
            return code, variables
    raise UsageError("missing: OVMF, the UEFI firmware for virtual machines", hint="package ovmf (EL: edk2-ovmf)")


def run_guest(
    machine: GuestMachine,
    folder: Path,
    *,
    timeout_s: float = GUEST_TIMEOUT_S,
    log: Callable[[str], None] = lambda _line: None,
) -> GuestOutput:
    """Run the machine until it powers off (a reboot counts as that) and return what it wrote to its serial ports.

    Args:
        machine: the machine; its disk is changed.
        folder: where ``console.log`` and ``report.log`` grow, one for each serial port.
        timeout_s: when it is killed, seconds.
        log: told what runs it.

    Raises:
        GuestError: QEMU failed, or the time passed.
        UsageError: QEMU or the firmware is missing.
    """
    accelerator = find_accelerator()
    log(f"starting a virtual machine ({accelerator}); {folder / _CONSOLE} shows what it does")
    with tempfile.TemporaryDirectory(prefix="b2ct-guest-") as tmp:
        argv = [_qemu(), *_arguments(machine, folder, accelerator)]
        if machine.firmware is BootMode.UEFI:
            argv += _firmware_arguments(Path(tmp))
        errors = Path(tmp) / "errors"
        with errors.open("wb") as stream, _start(argv, stream.fileno()) as process:
            try:
                returned = _wait(process, time.monotonic() + timeout_s)
            finally:
                process.kill()
        said = GuestOutput(_read_end(folder / _CONSOLE), _read_end(folder / _REPORT))
        if returned is None:
            raise GuestError(f"the machine was not done after {timeout_s:.0f} s", said)
        if returned != 0:
            raise GuestError(f"QEMU ended with exit code {returned}: {_read_end(errors).strip()}", said)
    return said


def _read_end(file: Path) -> str:
    """Return the last MiB of a file; empty when there is none."""
    if not file.exists():
        return ""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return stream.read().decode(errors="replace")


def tail(text: str) -> str:
    """Return the last lines of a serial port's text for an error message, without control characters."""
    lines = ["".join(c for c in line if c.isprintable()) for line in text.splitlines()]
    return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:]) or "(nothing)"


def qemu_value(value: str | Path) -> str:
    """Return a value for one of QEMU's comma-separated options, where a comma is written twice (qemu(1), -drive)."""
    return str(value).replace(",", ",,")


def qemu_program() -> Program:
    """Return the QEMU of this machine, which ``need_programs`` looks for."""
    return Program(_qemu(), debian="qemu-system-x86", el="qemu-kvm")


def _qemu() -> str:
    """Return QEMU's path or name; the EL family has it outside PATH."""
    return find_program(_QEMU) or (str(_EL_QEMU) if _EL_QEMU.is_file() else _QEMU)


def _processor(accelerator: Accelerator) -> list[str]:
    """Return QEMU's arguments for machine and processor: EL9 and EL10 need more than QEMU's default one can."""
    return ["-machine", "q35", "-accel", accelerator.value, "-cpu", "host" if accelerator is Accelerator.KVM else "max"]


def _arguments(machine: GuestMachine, folder: Path, accelerator: Accelerator) -> list[str]:
    """Return QEMU's arguments for everything but the firmware."""
    argv = [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-monitor",
        "none",
        "-no-reboot",
        *_processor(accelerator),
    ]
    argv += ["-m", str(machine.memory_mib), "-smp", str(machine.cpus)]
    for number, name in enumerate((_CONSOLE, _REPORT)):
        argv += ["-chardev", f"file,id=s{number},path={qemu_value(folder.absolute() / name)}"]
        argv += ["-serial", f"chardev:s{number}"]
    argv += ["-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0", "-device", "virtio-rng-pci"]
    disk = f"if=none,id=d0,format=qcow2,discard=unmap,detect-zeroes=unmap,file={qemu_value(machine.disk.absolute())}"
    argv += ["-drive", disk, "-device", f"virtio-blk-pci,drive=d0{',bootindex=0' if machine.kernel is None else ''}"]
    for number, cd in enumerate(machine.cds):
        drive = f"if=none,id=c{number},format=raw,media=cdrom,readonly=on,file={qemu_value(cd.absolute())}"
        argv += ["-drive", drive, "-device", f"ide-cd,bus=ide.{number},drive=c{number}"]
    if machine.kernel is not None:
        argv += ["-kernel", str(machine.kernel.kernel), "-initrd", str(machine.kernel.initrd)]
        argv += ["-append", machine.kernel.arguments]
    return argv


def _firmware_arguments(folder: Path) -> list[str]:
    code, variables = find_firmware()
    own = shutil.copy(variables, folder / "variables")
    argv = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
    return [*argv, "-drive", f"if=pflash,unit=1,format=raw,file={own}"]


def _start(argv: list[str], errors: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 (argv is a list; no shell reads it)
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
    except OSError as error:
        raise UsageError(f"{argv[0]}: {error.strerror}", hint="package qemu-system-x86 (EL: qemu-kvm)") from error


def _wait(process: subprocess.Popen[bytes], until: float) -> int | None:
    """Return QEMU's exit code; None when it still runs after ``until`` (monotonic clock)."""
    while (returned := process.poll()) is None:
        if time.monotonic() > until:
            return None
        time.sleep(_POLL_S)
    return returned
