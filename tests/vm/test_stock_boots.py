"""Every unmodified look-alike boots in its four ways and starts the installer as its menu says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.boot import OVMF_CODE, Firmware, Medium, boot_ways
from tests.rigs.stock import StockKind
from tests.rigs.stock_release import make_release
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rigs.boot import BootResult

pytestmark = pytest.mark.vm

CHOOSE_INSTALL = ("up", "ret")
"""From the default entry, the media check, to the one above it."""


def is_nightly(kind: StockKind, medium: Medium) -> bool:
    """What is too slow for every commit: sticks made from boot ISOs show the most."""
    return kind.is_dvd or medium is Medium.CD


CASES = [
    pytest.param(kind, medium, marks=[pytest.mark.nightly] if is_nightly(kind, medium) else [], id=f"{kind}-{medium}")
    for kind in StockKind
    for medium in Medium
]


def installer_arguments(result: BootResult) -> list[str]:
    """The kernel's command line without what the boot loader adds to it."""
    words = result.fields["cmdline"].split()
    return [word for word in words if not word.startswith(("BOOT_IMAGE=", "initrd="))]


@pytest.mark.parametrize(("kind", "medium"), CASES)
def test_stock_starts_the_installer(kind: StockKind, medium: Medium, get_stock: Callable[[StockKind], Path]) -> None:
    need_tool("qemu-system-x86_64", str(OVMF_CODE))
    # EL6's EFI menu is hidden and takes its only entry after 5 s
    ways = [(Firmware.BIOS, medium), (Firmware.UEFI, medium)]
    if kind.generation == 6:
        results = boot_ways(get_stock(kind), ways[:1], keys=("ret",)) + boot_ways(get_stock(kind), ways[1:])
    else:
        results = boot_ways(get_stock(kind), ways, keys=CHOOSE_INSTALL)
    for firmware, result in zip(Firmware, results, strict=True):
        check_stock_report(kind, firmware, medium, result)


def check_stock_report(kind: StockKind, firmware: Firmware, medium: Medium, result: BootResult) -> None:
    label = make_release(kind).volume_id.replace(" ", r"\x20")
    if firmware is Firmware.UEFI:
        label = label.replace("\\", "")  # upstream's GRUB 2, not Red Hat's: see stock_loaders
    expected = [] if kind.generation == 6 else [f"inst.stage2=hd:LABEL={label}", "quiet"]
    assert installer_arguments(result) == expected
    assert result.fields["generation"] == str(kind.generation)
    assert result.fields["ks"] == "none interactive install"
    if kind.generation == 6 and medium is Medium.USB:
        assert result.fields["stage2"] == "missing"  # nothing names it, and without a name only CD drives are tried
    else:
        assert result.fields["stage2"] == "found"
        assert result.fields["stage2-path"] == f"/{make_release(kind).stage2_path}"
