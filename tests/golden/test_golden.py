"""Everything that is made of every example site, as whole trees; ``pytest tests/golden --regenerate`` writes them."""

import shutil
from datetime import date

import pytest

from b2ct.plan.publication import make_publication
from b2ct.plan.registration import MachineCertificate, make_registration
from b2ct.render.publication import Numbers, render_bundle_files
from b2ct.render.registration import render_registration
from b2ct.site.central import DiracScheduler
from b2ct.site.load import load_site, read_site
from b2ct.site.model import Site
from tests.rigs.kickstarts import CASES, GOLDEN, load_facts, render_case
from tests.rigs.menus import render_site_menus, site_release
from tests.unit.plan.bundles import BUNDLES

CERTIFICATE = MachineCertificate(
    "/DC=org/DC=example/CN=vm.to.infn.it", "/DC=org/DC=example/CN=Certification Authority", date(2027, 6, 10)
)


def render_whole(case: str) -> dict[str, str]:
    """Return what is made of an example site, by path: kickstarts, boot menus, OpenNebula's images and VM templates."""
    site = load_site(GOLDEN / case / "site.yaml")
    menus = render_site_menus(site, site_release(site, is_dvd=load_facts(case).is_dvd))
    return render_case(case) | {menu.path: menu.data.decode() for menu in menus} | render_rest(site)


def render_rest(site: Site) -> dict[str, str]:
    """Return the files for OpenNebula's own tools, and those for the central scheduler's admins."""
    return render_opennebula(site) | render_central(site)


def render_central(site: Site) -> dict[str, str]:
    """Return the files for the admins of DIRAC, under ``registration/``."""
    if not isinstance(site.central, DiracScheduler):
        return {}
    registration, findings = make_registration(site, site.central, BUNDLES, CERTIFICATE)
    assert findings == ()
    return {f"registration/{file.path}": file.data.decode() for file in render_registration(registration)}


def render_opennebula(site: Site) -> dict[str, str]:
    """Return the files for OpenNebula's own tools, under ``opennebula/``."""
    publication, findings = make_publication(site, BUNDLES, None, onegate=True)
    assert findings == ()
    files = render_bundle_files(publication, "/var/tmp", Numbers())  # noqa: S108 - a path on the front-end
    return {f"opennebula/{file.path}": file.data.decode() for file in files}


@pytest.mark.parametrize("case", CASES)
def test_the_example_renders_to_the_golden_tree(case: str, request: pytest.FixtureRequest) -> None:
    rendered = render_whole(case)
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
    assert render_whole(case) == render_whole(case)
