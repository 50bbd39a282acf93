"""The built ISO boots on BIOS and UEFI, from CD and USB, and the kickstart of the chosen host is found."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from tests.rigs.boot import Firmware, Medium, boot
from tests.rigs.local_disk import make_local_disk
from tests.rigs.media import build_media, read_sha256
from tests.rigs.stock_release import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.vm

EVERY_NIGHT = pytest.mark.nightly
FIRST_HOST = ("down", "ret")
"""Keys from the default entry, the local disk, to the first host."""


def _ways() -> list[object]:
    """Return every kind with every way to boot it; boot ISOs as USB sticks run always, the rest every night."""
    return [
        pytest.param(
            kind,
            firmware,
            medium,
            marks=[EVERY_NIGHT] if kind.is_dvd or medium is Medium.CD else [],
            id=f"{kind}-{firmware}-{medium}",
        )
        for kind, firmware, medium in product(StockKind, Firmware, Medium)
    ]


def _keys(kind: StockKind, firmware: Firmware) -> tuple[str, ...]:
    """Return the keys that start the first host; GRUB legacy (EL6 with UEFI) has no entry for the local disk."""
    return ("ret",) if kind.generation == 6 and firmware is Firmware.UEFI else FIRST_HOST


@pytest.mark.parametrize(("kind", "firmware", "medium"), _ways())
def test_the_kickstart_of_the_chosen_host_is_found(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, kind: StockKind, firmware: Firmware, medium: Medium
) -> None:
    need_tool("qemu-system-x86_64")
    iso = build_media(kind, get_stock(kind), tmp_path)
    result = boot(iso, firmware=firmware, medium=medium, keys=_keys(kind, firmware))
    assert result.fields.get("ks-path") == "/b2ct/cn01.ks", result.serial_text
    assert result.fields["ks-sha256"] == read_sha256(iso, "/b2ct/cn01.ks")
    assert result.fields["stage2"] == "found"


@pytest.mark.parametrize(
    ("kind", "firmware", "medium"),
    [
        pytest.param(StockKind.EL9_BOOT, Firmware.BIOS, Medium.USB),
        pytest.param(StockKind.EL9_BOOT, Firmware.UEFI, Medium.USB),
        pytest.param(StockKind.EL10_BOOT, Firmware.BIOS, Medium.USB),
        pytest.param(StockKind.EL10_BOOT, Firmware.BIOS, Medium.CD, marks=EVERY_NIGHT),
        pytest.param(StockKind.EL10_BOOT, Firmware.UEFI, Medium.CD, marks=EVERY_NIGHT),
        pytest.param(StockKind.EL7_BOOT, Firmware.BIOS, Medium.CD, marks=EVERY_NIGHT),
        pytest.param(StockKind.EL7_BOOT, Firmware.UEFI, Medium.USB, marks=EVERY_NIGHT),
        pytest.param(StockKind.EL6_BOOT, Firmware.BIOS, Medium.USB, marks=EVERY_NIGHT),
    ],
)
def test_the_machines_own_disk_is_booted_when_nobody_chooses(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, kind: StockKind, firmware: Firmware, medium: Medium
) -> None:
    need_tool("qemu-system-x86_64")
    iso = build_media(kind, get_stock(kind), tmp_path, "--timeout", "2")
    disk = make_local_disk(tmp_path / "disk.img")
    result = boot(iso, firmware=firmware, medium=medium, local_disk=disk)
    assert "local disk" in result.fields, result.serial_text


@pytest.mark.parametrize("firmware", Firmware)
def test_an_unattended_host_starts_by_itself(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, firmware: Firmware
) -> None:
    need_tool("qemu-system-x86_64")
    iso = build_media(
        StockKind.EL9_BOOT, get_stock(StockKind.EL9_BOOT), tmp_path, "--default", "hv01", "--timeout", "2"
    )
    result = boot(iso, firmware=firmware, medium=Medium.USB)
    assert result.fields.get("ks-path") == "/b2ct/hv01.ks", result.serial_text


@pytest.mark.parametrize(
    ("kind", "firmware"),
    [(StockKind.EL9_BOOT, Firmware.BIOS), (StockKind.EL10_BOOT, Firmware.UEFI), (StockKind.EL7_BOOT, Firmware.UEFI)],
)
def test_kickstarts_in_a_second_initrd_need_no_label(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, kind: StockKind, firmware: Firmware
) -> None:
    need_tool("qemu-system-x86_64")
    iso = build_media(kind, get_stock(kind), tmp_path, "--ks-in-initrd")
    result = boot(iso, firmware=firmware, medium=Medium.USB, keys=FIRST_HOST)
    assert "ks=file:/b2ct/cn01.ks" in result.fields.get("cmdline", ""), result.serial_text
    assert result.fields["ks-sha256"] == read_sha256(iso, "/b2ct/cn01.ks")


@pytest.mark.parametrize("firmware", Firmware)
def test_a_new_volume_id_is_found(get_stock: Callable[[StockKind], Path], tmp_path: Path, firmware: Firmware) -> None:
    need_tool("qemu-system-x86_64")
    iso = build_media(StockKind.EL7_BOOT, get_stock(StockKind.EL7_BOOT), tmp_path, "--volid", "LAB")
    result = boot(iso, firmware=firmware, medium=Medium.USB, keys=FIRST_HOST)
    assert "hd:LABEL=LAB:/b2ct/cn01.ks" in result.fields.get("cmdline", ""), result.serial_text
    assert result.fields["ks-sha256"] == read_sha256(iso, "/b2ct/cn01.ks")
    assert result.fields["stage2"] == "found"
