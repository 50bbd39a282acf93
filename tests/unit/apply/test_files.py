"""Outputs appear whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.files import write_file, write_tree
from b2ct.errors import OutputError
from b2ct.plan.artifact import Artifact

if TYPE_CHECKING:
    from pathlib import Path

TREE = (Artifact("b2ct/a.ks", b"a"), Artifact("b2ct/b.ks", b"b", 0o600))


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_file(path, b"x", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"x", 0o600)


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"one")
    with pytest.raises(OutputError, match="exists already"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    write_file(path, b"two", force=True)
    assert path.read_bytes() == b"two"


def test_nothing_is_left_behind_when_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_file(tmp_path / "file", b"x", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_tree_is_written_whole(tmp_path: Path) -> None:
    write_tree(tmp_path / "out", TREE)
    assert (tmp_path / "out/b2ct/b.ks").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_tree_is_replaced_only_by_force_and_wholly(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_tree(out, TREE)
    with pytest.raises(OutputError, match="not empty"):
        write_tree(out, TREE)
    write_tree(out, TREE[:1], force=True)
    assert [path.name for path in (out / "b2ct").iterdir()] == ["a.ks"]


def test_a_tree_takes_no_files_place(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        write_tree(tmp_path / "out", TREE, force=True)


def test_a_tree_never_replaces_files_of_other_kinds(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        write_tree(out, TREE, force=True)
    assert (out / "thesis.tex").exists()
