"""A stock cloud image changes itself into a golden image, which passes its check and boots; what fails is told.

The stock image is a Debian 12 built from packages, without the VM agent: as a distributor's, but at hand.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.build import build_image
from b2ct.apply.image.builder import ImageRequest
from b2ct.apply.image.check import check_image
from b2ct.apply.image.from_cloud_image import copy_stock, write_seed
from b2ct.apply.image.guest_boot import GuestError, GuestMachine, find_accelerator, run_guest
from b2ct.assets import Assets
from b2ct.plan.image import BootMode, Method, load_image_description
from tests.rigs.fresh import find_mirror, read_sources
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.plan.image import ImageDescription

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

GIB = 1024**3
SPEAK = "exec >/dev/ttyS1; echo; echo SPEAKS; {}; sync; systemctl poweroff --force"


def make_description(**changes: object) -> ImageDescription:
    description = load_image_description(Assets(), "worker-debian12")
    bare = {"packages": (), "repositories": (), "repository_packages": ()}
    return description.model_copy(update={**bare, **changes})


def make_request(description: ImageDescription, out: Path, mirror: str) -> ImageRequest:
    return ImageRequest(description, Assets(), out, mirror=mirror, with_repositories=False)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stock image; leave it unchanged."""
    need_root()
    need_tool("mmdebstrap", "qemu-system-x86_64", "qemu-img", "grub-fstest", "sfdisk", "mke2fs")
    out = tmp_path_factory.mktemp("stock") / "stock.qcow2"
    mirror = find_mirror(read_sources(), "bookworm")
    build_image(make_request(make_description(name="stock", agent=False, size=2 * GIB), out, mirror))
    return out


@pytest.fixture(scope="module")
def golden(stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What becomes of it."""
    out = tmp_path_factory.mktemp("golden") / "golden.qcow2"
    description = make_description(name="golden", method=Method.CLOUD_IMAGE, packages=("jq",), size=3 * GIB)
    begin = time.monotonic()
    record = build_image(make_request(description, out, str(stock)))
    seconds, size_mib = time.monotonic() - begin, record.bytes // 1024**2
    sys.stderr.write(f"\ncustomised in {seconds:.0f} s ({find_accelerator()}); {size_mib} MiB\n")
    return out


def speak(disk: Path, folder: Path, commands: str, firmware: BootMode = BootMode.BIOS) -> str:
    """Start a machine from a copy of ``disk``, let it run ``commands`` as its user-data, and return what they print."""
    copy, seed = folder / "copy.qcow2", folder / "seed.iso"
    copy_stock(disk, copy, 4 * GIB)
    user_data = json.dumps({"runcmd": [["sh", "-c", SPEAK.format(commands)]]})  # JSON is YAML
    meta_data = json.dumps({"instance-id": "speaks", "local-hostname": "speaks"})
    write_seed(seed, f"#cloud-config\n{user_data}\n", meta_data)
    said = run_guest(GuestMachine(copy, (seed,), firmware), folder, timeout_s=900).report.replace("\r", "")
    return said.partition("\nSPEAKS\n")[2]  # OVMF writes to this port as well


def test_the_golden_image_passes_its_check(golden: Path) -> None:
    report = check_image(golden)
    assert [check for check in report.checks if not check.ok] == []
    assert report.agent
    assert report.boot == (BootMode.BIOS, BootMode.UEFI)


def test_the_record_lists_what_was_installed(golden: Path, stock: Path) -> None:
    record = json.loads(golden.with_name("golden.qcow2.json").read_text())
    assert "jq" in {package["name"] for package in record["packages"]}
    assert record["built_from"] == [str(stock)]
    assert record["virtual_bytes"] == 3 * GIB


def test_the_stock_image_stays_as_it_was(golden: Path, stock: Path) -> None:
    assert golden.is_file()
    before = json.loads(stock.with_name("stock.qcow2.json").read_text())
    assert run_tool(["sha256sum", stock]).split()[0] == before["sha256"]


@pytest.mark.parametrize("firmware", BootMode)
def test_a_machine_of_it_starts_as_one_of_its_own(golden: Path, tmp_path: Path, firmware: BootMode) -> None:
    commands = "cat /etc/machine-id; hostname; jq --version; df -B1 --output=size / | tail -n 1"
    commands += (
        "; ls -1 /etc/ssh/ssh_host_*; systemctl is-enabled b2ct-vm-agent.service; ls /run/b2ct-image || echo no helpers"
    )
    machine_id, name, jq, size, *rest = speak(golden, tmp_path, commands, firmware).splitlines()
    assert re.fullmatch("[0-9a-f]{32}", machine_id)
    assert (name, jq.startswith("jq-1")) == ("speaks", True)
    assert int(size) > 3 * GIB
    assert "/etc/ssh/ssh_host_ed25519_key" in rest
    assert rest[-2:] == ["enabled", "no helpers"]


def test_a_package_that_is_not_there_is_told_and_leaves_nothing(stock: Path, tmp_path: Path) -> None:
    description = make_description(method=Method.CLOUD_IMAGE, agent=False, packages=("no-such-package",), size=2 * GIB)
    with pytest.raises(GuestError, match="the guest failed while installing packages") as raised:
        build_image(make_request(description, tmp_path / "out.qcow2", str(stock)))
    assert "Unable to locate package no-such-package" in raised.value.message
    assert list(tmp_path.iterdir()) == []
