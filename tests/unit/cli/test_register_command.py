from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from tests.unit.plan.test_agent import DIRAC
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from pathlib import Path

VMS = [{"bundle": "belle2-worker", "vo": "belle"}]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)


def register(folder: Path, *options: str, **top: Any) -> int:  # noqa: ANN401 - any YAML value
    path = folder / "site.yaml"
    path.write_text(json.dumps({**SITE, "vms": VMS, "central": {**DIRAC, "ca_path": "/"}, **top}))
    return cli.main(["register", str(path), "--out", str(folder / "out"), *options])


def test_it_writes_what_the_admins_need_and_nothing_over_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(tmp_path) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(tmp_path / "out" / f"torino{end}") for end in (".cfg", "-checklist.md")]
    assert "no host is registered: central.certificate" in captured.err
    assert register(tmp_path) == ExitCode.FAILED
    assert "--force" in capsys.readouterr().err
    assert register(tmp_path, "--force") == 0


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(tmp_path, "--dry-run") == 0
    assert "Nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_json_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(tmp_path, "--json") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["command"], document["mode"], document["applied"]) == ("register", "write", True)
    assert len(document["files"]) == 2
    assert captured.err == ""


@pytest.mark.parametrize(
    ("options", "top", "code", "said"),
    [
        (("--push", "--check"), {}, ExitCode.USAGE, "three different things"),
        (("--check",), {}, ExitCode.USAGE, "with which certificate?"),
        (("--push", "--certificate", "/none"), {}, ExitCode.USAGE, "/none: No such file"),
        (("--push", "--ca-path", "/none"), {}, ExitCode.USAGE, "/none: there are no certificate authorities here"),
        ((), {"central": None}, ExitCode.USAGE, "the site file names no central scheduler"),
        ((), {"vms": [{"bundle": "none", "vo": "belle"}]}, ExitCode.SITE_FILE, "vms.0.bundle: there is no bundle none"),
        ((), {"vms": []}, ExitCode.SITE_FILE, "vms: no worker of a community is listed"),
        ((), {"central": {**DIRAC, "certificate": "file:no", "key": "file:no"}}, ExitCode.USAGE, "file:no cannot be"),
    ],
)
def test_what_cannot_work_is_said(  # noqa: PLR0913, PLR0917 - cases and fixtures
    options: tuple[str, ...],
    top: dict[str, Any],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert register(tmp_path, *options, **top) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
