"""Access tokens of a real DiracX: refreshed by the site, sealed for a machine, used by its reporter."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.diracx import DiracX, make_rows, make_stamp
from b2ct_vmagent.reports import News, Phase

from b2ct.apply.credentials.tokens import read_token, refresh_access_token
from b2ct.errors import B2ctError, RemoteError, UsageError
from tests.rigs.diracx.garbage import answer_all
from tests.rigs.diracx.service import VO, DiracxService
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.credentials.conftest import Place


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiracxService]:
    need_tool("git")
    with DiracxService(tmp_path_factory.mktemp("diracx")) as running:
        yield running


def write_token(folder: Path, token: str) -> Path:
    path = folder / "refresh.token"
    path.write_text(token + "\n")
    path.chmod(0o600)
    return path


def test_a_machine_reports_with_the_token_that_it_got(place: Place, service: DiracxService) -> None:
    refresh = write_token(place.folder, service.mint_refresh_token())
    first = refresh.read_text()
    central = {"kind": "diracx", "url": service.url, "site_name": "CLOUD.Torino.it", "token": "file:refresh.token"}
    place.write_site(central, vos=(VO, "belle"))
    place.users[VO] = place.one.add_user(VO, groups=(place.one.add_group(VO), 1))
    guest, other = (
        place.make_guest(place.start_vm(place.make_template(vo), vo), diracx_url=service.url) for vo in (VO, "belle")
    )
    for one in (guest, other):
        one.agent.step(time.time())
    assert place.acts("--dry-run")[guest.id][0] == "answer"
    assert refresh.read_text() == first
    assert place.acts() == {
        guest.id: ("answer", "it asks for the first time"),
        other.id: ("refuse", f"the token of central.token is for {VO}"),
    }
    assert refresh.read_text() != first
    assert refresh.stat().st_mode & 0o777 == 0o600
    pause_s = guest.agent.step(time.time())
    assert guest.agent.detail == "answered by the site"
    assert 500 < pause_s < 700
    rows = make_rows("uid", 1, VO, "CLOUD.Torino.it", "")
    DiracX(service.url, str(guest.path("diracx_token")), "/nonexistent", rows).report(News(state=Phase.READY))
    assert service.pilots()[make_stamp("uid", 0)]["Status"] == "Running"
    answer = base64.b64decode(place.gate.machines[guest.id].attributes["B2CT_ANSWER"]).decode()
    for secret in (first.strip(), refresh.read_text().strip(), guest.path("diracx_token").read_text().strip()):
        assert secret not in answer + str(place.one.calls)


def test_each_refresh_token_is_used_once(service: DiracxService, tmp_path: Path) -> None:
    path = write_token(tmp_path, service.mint_refresh_token())
    used = [path.read_text()]
    for _ in range(3):
        token = refresh_access_token(service.url + "/api", f"file:{path}", tmp_path)
        assert token.claims["vo"] == VO
        used.append(path.read_text())
    assert len({*used}) == 4
    path.write_text(used[0])
    with pytest.raises(RemoteError, match=r"refuses the refresh token \(HTTP 401\): Revoked refresh token reused"):
        refresh_access_token(service.url, f"file:{path}", tmp_path)
    assert path.read_text() == used[0]


def test_a_token_that_does_not_change_may_be_anywhere(
    service: DiracxService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {"env:STEADY": service.mint()["refresh_token"], "env:ONCE": service.mint_refresh_token()}
    for reference, token in tokens.items():
        monkeypatch.setenv(reference.removeprefix("env:"), token)
    for _ in range(2):
        assert refresh_access_token(service.url, "env:STEADY", tmp_path).claims["vo"] == VO
    with pytest.raises(UsageError, match="cannot be renewed where it is"):
        refresh_access_token(service.url, "env:ONCE", tmp_path)
    path = write_token(tmp_path, tokens["env:ONCE"])
    assert refresh_access_token(service.url, f"file:{path}", tmp_path).claims["vo"] == VO


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "127.0.0.1"),
        (b"\x00 garbage\r\n\r\n", "127.0.0.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "holds no token"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"access_token":"a.b"}', "holds no token"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "is central.url the address of DiracX"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
    ],
)
def test_what_is_no_diracx_changes_nothing(service: DiracxService, tmp_path: Path, answer: bytes, words: str) -> None:
    token = service.mint()["refresh_token"]
    path = write_token(tmp_path, token)
    with answer_all(answer) as url, pytest.raises(B2ctError) as caught:
        refresh_access_token(url, f"file:{path}", tmp_path)
    assert words in f"{caught.value} {caught.value.hint}"
    assert token not in str(caught.value)
    assert path.read_text() == token + "\n"
    assert read_token(path.read_text(), "it").text == token
