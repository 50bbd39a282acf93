"""import-templates --from: images of a repository reach a front-end, and only when they are needed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import minisign
import pytest

from b2ct.apply.repository.build import MarketplaceRequest, build_marketplace
from b2ct.apply.repository.load import load_provided_bundles
from b2ct.assets import Assets
from b2ct.errors import ExitCode
from tests.rigs.web import Fault, Web, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.opennebula.conftest import Case

NAME = "worker-debian12-1.0.0"


@pytest.fixture
def web(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Publish the site's image, take it away from the site, and serve the repository."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(case.folder / "cache"))
    key = minisign.KeyPair.generate()
    (case.folder / "key.pub").write_bytes(bytes(key.public_key))
    bundles = [bundle for bundle in load_provided_bundles(Assets()) if bundle.manifest.name == "belle2-worker"]
    out = case.folder / "repository"
    build_marketplace(
        MarketplaceRequest(out, bundles, case.folder / "images", "http://one.example.org", key.secret_key)
    )
    shutil.rmtree(case.folder / "images")
    with serve(out) as made:
        yield made


def options(case: Case, web: Web) -> tuple[str, ...]:
    return "--from", web.url, "--key", str(case.folder / "key.pub")


def images_asked_for(web: Web) -> list[str]:
    return [path for path, _ in web.asked if path.endswith(".qcow2")]


def test_a_dry_run_downloads_no_image_and_an_import_does_once(case: Case, web: Web) -> None:
    assert case.steps("--dry-run", *options(case, web))[f"image {NAME}"] == "create"
    assert images_asked_for(web) == []
    case.steps(*options(case, web))
    assert len(images_asked_for(web)) == 1
    assert case.one.cloud.contents[0] == (case.folder / "images" / f"{NAME}.qcow2").read_bytes()
    shutil.rmtree(case.folder / "images")
    assert set(case.steps(*options(case, web)).values()) == {"keep"}
    assert len(images_asked_for(web)) == 1


def test_an_image_that_cannot_be_had_stops_all_before_the_first_change(case: Case, web: Web) -> None:
    (image,) = (path.relative_to(web.folder).as_posix() for path in web.folder.glob("images/*.qcow2"))
    web.faults[image] = Fault(status=404)
    code, _, err = case.run(*options(case, web))
    assert code == ExitCode.REMOTE
    assert "404" in err
    assert case.writes() == []


@pytest.mark.parametrize("via", ["url", "front-end"])
def test_the_front_end_gets_the_published_md5_and_nothing_is_downloaded_here(case: Case, web: Web, via: str) -> None:
    (file,) = web.folder.glob("images/*.qcow2")
    case.one.cloud.files[f"/var/tmp/{NAME}.qcow2"] = file.read_bytes()  # noqa: S108 - a path on the front-end
    case.steps("--via", via, *options(case, web))
    assert not (case.folder / "images").exists()
    shutil.rmtree(case.folder / "repository" / "images")
    assert set(case.steps("--via", via, *options(case, web)).values()) == {"keep"}


def test_another_content_than_the_published_is_no_image(case: Case, web: Web) -> None:
    (file,) = web.folder.glob("images/*.qcow2")
    web.faults[file.relative_to(web.folder).as_posix()] = Fault(data=file.read_bytes()[:-1] + b"x")
    code, _, err = case.run("--via", "url", *options(case, web))
    assert code == ExitCode.REMOTE
    assert "the file is another than its checksum says" in err
    assert case.one.image_id(NAME) is None
