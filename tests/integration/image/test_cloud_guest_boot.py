"""Machines that run once: boot sectors that speak on both serial ports and power off, hang, or are not there."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.guest_boot import Accelerator, GuestError, GuestMachine, can_run, find_accelerator, run_guest
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

_SAY = (
    "31c0 8ed8 fc"  # xor ax,ax; mov ds,ax; cld
    "be {text} baf803 ac 84c0 7403 ee ebf8"  # mov si,text; mov dx,0x3f8; next: lodsb; test al,al; jz end; out dx,al
    "be {text} baf802 ac 84c0 7403 ee ebf8"  # the same to the second port, 0x2f8
)
_POWER_OFF = "ba0406 b80020 ef f4"  # mov dx,0x604; mov ax,0x2000; out dx,ax (ACPI's soft off on q35); hlt
_HANG = "f4 ebfd"


def make_disk(folder: Path, end: str, text: bytes = b"hello from the sector\r\n") -> Path:
    need_tool("qemu-system-x86_64", "qemu-img")
    code = bytes.fromhex(_SAY.format(text="0000") + end)
    at = (0x7C00 + len(code)).to_bytes(2, "little").hex()
    code = bytes.fromhex(_SAY.format(text=at) + end)
    raw, disk = folder / "disk.raw", folder / "disk,with=commas.qcow2"
    raw.write_bytes(((code + text + b"\0").ljust(510, b"\0") + b"\x55\xaa").ljust(8 * 1024**2, b"\0"))
    run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk])
    return disk


def test_a_machine_runs_until_it_is_off_and_both_ports_are_read(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = tmp_path / "logs, and more"
    folder.mkdir()
    said = run_guest(GuestMachine(make_disk(tmp_path, _POWER_OFF)), folder, timeout_s=60, log=lines.append)
    assert "hello from the sector" in said.console
    assert said.report == "hello from the sector\r\n"
    assert "console.log" in lines[0]


def test_a_machine_that_hangs_is_ended_and_quoted(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(GuestError, match="not done after 8 s; it said last:\nhello from the sector"):
        run_guest(GuestMachine(make_disk(tmp_path, _HANG)), tmp_path, timeout_s=8)
    assert time.monotonic() - begin < 60
    words = [cmdline for cmdline in _command_lines() if str(tmp_path) in cmdline]
    assert words == []


def test_what_qemu_says_is_told(tmp_path: Path) -> None:
    need_tool("qemu-system-x86_64")
    (tmp_path / "disk.qcow2").write_bytes(b"no disk")
    with pytest.raises(GuestError, match=r"QEMU ended with exit code 1: .*not in qcow2 format"):
        run_guest(GuestMachine(tmp_path / "disk.qcow2"), tmp_path, timeout_s=60)


def test_without_kvm_it_is_emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("b2ct.apply.image.guest_boot._KVM", tmp_path / "none")
    assert find_accelerator() is Accelerator.TCG


def test_what_asks_for_kvm_really_runs_a_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    need_tool("qemu-system-x86_64")
    assert can_run(Accelerator.TCG)
    monkeypatch.setattr("b2ct.apply.image.guest_boot._PROBE", b"\xf4\xeb\xfd")  # a guest that does not power off
    monkeypatch.setattr("b2ct.apply.image.guest_boot._PROBE_TIMEOUT_S", 5)
    assert not can_run(Accelerator.TCG)


def _command_lines() -> list[str]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:  # noqa: PTH123 - no path of ours
                    words = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words.startswith("qemu-system") or "/qemu-system" in words.split(" ", 1)[0]:
                found.append(words)
    return found
