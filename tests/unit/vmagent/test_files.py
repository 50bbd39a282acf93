from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import LARGEST_BYTES, make_folder, read_text, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_text(str(tmp_path / "none")) is None
    assert read_text(str(tmp_path / "file/below")) is None


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"\xff")
    with pytest.raises(AgentError, match="not UTF-8"):
        read_text(str(place))
    place.write_bytes(b"x" * (LARGEST_BYTES + 1))
    with pytest.raises(AgentError, match="larger than 1 MiB"):
        read_text(str(place))
    with pytest.raises(AgentError, match="Is a directory"):
        read_text(str(tmp_path))


def test_modes_are_those_that_were_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(str(tmp_path / "a/b"))
        write_file(str(tmp_path / "a/b/open"), b"x", 0o644)
        write_file(str(tmp_path / "a/b/secret"), b"x", 0o600, (os.getuid(), os.getgid()))
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/open", "a/b/secret")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/b/open": 0o644, "a/b/secret": 0o600}


def test_a_file_belongs_to_its_owner_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int, bool]] = []

    def fchown(_handle: int, uid: int, gid: int) -> None:
        given.append((uid, gid, (tmp_path / "x").exists()))

    monkeypatch.setattr("os.fchown", fchown)
    write_file(str(tmp_path / "x"), b"x", 0o600, (7, 8))
    write_file(str(tmp_path / "y"), b"x", 0o600)
    assert given == [(7, 8, False)]


@pytest.mark.parametrize("place", ["os.replace", "os.fchmod", "os.open"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_file(str(tmp_path / "x"), b"old", 0o600)
    monkeypatch.setattr(place, full)
    with pytest.raises(AgentError, match="x: No space left"):
        write_file(str(tmp_path / "x"), b"new", 0o600)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"old")]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AgentError, match="Not a directory"):
        make_folder(str(tmp_path / "file/below"))
