"""Every image is finished alike: compressed qcow2, checksums, a record; half-made ones never appear."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.build import BUILDERS, build_image, check_mirrors
from b2ct.apply.image.builder import ImageRequest, MadeDisk
from b2ct.apply.tool import Program, ToolError, find_telling_lines, need_programs, run_tool
from b2ct.assets import Assets
from b2ct.cli.interrupt import terminated_as_interrupt
from b2ct.errors import OutputError, UsageError
from b2ct.plan.image import ImageDescription, Method
from b2ct.plan.image_record import read_record
from tests.rigs.tools import need_tool
from tests.unit.plan.images import DESCRIPTION

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 32 * 1024**2


class FilledDisk:
    """Makes a disk of zeros with something at its end."""

    end = b"end"

    def programs(self, description: ImageDescription) -> tuple[Program, ...]:
        assert description.name == "worker-x"
        return ()

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        assert not list(workspace.iterdir())
        assert request.description is description
        disk = workspace / "disk.raw"
        with disk.open("wb") as file:
            file.seek(SIZE - len(self.end))
            file.write(self.end)
        return MadeDisk(disk, (("zsh", "1"), ("bash", "2:3~4")), ("http://mirror.example/debian bookworm",))


class BrokenDisk(FilledDisk):
    """Fails after it has made its disk."""

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        super().make_disk(description, request, workspace)
        run_tool(["false"])
        raise AssertionError


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need_tool("qemu-img")
    monkeypatch.setitem(BUILDERS, Method.DEBOOTSTRAP, FilledDisk())
    return tmp_path / "new" / "worker.qcow2"


def request(out: Path, *, force: bool = False) -> ImageRequest:
    return ImageRequest(DESCRIPTION, Assets(), out, force=force)


def test_the_image_is_compressed_and_sparse_without_backing_file(out: Path) -> None:
    build_image(request(out))
    facts = json.loads(run_tool(["qemu-img", "info", "--output=json", out]))
    assert facts["format"] == "qcow2"
    assert facts["virtual-size"] == SIZE
    assert facts["format-specific"]["data"]["compat"] == "1.1"
    assert facts["format-specific"]["data"]["compression-type"] == "zlib"
    assert "backing-filename" not in facts
    assert out.stat().st_size < SIZE // 50
    assert out.stat().st_mode & 0o777 == 0o644


def test_the_record_beside_it_says_what_it_is(out: Path) -> None:
    record = build_image(request(out))
    path = out.with_name("worker.qcow2.json")
    assert read_record(path.read_text(encoding="utf-8"), str(path)) == record
    assert record.file == out.name
    assert record.bytes == out.stat().st_size
    assert record.virtual_bytes == SIZE
    assert record.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert record.md5 == hashlib.md5(out.read_bytes(), usedforsecurity=False).hexdigest()
    assert [package.name for package in record.packages] == ["bash", "zsh"]
    assert record.agent_version


def test_the_record_says_what_was_left_out(out: Path) -> None:
    record = build_image(replace(request(out), with_repositories=False))
    assert record.left_out == ("cvmfs",)
    assert build_image(request(out, force=True)).left_out == ()


@pytest.mark.parametrize("option", ["--mirror", "--security-mirror"])
@pytest.mark.parametrize("place", ["htp://foo", "ftp://foo/x", "http:///debian", "http://[", "file:///srv", "debian"])
def test_a_mirror_that_is_no_address_is_refused_before_anything_starts(out: Path, option: str, place: str) -> None:
    mirror, security_mirror = (place, None) if option == "--mirror" else (None, place)
    wanted = replace(request(out), mirror=mirror, security_mirror=security_mirror)
    with pytest.raises(UsageError, match=re.escape(f"{option} {place}: not the address")) as caught:
        build_image(wanted)
    assert caught.value.hint == "an address begins with http:// or https://"
    assert not out.parent.exists()


def test_a_stock_image_may_be_a_file(tmp_path: Path) -> None:
    description = DESCRIPTION.model_copy(update={"method": Method.CLOUD_IMAGE})
    mirrored = ImageRequest(description, Assets(), tmp_path / "x.qcow2", mirror="stock.qcow2")
    check_mirrors(mirrored)
    with pytest.raises(UsageError, match="--mirror htp://foo: not the address of a server") as caught:
        check_mirrors(replace(mirrored, mirror="htp://foo"))
    assert caught.value.hint
    assert "or give the path of a file" in caught.value.hint


def test_the_same_disk_gives_the_same_image(out: Path) -> None:
    first = build_image(request(out))
    assert build_image(request(out, force=True)) == first


def test_an_image_that_is_there_is_only_replaced_by_force(out: Path) -> None:
    out.parent.mkdir()
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        build_image(request(out))
    assert out.read_bytes() == b"mine"
    build_image(request(out, force=True))
    assert out.read_bytes()[:4] == b"QFI\xfb"


def test_nothing_is_left_of_a_build_that_failed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, Method.DEBOOTSTRAP, BrokenDisk())
    with pytest.raises(ToolError, match="failed with exit code 1"):
        build_image(request(out))
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_build_that_was_ended(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    class Ended(FilledDisk):
        def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
            super().make_disk(description, request, workspace)
            run_tool(["sh", "-c", f"sleep 0.3; kill -{number.value} {os.getpid()}; exec sleep 60"])
            raise AssertionError

    monkeypatch.setitem(BUILDERS, Method.DEBOOTSTRAP, Ended())
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupt():
        build_image(request(out))
    assert not list(out.parent.iterdir())
    assert signal.getsignal(number) is before


def test_a_folder_in_the_image_s_place_is_refused_at_once(out: Path) -> None:
    out.mkdir(parents=True)
    with pytest.raises(OutputError, match="is not a regular file"):
        build_image(request(out, force=True))


def test_a_full_disk_is_told_as_such() -> None:
    with pytest.raises(ToolError) as caught:
        run_tool(["sh", "-c", "echo write failed: No space left on device >&2; exit 1"])
    assert caught.value.hint == "the disk is full: make room, or write elsewhere"


def test_a_failed_tool_says_what_ran_and_what_it_wrote() -> None:
    with pytest.raises(ToolError) as caught:
        run_tool(["sh", "-c", "echo out; echo sorry >&2; exit 3"])
    assert caught.value.returned == 3
    assert caught.value.stdout == "out\n"
    assert caught.value.message == "sh failed with exit code 3\nsorry"


def test_of_a_long_log_only_what_tells_the_reason_is_shown() -> None:
    lines = [*(f"Get:{n} http://mirror.example/x libgpg-error0" for n in range(30)), "E: no {1..9}", "x" * 2000]
    with pytest.raises(ToolError) as caught:
        run_tool(["sh", "-c", 'printf "%s\\n" "$@" >&2; exit 25', "sh", *lines, *(f"I: step {n}" for n in range(9))])
    first, *shown = caught.value.message.splitlines()
    assert first == "sh failed with exit code 25"
    assert shown == ["E: no {1..9}", *(f"I: step {n}" for n in range(4, 9))]
    assert max(map(len, find_telling_lines("\n".join(lines)))) == 300
    assert lines[-1] in caught.value.stderr


def test_a_program_behind_another_is_the_one_that_is_named() -> None:
    with pytest.raises(ToolError, match=r"^mmdebstrap failed with exit code 1$"):
        run_tool(["env", "sh", "-c", "exit 1"], program="mmdebstrap")


def test_a_tool_that_hangs_is_ended() -> None:
    with pytest.raises(ToolError, match="took too long\nstarted") as caught:
        run_tool(["sh", "-c", "echo started; exec sleep 60"], timeout_s=0.5)
    assert caught.value.returned is None


def test_a_tool_that_is_not_there_is_a_failed_tool() -> None:
    with pytest.raises(ToolError, match="b2ct-no-such-tool"):
        run_tool(["b2ct-no-such-tool"])


def test_all_missing_programs_are_told_at_once_with_their_packages() -> None:
    programs = (
        Program("sh", debian="dash", el="bash"),
        Program("b2ct-no-such-tool", debian="deb-one", el="el-one"),
        Program("/no/such/file", debian="deb-two", el=None),
    )
    with pytest.raises(UsageError, match="missing: b2ct-no-such-tool, /no/such/file") as caught:
        need_programs(programs)
    assert caught.value.hint == (
        "on Debian and Ubuntu: apt-get install deb-one deb-two; on EL: dnf install el-one; EL has no /no/such/file"
    )
    need_programs(programs[:1])
