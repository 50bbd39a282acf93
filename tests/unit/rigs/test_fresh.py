"""The parts of tests.rigs.fresh that read the machine's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.fresh import find_mirror, find_pip_folders
from tests.rigs.process import RigError

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian http://other.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE_LINE = (
    "# deb http://no.example/debian bookworm main\ndeb [arch=amd64 trusted=yes] http://list.example/d bookworm main\n"
)


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        pytest.param([DEB822], "http://mirror.example/debian", id="deb822"),
        pytest.param([ONE_LINE], "http://list.example/d", id="one line"),
        pytest.param([f"{DEB822}Enabled: no\n", ONE_LINE], "http://list.example/d", id="disabled"),
        pytest.param([DEB822.replace("deb deb-src", "deb-src"), ONE_LINE], "http://list.example/d", id="source only"),
        pytest.param(
            [f"{DEB822.replace('bookworm', 'trixie')}\n{DEB822}"], "http://mirror.example/debian", id="second"
        ),
    ],
)
def test_the_mirror_is_the_first_that_serves_the_suite(sources: list[str], mirror: str) -> None:
    assert find_mirror(sources, "bookworm") == mirror


def test_sources_without_the_suite_are_refused() -> None:
    with pytest.raises(RigError, match="no mirror of trixie"):
        find_mirror([DEB822, ONE_LINE], "trixie")


def test_pip_folders_are_those_of_file_indexes_and_find_links(tmp_path: Path) -> None:
    (tmp_path / "index/simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "ca.crt").touch()
    settings = (
        f"[global]\ncert = {tmp_path}/ca.crt\nextra-index-url = file://{tmp_path}/index/simple https://x.example/\n"
    )
    settings += f"find-links = {tmp_path}/wheels {tmp_path}/absent\n"
    assert find_pip_folders(settings) == [tmp_path / "index", tmp_path / "wheels"]
