"""Reading bundles: those that B2CT provides are right, and every problem of a wrong one is told with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.repository.load import load_bundle, load_bundles_in, load_provided_bundles
from b2ct.assets import Assets
from b2ct.errors import SiteFileError, UsageError
from b2ct.plan.attributes import first_text
from b2ct.plan.bundle import FILES
from tests.rigs.bundles import write_bundle

if TYPE_CHECKING:
    from pathlib import Path

PROVIDED = Assets().packaged / "templates"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    return write_bundle(tmp_path / "squid", "squid")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(SiteFileError) as caught:
        load_bundle(folder)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_the_provided_bundles_are_right() -> None:
    bundles = load_provided_bundles(Assets())
    assert {"belle2-worker", "generic-worker", "squid"} <= {bundle.manifest.name for bundle in bundles}
    for bundle in bundles:
        assert bundle.folder == PROVIDED / bundle.manifest.name
        assert tuple(artifact.path for artifact in bundle.files) == FILES
        assert first_text(bundle.template, "DISK", "IMAGE_ID") == "@IMAGE_ID@"


def test_the_sites_own_copy_of_a_file_wins(tmp_path: Path) -> None:
    own = tmp_path / "templates/squid/bundle.yaml"
    own.parent.mkdir(parents=True)
    own.write_text((PROVIDED / "squid/bundle.yaml").read_text().replace("version: 1.0.0", "version: 9.1", 1))
    bundles = {bundle.manifest.name: bundle for bundle in load_provided_bundles(Assets(tmp_path))}
    assert (bundles["squid"].manifest.version, bundles["belle2-worker"].manifest.version) == ("9.1", "1.0.0")


def test_a_folder_of_bundles_and_a_folder_that_is_one(bundle: Path) -> None:
    assert [bundle.folder for bundle in load_bundles_in(bundle)] == [bundle]
    assert [bundle.folder for bundle in load_bundles_in(bundle.parent)] == [bundle]


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no bundle"):
        load_bundles_in(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        load_bundles_in(tmp_path / "none")


def test_every_problem_of_every_file_is_told_at_once(bundle: Path) -> None:
    change(bundle / "bundle.yaml", "kind: worker", "kind: octopus")
    (bundle / "image.one").unlink()
    change(bundle / "template.txt", 'NETWORK_ID = "@NETWORK_ID@"', 'NETWORK_ID = "4"')
    change(bundle / "user-data.yaml", "runcmd:", "packages: [bundle]\nruncmd:")
    change(bundle / "user-data.yaml", '"0600"', "0600")
    found = "\n".join(problems_of(bundle))
    for expected in (
        "bundle.yaml:4: kind: 'octopus' has to be",
        "image.one:1: cannot be read: No such file",
        "template.txt:10: NIC does not have @NETWORK_ID@",
        "USERDATA is not what user-data.yaml holds",
        "user-data.yaml:5: write_files.0.permissions: have to be text",
        "packages: one-context does not know this module",
    ):
        assert expected in found


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("template.txt", 'CPU = "1"', 'CPU = "1" }', "template.txt:4: a stray"),
        ("template.txt", '"@IMAGE_ID@"', '"@IMAGE_IDS@"', "@IMAGE_IDS@ is no placeholder"),
        ("template.txt", 'DESCRIPTION = "says', 'DESCRIPTION = "@IMAGE_ID@', "@IMAGE_ID@ is not filled in here"),
        ("template.txt", 'USERDATA_ENCODING = "base64",', "", "CONTEXT lacks the encoding"),
        ("template.txt", '  USERDATA = "', '  USERDATA = "!', "USERDATA is not base64"),
        ("template.txt", "  USERDATA = ", "  OTHER = ", "CONTEXT has no USERDATA"),
        ("image.one", '"@IMAGE_PATH@"', '"/images/x.qcow2"', "image.one:3: PATH does not have @IMAGE_PATH@"),
        (
            "bundle.yaml",
            "[{",
            "[{guest: el9, build: x, version: '1'}, {",
            "bundle.yaml:5: images.1.guest: another",
        ),
        ("user-data.yaml", "#cloud-config", "#!/bin/sh", "user-data.yaml:1: the first line has to be #cloud-config"),
        ("user-data.yaml", "path: /etc", "path: etc", "write_files.0.path: has to be an absolute path"),
        ("user-data.yaml", "owner: root:root", "source: {uri: x}", "write_files.0.source: is not known"),
        ("user-data.yaml", "owner: root:root", "encoding: rot13", "write_files.0.encoding: has to be one of"),
        ("user-data.yaml", "owner: root:root", "append: 'yes'", "write_files.0.append: has to be true or false"),
        ("user-data.yaml", "owner: root:root", "owner: 0", "write_files.0.owner: has to be user:group"),
        ("user-data.yaml", "runcmd:\n", "runcmd:\n  - [sleep, 5]\n", "runcmd.0: has to be a text or a list"),
        ("user-data.yaml", "runcmd:\n", "runcmd: 5\nother:\n", "runcmd: has to be a list"),
        ("user-data.yaml", "runcmd:\n", "runcmd:\n  - [sh, 2024-13-45]\n", "not valid YAML"),
        ("user-data.yaml", "runcmd:\n", "runcmd: [\n", "not valid YAML"),
    ],
)
def test_each_problem_has_its_words(bundle: Path, file: str, old: str, new: str, problem: str) -> None:
    change(bundle / file, old, new)
    assert problem in "\n".join(problems_of(bundle))


def test_binary_and_huge_files_are_refused(bundle: Path) -> None:
    (bundle / "image.one").write_bytes(b"NAME = \n\xff")
    (bundle / "template.txt").write_bytes(b"#" * 1024 * 1024 + b"\n")
    assert [line.split(" (")[0] for line in problems_of(bundle)] == [
        "image.one:2: not UTF-8 text",
        "template.txt:1: larger than 1 MiB",
    ]
