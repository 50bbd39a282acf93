"""Puts files into a repository's folder, where a web server reads them at the same time."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.signature import SUFFIX

if TYPE_CHECKING:
    from b2ct.plan.marketplace import Index


def place_file(source: Path, path: Path, top: Path) -> None:
    """Put the file ``source`` at ``path`` in the folder ``top``: as a hard link where that serves, else as a copy."""
    make_folder(path.parent, top)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        _link_or_copy(source, temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: Path, top: Path) -> None:
    """Make a folder that a web server can read, whatever the umask is."""
    for place in (top, *(top / part for part in reversed(folder.relative_to(top).parents)), folder):
        if not place.is_dir():
            place.mkdir(parents=True)
            place.chmod(0o755)


def _link_or_copy(source: Path, target: Path) -> None:
    """Make ``target``, an empty file, a hard link to ``source``, or else a copy that all may read."""
    source = source.resolve()
    if source.stat().st_mode & 0o444 == 0o444:
        target.unlink()
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or one without links
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o644)


def remove_others(out: Path, index: Index) -> tuple[str, ...]:
    """Remove files of bundles and images that the index does not name."""
    named = {file.path for bundle in index.bundles for file in (*bundle.files, *bundle.images)}
    named |= {image.path + SUFFIX for bundle in index.bundles for image in bundle.images}
    removed = []
    for path in sorted(item for top in ("bundles", "images") for item in (out / top).rglob("*") if item.is_file()):
        name = path.relative_to(out).as_posix()
        if name not in named:
            path.unlink()
            removed.append(name)
    for folder in sorted((item for item in (out / "bundles").rglob("*") if item.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return tuple(removed)
