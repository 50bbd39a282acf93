"""marketplace build and bundle list, as a person sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from tests.rigs.bundles import write_bundle, write_image, write_record
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from tests.integration.marketplace.conftest import Client, Workshop

IMAGE = "worker-el9-1.0.0.qcow2"


@pytest.fixture
def here(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that commands run in: with a secret key, and no images."""
    workshop.images.mkdir(parents=True)
    (workshop.home / "b2ct.key").write_bytes(bytes(workshop.key.secret_key))
    monkeypatch.chdir(workshop.home)
    return workshop.home


def build(*arguments: str) -> int:
    return cli.main(
        ["marketplace", "build", "out", "--url", "https://one.example/b2ct", "--key", "b2ct.key", *arguments]
    )


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_image_without_cvmfs_is_published_with_a_warning(
    capsys: pytest.CaptureFixture[str], here: Path, form: list[str]
) -> None:
    write_record(write_image(here / "images" / IMAGE), left_out=("cvmfs",))
    assert build(*form) == ExitCode.DONE
    said = capsys.readouterr()
    (warning,) = (line for line in said.err.splitlines() if "READY" in line)  # several bundles have the image
    assert warning.startswith(f"warning: {IMAGE} was built without its repositories' packages, cvmfs")
    if form:
        assert json.loads(said.out)["warnings"] == [warning.removeprefix("warning: ")]


def test_each_file_that_is_not_there_is_told_once(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    write_record(write_image(here / "images" / IMAGE))
    assert build() == ExitCode.DONE
    said = capsys.readouterr().err
    assert "warning" not in said
    files = [line.rpartition(" ")[2] for line in said.splitlines() if line.startswith("not published")]
    assert len(files) == len(set(files)) == 4


def test_an_empty_disk_without_a_record_is_not_signed(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    need_tool("qemu-img")
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", here / "images" / IMAGE, "8M"])
    assert build() == ExitCode.FAILED
    said = capsys.readouterr().err
    assert f"images/{IMAGE} is no golden image: its disk has neither partition table nor boot record" in said
    assert f"`b2ct image check images/{IMAGE}` says more" in said
    assert not (here / "out").exists()


def test_bundle_list_says_where_bundles_come_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(Path("bundles/mine"), "mine")
    write_bundle(Path("elsewhere/theirs"), "theirs")
    assert cli.main(["bundle", "list", "--from", "elsewhere"]) == ExitCode.DONE
    head, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:3] == ["bundle", "version", "from"]
    assert {line[0]: line[2] for line in lines} == {
        "belle2-worker": "B2CT",
        "generic-worker": "B2CT",
        "squid": "B2CT",
        "mine": "bundles/",
        "theirs": "elsewhere/",
    }
    assert cli.main(["bundle", "list", "--json"]) == ExitCode.DONE
    mine = next(one for one in json.loads(capsys.readouterr().out)["bundles"] if one["name"] == "mine")
    assert (mine["from"], mine["title"], mine["images"][0]["guest"]) == ("bundles/", "A worker", "el9")


def test_a_bundle_of_a_repository_comes_from_its_address(client: Client) -> None:
    assert [bundle.origin for bundle in client.open().load_all()] == [client.web.url]
