"""The look-alikes' init resolves boot arguments as the Anaconda of its generation does, told by booting it alone."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.rigs.boot import BootResult, boot_kernel
from tests.rigs.debian import load_kernel
from tests.rigs.initramfs import make_archive, make_initrd
from tests.rigs.process import run_tool
from tests.rigs.stock_loaders import make_fat
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.vm

KICKSTART = b"# a kickstart\ntext\n"
SHA256 = hashlib.sha256(KICKSTART).hexdigest()
NIGHTLY = pytest.mark.nightly


def make_stick(folder: Path, volume_id: str, *, fat: bool = False) -> Path:
    """A stick with /ks.cfg and /b2ct/cn01.ks: an ISO 9660 volume, or FAT."""
    files = {"ks.cfg": folder / "ks.cfg", "b2ct/cn01.ks": folder / "ks.cfg"}
    files["ks.cfg"].write_bytes(KICKSTART)
    out = folder / "stick.img"
    if fat:
        make_fat(out, 4096, volume_id, files)
    else:
        grafts = [f"{name}={path}" for name, path in files.items()]
        run_tool(["xorrisofs", "-quiet", "-R", "-J", "-V", volume_id, "-o", out, "-graft-points", *grafts])
    return out


def boot_init(generation: int, arguments: str, stick: Path) -> BootResult:
    need_tool("qemu-system-x86_64", "xorrisofs", "mkfs.fat", "mcopy", "apt-get")
    return boot_kernel(load_kernel().vmlinuz, make_initrd(generation), arguments, disk=stick)


@pytest.mark.parametrize(
    ("generation", "argument", "volume_id", "path"),
    [
        pytest.param(6, "ks=hd:LABEL=CENTOS:/b2ct/cn01.ks", "CENTOS", "/b2ct/cn01.ks", id="el6"),
        pytest.param(
            7, r"ks=hd:LABEL=CentOS\x207\x20x86_64", "CentOS 7 x86_64", "/ks.cfg", marks=NIGHTLY, id="el7-blank"
        ),
        pytest.param(8, "ks=hd:LABEL=B2CT:/b2ct/cn01.ks", "B2CT", "/b2ct/cn01.ks", marks=NIGHTLY, id="el8-bare-name"),
        pytest.param(9, "inst.ks=hd:LABEL=B2CT:/b2ct/cn01.ks", "B2CT", "/b2ct/cn01.ks", id="el9"),
        pytest.param(10, "inst.ks=hd:sda:/ks.cfg", "B2CT", "/ks.cfg", marks=NIGHTLY, id="el10-device"),
    ],
)
def test_kickstart_is_found_where_the_argument_says(
    generation: int, argument: str, volume_id: str, path: str, tmp_path: Path
) -> None:
    fields = boot_init(generation, argument, make_stick(tmp_path, volume_id)).fields
    assert fields["ks-device"] == "/dev/sda"
    assert fields["ks-path"] == path
    assert fields["ks-sha256"] == SHA256
    assert fields["ks-size"] == str(len(KICKSTART))


@pytest.mark.parametrize(
    ("generation", "argument", "volume_id"),
    [
        pytest.param(6, "inst.ks=hd:LABEL=B2CT:/ks.cfg", "B2CT", id="el6-knows-ks-only"),
        pytest.param(9, "ks=hd:LABEL=B2CT:/ks.cfg", "B2CT", id="el9-knows-inst.ks-only"),
        pytest.param(6, "quiet", "OEMDRV", marks=NIGHTLY, id="el6-has-no-oemdrv"),
    ],
)
def test_a_name_that_the_generation_does_not_know_starts_an_interactive_installation(
    generation: int, argument: str, volume_id: str, tmp_path: Path
) -> None:
    fields = boot_init(generation, argument, make_stick(tmp_path, volume_id)).fields
    assert fields["ks"] == "none interactive install"
    assert "ks-sha256" not in fields


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("generation", "argument"),
    [
        pytest.param(6, r"ks=hd:LABEL=CentOS\x207:/ks.cfg", id="el6-decodes-no-blank"),
        pytest.param(9, "inst.ks=hd:LABEL=centos_7:/ks.cfg", id="label-in-other-case"),
        pytest.param(9, "inst.ks=cdrom:/ks.cfg", id="no-cd-drive"),
    ],
)
def test_a_device_that_is_not_there_is_an_error(generation: int, argument: str, tmp_path: Path) -> None:
    fields = boot_init(generation, argument, make_stick(tmp_path, "CentOS 7")).fields
    assert fields["error"].startswith("no ")
    assert "ks-sha256" not in fields


@pytest.mark.nightly
def test_oemdrv_is_used_when_no_kickstart_is_named(tmp_path: Path) -> None:
    fields = boot_init(9, "quiet", make_stick(tmp_path, "OEMDRV", fat=True)).fields
    assert (fields["ks-path"], fields["ks-sha256"]) == ("/ks.cfg", SHA256)


@pytest.mark.nightly
def test_kickstart_in_a_second_initrd_is_found(tmp_path: Path) -> None:
    both = tmp_path / "initrd.img"
    second = gzip.compress(make_archive({"b2ct/cn01.ks": KICKSTART}), mtime=0)
    first = make_initrd(9).read_bytes()
    both.write_bytes(first + bytes(-len(first) % 4) + second)
    stick = make_stick(tmp_path, "B2CT")
    fields = boot_kernel(load_kernel().vmlinuz, both, "inst.ks=file:/b2ct/cn01.ks", disk=stick).fields
    assert (fields["ks-device"], fields["ks-sha256"]) == ("initrd", SHA256)
