"""The commands about images, as a person sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.checks import Check
from b2ct.apply.image.check import ImageCheck
from b2ct.apply.image.check_layout import Partition, PartitionKind
from b2ct.apply.image.qcow2 import DiskFormat
from b2ct.cli import image_commands
from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from tests.unit.plan.test_image_record import RECORD

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
FOUND = ImageCheck(
    path="x.img",
    ok=True,
    format=DiskFormat.RAW,
    bytes=10 * GIB,
    disk_bytes=3 * 1024**2,
    virtual_bytes=10 * GIB,
    compressed=False,
    sha256="0" * 64,
    md5="0" * 32,
    table="gpt",
    partitions=(
        Partition(1, 1024**2, 1024**2, PartitionKind.BIOS_BOOT, ""),
        Partition(2, 2 * 1024**2, 9 * GIB, PartitionKind.DATA, "ext4"),
    ),
    boot=(),
    system="",
    contextualization=(),
    agent=False,
    cvmfs=False,
    checks=(Check("format", ok=True, detail="raw"), Check("CVMFS client", ok=True, detail="absent: workers need it")),
)


def test_sizes_and_partitions_are_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_commands, "check_image", lambda *_, **__: FOUND)
    assert cli.main(["image", "check", "x.img"]) == ExitCode.DONE
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "file:         x.img (10.0 GiB, takes 3 MiB)"
    assert "  1: 1 MiB at 1 MiB, BIOS boot" in lines
    assert "  2: 9.0 GiB at 2 MiB, data, ext4" in lines
    assert "ok  format        raw" in lines
    assert "-   CVMFS client  absent: workers need it" in lines


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_build_ends_with_what_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    record = RECORD.model_copy(update={"left_out": ("cvmfs",)})
    monkeypatch.setattr(image_commands, "build_image", lambda _: record)
    assert cli.main(["image", "build", "worker-el9", "--without-repositories", *form]) == ExitCode.DONE
    assert capsys.readouterr().err.splitlines()[-1] == f"warning: {record.warning}"
    monkeypatch.setattr(image_commands, "build_image", lambda _: RECORD)
    assert cli.main(["image", "build", "worker-el9", *form]) == ExitCode.DONE
    assert "warning" not in capsys.readouterr().err


def test_a_site_s_own_description_is_found_and_judged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "overrides/templates/images/mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: mine\n")
    assert cli.main(["image", "build", "none"]) == ExitCode.USAGE
    assert "mine, squid-debian12" in capsys.readouterr().err
    assert cli.main(["image", "build", "mine"]) == ExitCode.SITE_FILE
    said = capsys.readouterr().err
    assert "overrides/templates/images/mine.yaml:1: method: is missing" in said
    assert "takes the place of nothing" not in said


@pytest.mark.parametrize("epoch", ["", "-1", "x", "4294967296", "٣"])
def test_a_wrong_time_stamp_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert cli.main(["image", "build", "worker-el9"]) == ExitCode.USAGE
    assert "SOURCE_DATE_EPOCH is" in capsys.readouterr().err
