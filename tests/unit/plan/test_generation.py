from pathlib import Path

import pytest

from b2ct.assets import Assets
from b2ct.errors import UsageError
from b2ct.plan.generation import load_generation
from b2ct.site.versions import DISTRO_GENERATIONS, OPENNEBULA_GENERATIONS

GENERATIONS = (6, 7, 8, 9, 10)


@pytest.mark.parametrize("el", GENERATIONS)
def test_every_distribution_of_the_site_file_is_there(el: int) -> None:
    generation = load_generation(Assets(), el)
    assert generation.el == el
    assert generation.pykickstart == f"RHEL{el}"
    assert set(generation.distributions) == {distro for distro, els in DISTRO_GENERATIONS.items() if el in els}


@pytest.mark.parametrize(("first", "last", "generations"), OPENNEBULA_GENERATIONS)
def test_every_opennebula_of_the_site_file_has_packages(
    first: tuple[int, int], last: tuple[int, int], generations: tuple[int, ...]
) -> None:
    for el in generations:
        ranges = [
            (tuple(map(int, item.first.split("."))), tuple(map(int, item.last.split("."))))
            for item in load_generation(Assets(), el).opennebula
        ]
        for version in (first, last):
            assert any(low <= version <= high for low, high in ranges), f"EL{el}: {version}"


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
