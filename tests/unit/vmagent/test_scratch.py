from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import scratch
from b2ct_vmagent.checks import State
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.scratch import check_scratch, prepare_scratch
from b2ct_vmagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VDB = Settings(scratch="/dev/vdb")
MIB = 1 << 20


class Machine:
    """Answers for blkid, mkfs.ext4 and mount, and remembers who was called."""

    def __init__(self, **answers: Done) -> None:
        self.answers = {"blkid": Done(2, ""), "mkfs": Done(0, ""), "mount": Done(0, "")} | answers
        self.called: list[str] = []

    def __call__(self, argv: Sequence[str], timeout_s: float) -> Done:
        assert timeout_s > 0
        name = argv[0].removesuffix(".ext4")
        self.called.append(name)
        return self.answers[name]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/vdb").write_bytes(bytes(3 * MIB))
    return Paths(str(tmp_path))


def test_a_blank_disk_is_formatted_and_mounted(paths: Paths) -> None:
    run = Machine()
    check = prepare_scratch(paths, VDB, run)
    assert check.state is State.OK
    assert "newly formatted" in check.detail
    assert run.called == ["blkid", "mkfs", "mount"]
    assert check_scratch(paths, VDB) == check


def test_one_of_ours_is_mounted_again(paths: Paths) -> None:
    run = Machine(blkid=Done(0, "DEVNAME=/dev/vdb\nLABEL=b2ct-scratch\nTYPE=ext4"))
    assert prepare_scratch(paths, VDB, run).state is State.OK
    assert run.called == ["blkid", "mount"]


@pytest.mark.parametrize(
    "found",
    [
        Done(0, "TYPE=xfs\nLABEL=data"),
        Done(0, "PTTYPE=gpt"),
        Done(0, "TYPE=ext4\nLABEL=b2ct-scratch2"),
        Done(0, "LABEL_FATBOOT=b2ct-scratch\nTYPE=vfat"),
        Done(0, ""),
        Done(8, "ambivalent result"),
        Done(127, "blkid: No such file or directory"),
        Done(124, "no answer"),
    ],
)
def test_whatever_else_is_left_alone(paths: Paths, found: Done) -> None:
    run = Machine(blkid=found)
    check = prepare_scratch(paths, VDB, run)
    assert check.state is State.FAILED
    assert "left as it is" in check.detail
    assert run.called == ["blkid"]


@pytest.mark.parametrize("place", [0, MIB - 1, 2 * MIB, 3 * MIB - 1])
def test_data_that_blkid_does_not_know_is_left_alone(paths: Paths, tmp_path: Path, place: int) -> None:
    with (tmp_path / "dev/vdb").open("r+b") as disk:
        disk.seek(place)
        disk.write(b"x")
    run = Machine()
    assert prepare_scratch(paths, VDB, run).state is State.FAILED
    assert run.called == ["blkid"]


def test_an_empty_device_is_no_disk(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "dev/vdb").write_bytes(b"")
    assert prepare_scratch(paths, VDB, Machine()).state is State.FAILED


def test_no_disk_is_waited_for_and_told(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "WAIT_S", 0.0)
    (tmp_path / "dev/vdb").unlink()
    check = prepare_scratch(paths, VDB, Machine())
    assert (check.state, check.detail) == (State.FAILED, "/dev/vdb is not there")


@pytest.mark.parametrize("program", ["mkfs", "mount"])
def test_a_program_that_fails_is_told(paths: Paths, program: str) -> None:
    check = prepare_scratch(paths, VDB, Machine(**{program: Done(1, "it said so")}))
    assert check.state is State.FAILED
    assert "it said so" in check.detail


def test_none_is_asked_for(paths: Paths) -> None:
    assert prepare_scratch(paths, Settings(), Machine()).state is State.SKIPPED
    assert check_scratch(paths, Settings()).state is State.SKIPPED


def test_the_agent_believes_only_what_was_said_about_this_disk(paths: Paths, tmp_path: Path) -> None:
    assert check_scratch(paths, VDB).state is State.FAILED
    prepare_scratch(paths, VDB, Machine())
    assert check_scratch(paths, Settings(scratch="/dev/vdc")).state is State.FAILED
    for damaged in ("{", "[]", '{"device": "/dev/vdb"}', '{"device": "/dev/vdb", "state": "x", "detail": ""}'):
        (tmp_path / "run/b2ct-vm/scratch.json").write_text(damaged, encoding="ascii")
        assert check_scratch(paths, VDB).detail.endswith("is damaged")
