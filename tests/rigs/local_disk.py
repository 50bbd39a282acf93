"""A machine's own disk that says on the serial port that it was booted, with BIOS and with UEFI."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

from tests.rigs.stock_loaders import make_fat, make_grub_efi

MESSAGE = "B2CT-RIG local disk"

_PRINT_AND_HALT = bytes.fromhex(
    "fa 31c0 8ed8"  # cli; xor ax,ax; mov ds,ax
    "be177c fc baf803"  # mov si,0x7c17 (the message); cld; mov dx,0x3f8 (first serial port)
    "ac 84c0 7403 ee ebf8"  # next: lodsb; test al,al; jz end; out dx,al; jmp next
    "f4 ebfd"  # end: hlt; jmp end
)
_START = f"serial --unit=0 --speed=115200\nterminal_output serial\necho '{MESSAGE}'\nhalt\n"
_SECTOR = 512
_ESP_START = 2048
_ESP_KIB = 4096


def make_local_disk(out: Path) -> Path:
    """Write the disk to ``out``, 5 MiB, and return it: an MBR that prints, and an ESP whose GRUB prints the same."""
    with tempfile.TemporaryDirectory() as tmp:
        loader, esp = Path(tmp) / "BOOTX64.EFI", Path(tmp) / "esp.img"
        make_grub_efi(loader, start=_START)
        make_fat(esp, _ESP_KIB, "LOCAL", {"EFI/BOOT/BOOTX64.EFI": loader})
        out.write_bytes(_make_mbr().ljust(_ESP_START * _SECTOR, b"\0") + esp.read_bytes())
    return out


def _make_mbr() -> bytes:
    """A master boot record with one partition of type 0xEF (UEFI specification 5.2.1)."""
    code = _PRINT_AND_HALT + MESSAGE.encode() + b"\r\n\0"
    beyond_chs = b"\xfe\xff\xff"
    sectors = _ESP_KIB * 1024 // _SECTOR
    entry = b"\x80" + beyond_chs + b"\xef" + beyond_chs + struct.pack("<II", _ESP_START, sectors)
    return code.ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa"
