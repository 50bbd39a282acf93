"""register for an HTCondor pool: what its admins get, and the token, from a stand-in for condor_token_request."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.credentials.proxy import now_utc
from b2ct.apply.credentials.tokens import read_pool_tokens
from b2ct.apply.registration.pool import request_token
from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from b2ct.site.central import HtcondorScheduler
from tests.rigs.htcondor.pool import DOMAIN, start_pool
from tests.rigs.tools import need_root
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from pathlib import Path

POOL = {"kind": "htcondor", "central_manager": "condor.example.org", "trust_domain": "example.org"}
IDENTITY = "vm-belle-torino@example.org"
ADVERTISE = "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER condor:/READ"


def token(identity: str = IDENTITY, scope: str = ADVERTISE) -> str:
    claims = {"sub": identity, "iss": "example.org", "scope": scope, "exp": 4_000_000_000}
    parts = (json.dumps(part).encode() for part in ({"alg": "HS256"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2ln"])


def answer(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0) -> Path:
    """Put a condor_token_request on PATH that says ``text``, and return where it writes how it was called."""
    program, called = folder / "bin/condor_token_request", folder / "called"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\nset -e\necho \"$@\" >>{called}\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return called


def register(folder: Path, *options: str, **central: str) -> int:
    site = {**SITE, "central": {**POOL, "token": "file:secrets/pool", **central}}
    (folder / "site.yaml").write_text(json.dumps(site))
    return cli.main(["register", str(folder / "site.yaml"), *options])


def test_the_admins_get_a_configuration_and_a_checklist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert register(tmp_path, "--out", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "out/torino.config"),
        str(tmp_path / "out/torino-checklist.md"),
    ]
    assert IDENTITY in (tmp_path / "out/torino.config").read_text()
    assert f"condor_token_create -identity {IDENTITY}" in (tmp_path / "out/torino-checklist.md").read_text()


def test_a_token_is_asked_for_once_and_nobody_else_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = answer(tmp_path, monkeypatch, f"Ask an administrator to approve request 4711.\n{token()}")
    assert register(tmp_path, "--check") == ExitCode.FAILED
    assert f"no token: {IDENTITY}" in capsys.readouterr().out
    assert register(tmp_path, "--push", "--dry-run") == 0
    assert not called.exists()
    assert register(tmp_path, "--push") == 0
    captured = capsys.readouterr()
    assert "approve request 4711" in captured.err
    assert token() not in captured.out + captured.err
    path = tmp_path / "secrets/pool"
    assert (path.read_text(), path.stat().st_mode & 0o777) == (f"{token()}\n", 0o600)
    assert f"-pool condor.example.org:9618 -identity {IDENTITY} -lifetime 7776000 -authz" in called.read_text()
    assert register(tmp_path, "--push") == 0
    assert len(called.read_text().splitlines()) == 1
    assert register(tmp_path, "--check") == 0


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("ERROR: failed to connect", 1, "the pool gave no token for vm-belle-torino@example.org: ERROR: failed"),
        ("", 0, "it did not say why"),
        (token(scope=f"{ADVERTISE} condor:/WRITE"), 0, "allows more than to advertise"),
        (token("vm-t2k-torino@example.org"), 0, "a token for vm-t2k-torino@example.org, and not for"),
    ],
)
def test_what_is_no_token_for_us_is_refused_and_not_kept(  # noqa: PLR0913, PLR0917 - cases and fixtures
    text: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer(tmp_path, monkeypatch, text, code)
    assert register(tmp_path, "--push") == ExitCode.REMOTE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "secrets/pool").exists()


def test_without_the_program_or_a_file_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert register(tmp_path, "--push") == ExitCode.USAGE
    assert "condor_token_request is not installed" in capsys.readouterr().err
    assert register(tmp_path, "--push", token="env:TOKEN") == ExitCode.USAGE  # noqa: S106 - where it is
    assert "central.token: file:PATH" in capsys.readouterr().err
    assert register(tmp_path, "--remove") == ExitCode.USAGE
    assert "keeps no list of sites" in capsys.readouterr().err


def test_a_real_pool_gives_a_token_when_its_admins_approve_the_number_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_root()
    with start_pool(tmp_path / "pool", "torino", ["belle"]) as pool:
        program = tmp_path / "bin/condor_token_request"
        program.parent.mkdir()
        enter = f"nsenter --target {pool.central.leader} --mount --uts --ipc --net --pid --"
        program.write_text(f'#!/bin/sh\nexec {enter} condor_token_request "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        scheduler = HtcondorScheduler(kind="htcondor", central_manager=f"central.{DOMAIN}", trust_domain=DOMAIN)

        def approve(line: str) -> None:
            number = re.search(r"approve request ([0-9]+)", line)
            assert number, line
            pool.central.tell("condor_token_request_approve", "-reqid", number[1], data=b"yes\n")

        identity = f"vm-belle-torino@{DOMAIN}"
        request_token(scheduler, identity, tmp_path / "tokens", now_utc(), approve)
        assert set(read_pool_tokens((tmp_path / "tokens").read_text(), now_utc())) == {identity}
