"""Writes files so that they appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from b2ct.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.plan.artifact import Artifact


def write_file(path: Path, data: bytes, *, mode: int = 0o644, force: bool = False) -> None:
    """Write one file by way of a temporary file beside it.

    Raises:
        OutputError: the file exists and ``force`` is not given, or it cannot be written.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", hint="--force replaces it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error


def write_tree(folder: Path, artifacts: Iterable[Artifact], *, force: bool = False) -> None:
    """Write a whole folder of artifacts; with ``force`` it takes the place of a folder that an earlier run wrote.

    Raises:
        OutputError: the folder exists and ``force`` is not given, it holds other files, or it cannot be written.
    """
    artifacts = tuple(artifacts)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is not a folder", hint="--out names the folder to write")
    if folder.exists() and any(folder.iterdir()):
        if not force:
            raise OutputError(f"{folder} is not empty", hint="--force replaces the files that were made before")
        _refuse_foreign_files(folder, artifacts)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for artifact in artifacts:
                write_file(temporary / PurePosixPath(artifact.path), artifact.data, mode=artifact.mode)
            temporary.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.replace(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from error


def _refuse_foreign_files(folder: Path, artifacts: tuple[Artifact, ...]) -> None:
    """Refuse to replace a folder that holds anything but files of the kinds that are about to be written."""
    kinds = {PurePosixPath(artifact.path).suffix for artifact in artifacts}
    foreign = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in kinds)
    if foreign:
        raise OutputError(f"{folder} holds {foreign[0].relative_to(folder)}, which B2CT did not write")
