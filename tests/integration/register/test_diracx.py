"""register against a real DiracX: whether it knows the site, and whether the site's token is good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from tests.rigs.diracx.service import VO, DiracxService
from tests.rigs.tools import need_tool
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiracxService]:
    need_tool("git")
    with DiracxService(tmp_path_factory.mktemp("diracx")) as running:
        yield running


def register(url: str, folder: Path, *options: str, vo: str = VO) -> int:
    central = {"kind": "diracx", "url": url, "site_name": "CLOUD.Torino.it", "token": "file:token"}
    site = {**SITE, "vo": [{"name": vo, "cvmfs": ["belle.cern.ch"]}], "central": central}
    (folder / "site.yaml").write_text(json.dumps(site))
    return cli.main(["register", str(folder / "site.yaml"), *options])


def test_a_token_is_used_and_the_next_one_kept(
    service: DiracxService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(service.mint_refresh_token())
    before = token.read_text()
    assert register(service.url, tmp_path, "--check") == 0
    out = capsys.readouterr().out
    assert "GenericPilot" in out
    assert "this DiracX shows no sites" in out
    assert token.read_text() != before
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().strip() not in out
    assert register(service.url, tmp_path, "--check", "--json") == 0
    report = json.loads(capsys.readouterr().out)["diracx"]
    assert [check[:2] for check in report["checks"]] == [["token", "ok"], [f"vo {VO}", "ok"], ["site", "skipped"]]


def test_a_community_that_diracx_does_not_know(
    service: DiracxService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(service.mint_refresh_token())
    assert register(service.url, tmp_path, "--check", vo="belle") == ExitCode.FAILED
    assert "DiracX does not know it" in capsys.readouterr().out


def test_a_token_that_is_none(service: DiracxService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("S3CRET")
    assert register(service.url, tmp_path) == ExitCode.FAILED
    captured = capsys.readouterr()
    assert "central.token holds no token" in captured.out
    assert "S3CRET" not in captured.out + captured.err


def test_a_token_that_was_used_before_is_refused(
    service: DiracxService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(service.mint_refresh_token())
    used = (tmp_path / "token").read_text()
    register(service.url, tmp_path, "--check")
    (tmp_path / "token").write_text(used)
    capsys.readouterr()
    assert register(service.url, tmp_path, "--check") == ExitCode.REMOTE
    assert "DiracX refuses the refresh token" in capsys.readouterr().err


def test_changes_are_refused(service: DiracxService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(service.url, tmp_path, "--push") == ExitCode.USAGE
    assert "DiracX takes no changes" in capsys.readouterr().err


def test_a_diracx_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("e30.eyJhIjoxfQ.x")
    assert register("http://127.0.0.1:1", tmp_path, "--check") == ExitCode.REMOTE
    assert "does DiracX run" in capsys.readouterr().err
