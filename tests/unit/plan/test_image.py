"""Descriptions of images: every mistake is told with its line, and a site can add its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.assets import Assets
from b2ct.errors import SiteFileError, UsageError
from b2ct.plan.image import FOLDER, image_names, load_image_description

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
name: mine
version: 1.0.0
title: Mine
family: debian
release: "12"
method: debootstrap
source: {url: http://mirror.example/debian, suite: bookworm}
"""


def write(folder: Path, text: str, name: str = "mine") -> Assets:
    path = folder / FOLDER / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Assets(folder)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SiteFileError) as caught:
        load_image_description(write(folder, text), "mine")
    assert all(problem.file == str(folder / FOLDER / "mine.yaml") for problem in caught.value.problems)
    return [f"{problem.line} {problem.where}: {problem.message}" for problem in caught.value.problems]


def test_a_site_adds_descriptions_of_its_own(tmp_path: Path) -> None:
    assets = write(tmp_path, GOOD)
    assert load_image_description(assets, "mine").title == "Mine"
    assert set(image_names(assets)) == {"mine", *image_names(Assets())}
    assert assets.strays() == ()


def test_each_that_comes_along_is_right() -> None:
    for name in image_names(Assets()):
        assert load_image_description(Assets(), name).name == name


@pytest.mark.parametrize("name", ["none", "../images/worker-el9", ""])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a data file"):
        load_image_description(Assets(), name)


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("1.0.0", "one") + "packages: [a b, x/y, -o]\nrepositories:\n- {name: x, url: no, key: no}\n"
    assert [problem.split(": ")[0] for problem in problems(tmp_path, text)] == [
        *("2 version", "8 packages.0", "8 packages.1", "8 packages.2"),
        *("10 repositories.0.key", "10 repositories.0.url"),
    ]


def test_all_that_does_not_fit_together_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("name: mine", "name: yours").replace("http:", "ftp:").replace(", suite: bookworm", "")
    text += f"""\
packages: [Chrony]
repositories:
- {{name: x, url: http://x.example/, key: http://x.example/key}}
- {{name: x, url: http://x.example/, key: https://x.example/key, suite: s main}}
warm: [belle.cern.ch]
repository_packages: [other]
source:
  url: ftp://mirror.example/
  checksum: sha256:{"0" * 64}
"""
    text = text.replace("source: {url: ftp://mirror.example/debian}\n", "")
    assert problems(tmp_path, text) == [
        "1 name: yours is not the file's name",
        "7 packages.0: 'Chrony' is no name of a package",
        "9 repositories.0.key: has to be an https URL: whoever has the key signs packages",
        "9 repositories.0.suite: suite and component are missing",
        "10 repositories.1.name: the name x is used twice",
        "11 warm: needs cvmfs among repository_packages",
        "13 source.suite: is missing",
        "14 source.url: has to be an http or https URL",
        "15 source.checksum: is of a cloud image or ISO; apt checks packages by the archive's keys",
    ]


@pytest.mark.parametrize(("family", "method"), [("el", "debootstrap"), ("debian", "kickstart")])
def test_each_method_has_its_families(tmp_path: Path, family: str, method: str) -> None:
    text = GOOD.replace("debian\n", f"{family}\n").replace("debootstrap", method)
    assert problems(tmp_path, text) == [f"6 method: no {family} guest can be made by {method}"]


def test_packages_of_repositories_need_one(tmp_path: Path) -> None:
    text = GOOD + "repository_packages: [cvmfs]\n"
    assert problems(tmp_path, text) == ["8 repository_packages: no repository is described that has them"]
