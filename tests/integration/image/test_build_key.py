"""The signing key of a repository is fetched whole, and becomes the binary file that apt reads."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
import requests

from b2ct.apply.image.from_packages import load_key
from b2ct.apply.tool import ToolError
from b2ct.errors import RemoteError
from b2ct.plan.image import Repository
from tests.rigs.apt_repository import NEEDED, make_key
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool
from tests.rigs.web import Fault, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    need_tool(*NEEDED)
    folder = tmp_path_factory.mktemp("served")
    key = make_key(tmp_path_factory.mktemp("key") / "home")
    key.export(folder / "binary.gpg", armor=False)
    key.export(folder / "text.gpg", armor=True)
    (folder / "page.gpg").write_text("<html>not here</html>", encoding="ascii")
    (folder / "large.gpg").write_bytes(b"x" * (2 << 20))
    with serve(folder) as web:
        yield web.url, folder


def repository(url: str) -> Repository:
    return Repository(name="cernvm", url="http://cvmfs.example/apt", suite="bookworm main", key=url)


@pytest.mark.parametrize("name", ["binary.gpg", "text.gpg"])
def test_binary_and_text_give_the_same_file(served: tuple[str, Path], tmp_path: Path, name: str) -> None:
    url, folder = served
    key = load_key(repository(f"{url}/{name}"), tmp_path)
    assert key.path == "etc/apt/keyrings/cernvm.gpg"
    assert key.data == (folder / "binary.gpg").read_bytes()
    (tmp_path / "got.gpg").write_bytes(key.data)
    assert "rig@b2ct.invalid" in run_tool(["gpg", "--homedir", tmp_path / "gnupg", "--show-keys", tmp_path / "got.gpg"])


def test_a_page_is_no_key(served: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no valid OpenPGP data"):
        load_key(repository(f"{served[0]}/page.gpg"), tmp_path)


def test_a_flood_is_no_key(served: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="too large for a key"):
        load_key(repository(f"{served[0]}/large.gpg"), tmp_path)


def test_a_key_that_breaks_off_is_no_key(served: tuple[str, Path], tmp_path: Path) -> None:
    with serve(served[1]) as web:
        web.faults["binary.gpg"] = Fault(cut_after=50)
        with pytest.raises(RemoteError, match=r"its key .* cannot be had: the connection broke"):
            load_key(repository(f"{web.url}/binary.gpg"), tmp_path)


def test_a_key_that_is_not_there_is_told_with_what_to_do(served: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"repository cernvm: its key .* cannot be had: .* answers 404") as caught:
        load_key(repository(f"{served[0]}/none.gpg"), tmp_path)
    assert caught.value.hint == "--without-repositories leaves it out"


def test_https_that_leads_to_http_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = requests.Response(), requests.Response()
    first.status_code, first.url = 302, "https://keys.example/x"
    last.status_code, last.url, last.history = 200, "http://keys.example/x", [first]
    last.raw = BytesIO(b"key")
    monkeypatch.setattr(requests, "get", lambda *_, **__: last)
    with pytest.raises(RemoteError, match="leads to http"):
        load_key(repository(first.url), tmp_path)
