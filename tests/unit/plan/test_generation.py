from pathlib import Path

import pytest

from b2ct.assets import Assets
from b2ct.errors import UsageError
from b2ct.plan.generation import load_generation
from b2ct.site.versions import DISTRO_GENERATIONS, OPENNEBULA_GENERATIONS, opennebula_generations

GENERATIONS = (6, 7, 8, 9, 10)


@pytest.mark.parametrize("el", GENERATIONS)
def test_every_distribution_of_the_site_file_is_there(el: int) -> None:
    generation = load_generation(Assets(), el)
    assert generation.el == el
    assert generation.pykickstart == f"RHEL{el}"
    assert set(generation.distributions) == {distro for distro, els in DISTRO_GENERATIONS.items() if el in els}


MINORS = [(major, minor) for major in range(4, 9) for minor in range(0, 20, 2)]
"""More OpenNebula versions than there are; odd minor versions are tests of the next."""


@pytest.mark.parametrize("el", GENERATIONS)
def test_an_opennebula_has_one_row_of_packages_where_the_site_file_may_say_it_and_no_other_row(el: int) -> None:
    rows = load_generation(Assets(), el).opennebula
    allowed = {version for version in MINORS if el in opennebula_generations("{}.{}".format(*version))}
    assert {first for first, _, els in OPENNEBULA_GENERATIONS if el in els} <= allowed
    found = [
        version
        for row in rows
        for version in MINORS
        if tuple(map(int, row.first.split("."))) <= version <= tuple(map(int, row.last.split(".")))
    ]
    assert sorted(found) == sorted(allowed)


def test_opennebula_6_0_and_6_2_are_in_centoss_folder() -> None:
    folders = {row.first: row.folder for row in load_generation(Assets(), 8).opennebula}
    assert (folders["6.0"], folders["6.4"]) == ("CentOS/8/{arch}", "")


@pytest.mark.parametrize("el", GENERATIONS)
def test_every_snippet_exists(el: int) -> None:
    assets = Assets()
    for name in load_generation(assets, el).snippets.model_dump().values():
        assert not name or assets.read_text(f"kickstart/snippets/{name}")


def test_repo2_key_signs_from_6_10_on() -> None:
    for el in (8, 9, 10):
        for item in load_generation(Assets(), el).opennebula:
            new = tuple(map(int, item.first.split("."))) >= (6, 10)
            assert item.key == ("repo2.key" if new else "repo.key")


def test_a_wrong_copy_of_a_generation_is_named(tmp_path: Path) -> None:
    copy = tmp_path / "kickstart/generations/el9.yaml"
    copy.parent.mkdir(parents=True)
    copy.write_text("el: 9\nfoo: 1\n")
    with pytest.raises(UsageError, match=r"kickstart/generations/el9\.yaml.*") as caught:
        load_generation(Assets(overrides=tmp_path), 9)
    assert "foo" in caught.value.message
