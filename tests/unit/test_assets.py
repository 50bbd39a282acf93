"""Finding data files, and the site's own copies of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.assets import FOLDERS, Assets
from b2ct.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MENU = "iso/menus/grub2.j2"


def test_a_shipped_file_is_found() -> None:
    assert "menuentry" in Assets().read_text(MENU)


def test_the_sites_own_copy_wins(tmp_path: Path) -> None:
    own = tmp_path / MENU
    own.parent.mkdir(parents=True)
    own.write_text("ours")
    assert Assets(tmp_path).read_text(MENU) == "ours"


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "kickstart/../pyproject.toml", "b2ct/errors.py", "iso/none", "iso"]
)
def test_nothing_else_is_a_data_file(name: str) -> None:
    with pytest.raises(UsageError, match="not a data file"):
        Assets().path(name)


def test_a_misspelt_copy_is_noticed(tmp_path: Path) -> None:
    own, stray = tmp_path / MENU, tmp_path / "iso/menus/grub.j2"
    own.parent.mkdir(parents=True)
    own.touch()
    stray.touch()
    assert Assets(tmp_path).strays() == (stray,)
    assert Assets(tmp_path / "none").strays() == ()


def test_every_data_file_is_listed() -> None:
    names = Assets().names()
    assert MENU in names
    assert {name.split("/")[0] for name in names} == set(FOLDERS)
