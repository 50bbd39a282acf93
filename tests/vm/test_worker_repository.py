"""A guest gets packages of another repository, signed by a key of its own, and its steps run in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.build import BUILDERS
from b2ct.apply.tool import ToolError
from b2ct.assets import Assets
from b2ct.plan.image import ImageDescription, Repository, load_image_description
from tests.rigs.apt_repository import NEEDED, make_key, make_package, make_repository
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool
from tests.rigs.web import serve
from tests.rigs.worker_machine import apt_proxy, make_request

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.image.builder import MadeDisk

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

SETUP = '#!/bin/sh\necho "$*" >>/etc/cvmfs/calls\n'
AUTOFS = "[Unit]\nDescription=rig\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
"""Stand-ins for the programs and units of CVMFS's packages, which no mirror of a distribution has."""


def build(description: ImageDescription, folder: Path, url: str) -> MadeDisk:
    repository = Repository(name="cernvm", url=url, suite="rig main", key=f"{url}/key.gpg")
    description = description.model_copy(update={"repositories": (repository,)})
    request = make_request(description, folder / "unused", with_repositories=True)
    (folder / "work").mkdir()
    with apt_proxy():
        return BUILDERS[description.method].make_disk(description, request, folder / "work")


def read(disk: Path, path: str) -> str:
    """Return a file of the root file system, which starts at 66 MiB."""
    return run_tool(["debugfs", "-R", f"cat {path}", f"{disk}?offset={66 * 1024**2}"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a package cvmfs."""
    need_tool("mmdebstrap", "sfdisk", "mke2fs", "debugfs", "mkfs.fat", "mcopy", "grub-mkimage", "apt-get", *NEEDED)
    need_root()
    folder = tmp_path_factory.mktemp("site")
    key = make_key(tmp_path_factory.mktemp("key") / "home")
    files = {"usr/bin/cvmfs_config": SETUP, "etc/cvmfs/default.conf": "", "lib/systemd/system/autofs.service": AUTOFS}
    package = make_package(tmp_path_factory.mktemp("package"), "cvmfs", files)
    make_repository(folder, "rig", package, key)
    key.export(folder / "key.gpg", armor=True)
    return folder


def test_the_package_is_installed_and_set_up(site: Path, tmp_path: Path) -> None:
    with serve(site) as web:
        made = build(load_image_description(Assets(), "worker-debian12"), tmp_path, web.url)
        line = f"deb [signed-by=/etc/apt/keyrings/cernvm.gpg] {web.url} rig main\n"
    assert ("cvmfs", "1") in made.packages
    assert f"{web.url} rig" in made.built_from
    assert read(made.path, "/etc/apt/sources.list.d/cernvm.list") == line
    assert read(made.path, "/etc/cvmfs/calls") == "setup nostart\n"
    assert "autofs.service" in run_tool(
        ["debugfs", "-R", "ls -p /etc/systemd/system/multi-user.target.wants", f"{made.path}?offset={66 * 1024**2}"]
    )


def test_a_repository_signed_by_somebody_else_is_refused(site: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger").export(site / "key.gpg", armor=False)
    with serve(site) as web, pytest.raises(ToolError, match=r"NO_PUBKEY|not signed|couldn't be verified"):
        build(load_image_description(Assets(), "worker-debian12"), tmp_path, web.url)
