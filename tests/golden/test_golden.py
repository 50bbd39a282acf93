"""The kickstarts of every example site, as whole trees; ``pytest tests/golden --regenerate`` writes them anew."""

import shutil

import pytest

from b2ct.site.load import read_site
from tests.rigs.kickstarts import CASES, GOLDEN, render_case


@pytest.mark.parametrize("case", CASES)
def test_the_example_renders_to_the_golden_tree(case: str, request: pytest.FixtureRequest) -> None:
    rendered = render_case(case)
    expected = GOLDEN / case / "expected"
    if request.config.getoption("--regenerate"):
        shutil.rmtree(expected, ignore_errors=True)
        for path, text in rendered.items():
            target = expected / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
    found = {
        str(file.relative_to(expected)): file.read_bytes().decode() for file in expected.rglob("*") if file.is_file()
    }
    assert sorted(rendered) == sorted(found)
    for path, text in rendered.items():
        assert text == found[path], f"{case}/{path} differs; see pytest --regenerate and git diff"


@pytest.mark.parametrize("case", CASES)
def test_the_example_has_no_errors(case: str) -> None:
    site, problems = read_site(GOLDEN / case / "site.yaml")
    assert site
    assert not [str(problem) for problem in problems if problem.severity != "warning"]


@pytest.mark.parametrize("case", CASES)
def test_the_same_input_gives_the_same_bytes(case: str) -> None:
    assert render_case(case) == render_case(case)
