"""GRUB's own parser judges the menus that we render, and the real cpio unpacks the second initrd."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from b2ct.assets import Assets
from b2ct.plan.artifact import Artifact
from b2ct.plan.iso_facts import MenuSyntax
from b2ct.plan.media import MediaOptions
from b2ct.render.cpio import render_cpio
from tests.rigs.menus import KINDS, make_test_site, render_site_menus
from tests.rigs.stock_release import StockKind, make_release
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", KINDS)
def test_grub_understands_its_menus(kind: StockKind, tmp_path: Path) -> None:
    need_tool("grub-script-check")
    release = make_release(kind)
    for options in (MediaOptions(), MediaOptions(default="hv01", kickstart_in_initrd=True, updates=True)):
        for file in render_site_menus(make_test_site(release), release, options):
            if file.syntax is MenuSyntax.GRUB2:
                path = tmp_path / "grub.cfg"
                path.write_bytes(file.data)
                done = subprocess.run(["grub-script-check", path], capture_output=True, text=True, check=False)
                assert (done.returncode, done.stderr) == (0, ""), file.path


def test_the_boot_record_is_assembled_from_its_source(tmp_path: Path) -> None:
    need_tool("as", "objcopy")
    assets = Assets()
    source, object_file, binary = assets.path("iso/local-disk.s"), tmp_path / "x.o", tmp_path / "x.bin"
    subprocess.run(["as", "--32", "-o", object_file, source], check=True)
    subprocess.run(["objcopy", "-O", "binary", object_file, binary], check=True)
    assert binary.read_bytes() == assets.path("iso/local-disk.bin").read_bytes()


def test_cpio_unpacks_the_second_initrd(tmp_path: Path) -> None:
    need_tool("cpio")
    files = [Artifact("b2ct/a.ks", b"one\n"), Artifact("b2ct/bb.ks", b"two\n" * 1000, 0o600)]
    subprocess.run(["cpio", "-idm", "--quiet"], input=render_cpio(files), check=True, cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "b2ct").iterdir()} == {
        "a.ks": files[0].data,
        "bb.ks": files[1].data,
    }
    assert (tmp_path / "b2ct" / "bb.ks").stat().st_mode & 0o777 == 0o600
