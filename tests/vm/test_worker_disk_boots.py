"""A disk as golden images have it boots with BIOS and UEFI; its root is tiny, so that this runs always."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.build import pack_disk
from b2ct.apply.image.disk import write_disk
from tests.rigs.boot import Firmware, boot_disk
from tests.rigs.tiny_root import make_tiny_root
from tests.rigs.tools import need_tool
from tests.unit.plan.images import EPOCH, PLAN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("sfdisk", "mke2fs", "mkfs.fat", "mcopy", "grub-mkimage", "qemu-img", "apt-get", "/bin/busybox")
    folder = tmp_path_factory.mktemp("tiny")
    write_disk(make_tiny_root(folder / "root", PLAN, "from the root"), PLAN, folder / "disk.raw", EPOCH)
    pack_disk(folder / "disk.raw", folder / "disk.qcow2")
    return folder / "disk.qcow2"


@pytest.mark.parametrize("firmware", list(Firmware))
def test_the_disk_boots_to_its_own_root(disk: Path, firmware: Firmware) -> None:
    need_tool("qemu-system-x86_64")
    result = boot_disk(disk, firmware=firmware)
    assert result.fields.get("firmware") == firmware, result.serial_text
    assert result.fields["note"] == "from the root"
    assert f"root=UUID={PLAN.root.uuid}" in result.fields["cmdline"]
    assert "console=ttyS0,115200n8" in result.fields["cmdline"]
