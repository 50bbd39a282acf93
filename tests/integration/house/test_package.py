"""What is shipped: the exact contents of wheel and sdist, and a wheel that works where it is installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DATA_FOLDERS = ("kickstart", "iso", "templates", "vmagent")
AGENT = ROOT / "vmagent" / "b2ct_vmagent"
"""A distribution of its own, whose client for DIRAC b2ct uses too: the one package beside b2ct in our wheel."""
SDIST = ("b2ct", *DATA_FOLDERS, "tests", "docs")
SDIST_FILES = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"}


def tracked(*folders: str) -> set[str]:
    """Return the files that git knows (or would add) below the folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()
    return {line for line in lines if (ROOT / line).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(out)], check=True, cwd=ROOT)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = {name for name in zipfile.ZipFile(built[0]).namelist() if ".dist-info/" not in name}
    data = {f"b2ct/_assets/{name}" for name in tracked(*DATA_FOLDERS)}
    agent = {name.removeprefix("vmagent/") for name in tracked("vmagent/b2ct_vmagent")}
    assert names == tracked("b2ct") | data | agent


def test_the_sdist_holds_what_it_takes_to_build_and_test_and_nothing_else(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names - {"PKG-INFO", ".gitignore"} == tracked(*SDIST) | SDIST_FILES


def test_an_installed_wheel_finds_its_data_and_its_data_folders_are_no_packages(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    (site_packages,) = home.glob("lib/python3*/site-packages")
    zipfile.ZipFile(built[0]).extractall(site_packages)  # noqa: S202 - the wheel was built just before
    (site_packages / "dependencies.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages"))
    )
    program = (
        "import importlib.util as u, b2ct.assets as a; "
        "assert '/_assets/' in str(a.Assets().path('iso/menus/grub2.j2')), a.Assets().path('iso/menus/grub2.j2'); "
        "import b2ct_vmagent.diset as d, b2ct.apply.registration.dirac; assert '/site-packages/' in d.__file__; "
        f"print([n for n in {DATA_FOLDERS!r} if u.find_spec(n)])"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_a_checkout_has_no_importable_data_folder() -> None:
    modules = [name for folder in DATA_FOLDERS for name in (ROOT / folder).rglob("*.py")]
    assert [name for name in modules if AGENT not in name.parents] == []


def test_the_import_order_is_kept() -> None:
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()
