"""The second initrd; the real cpio unpacks it in the integration tests."""

from __future__ import annotations

from b2ct.plan.artifact import Artifact
from b2ct.render.cpio import render_cpio


def test_folders_come_before_their_files_and_all_is_aligned() -> None:
    archive = render_cpio([Artifact("b2ct/a.ks", b"12345")])
    assert len(archive) % 4 == 0
    assert archive.startswith(b"070701")
    assert archive.index(b"b2ct\0") < archive.index(b"b2ct/a.ks\0") < archive.index(b"TRAILER!!!\0")


def test_the_same_files_give_the_same_bytes() -> None:
    files = [Artifact("b2ct/a.ks", b"x"), Artifact("b2ct/b.ks", b"y")]
    assert render_cpio(files) == render_cpio(files)
