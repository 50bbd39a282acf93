"""A second opinion: images as pycdlib, a reader that shares no code with ours, sees them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def _opened(path: Path) -> Iterator[pycdlib.PyCdlib]:
    """Open an image, whose descriptors, boot catalog and directories are all parsed then."""
    iso = pycdlib.PyCdlib()
    try:
        iso.open(str(path))
    except PyCdlibException as error:
        raise IsoError(f"{path}: damaged: pycdlib says: {error}") from error
    with closing(iso):
        yield iso


def verify_with_pycdlib(path: Path) -> None:
    """Raise IsoError when pycdlib cannot read an image."""
    with _opened(path):
        pass


def list_with_pycdlib(path: Path) -> set[str]:
    """Return the paths of all files of an image, by Rock Ridge where there is some; raises IsoError when it cannot."""
    with _opened(path) as iso:
        start = {"rr_path": "/"} if iso.has_rock_ridge() else {"iso_path": "/"}
        try:
            return {f"{root.strip('/')}/{name}".strip("/") for root, _, names in iso.walk(**start) for name in names}
        except PyCdlibException as error:
            raise IsoError(f"{path}: damaged: pycdlib says: {error}") from error
