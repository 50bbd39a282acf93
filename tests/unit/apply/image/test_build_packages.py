"""What the builder of Debian guests asks for before it starts, and how it writes into a guest's root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.build import read_agent_version
from b2ct.apply.image.disk import find_used_inodes
from b2ct.apply.image.from_packages import PackageBuilder
from b2ct.apply.image.guest_root import write_files
from b2ct.assets import Assets
from b2ct.errors import UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.image import Family, load_image_description
from tests.unit.plan.images import DESCRIPTION

if TYPE_CHECKING:
    from pathlib import Path

DUMPE2FS = """\
Inode count:              32
First inode:              11
Group 0: (Blocks 0-32767)
  Free inodes: 14-15, 17
Group 1: (Blocks 32768-65535)
  Free inodes:{blank}
Group 2: (Blocks 65536-98303)
  Free inodes: 20-32
""".replace("{blank}", " ")


def test_only_root_can_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="only root"):
        PackageBuilder().programs(DESCRIPTION)


@pytest.mark.parametrize("family", [Family.DEBIAN, Family.UBUNTU])
def test_the_archive_s_keys_are_needed_too(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    programs = PackageBuilder().programs(DESCRIPTION.model_copy(update={"family": family}))
    names = {program.name for program in programs}
    assert f"/usr/share/keyrings/{family}-archive-keyring.gpg" in names
    assert {"mmdebstrap", "unshare", "sfdisk", "mke2fs"} <= names


@pytest.mark.parametrize("name", ["worker-debian12", "worker-ubuntu2404", "squid-debian12"])
def test_the_descriptions_that_come_along_are_right(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    description = load_image_description(Assets(), name)
    assert description.name == name
    assert description.source.security_url
    assert PackageBuilder().programs(description)


def test_the_agent_s_version_is_its_sources() -> None:
    assert read_agent_version(Assets()).count(".") == 2


def test_files_are_written_over_links_and_not_through_them(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/resolv.conf").symlink_to(outside)
    write_files(tmp_path / "root", [Artifact("etc/resolv.conf", b"theirs", 0o600)])
    assert outside.read_text() == "mine"
    assert (tmp_path / "root/etc/resolv.conf").read_bytes() == b"theirs"
    assert (tmp_path / "root/etc/resolv.conf").stat().st_mode & 0o777 == 0o600


def test_folders_are_for_all_to_read_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_files(tmp_path / "early", [Artifact("etc/x/y", b"")])
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "early", tmp_path / "early/etc/x")} == {0o755}


def test_used_inodes_are_those_that_no_group_calls_free() -> None:
    assert find_used_inodes(DUMPE2FS) == (2, 11, 12, 13, 16, 18, 19)
