"""A second opinion: images as pycdlib, a reader that shares no code with ours, sees them."""

from __future__ import annotations

import struct
from collections import deque
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from b2ct.errors import IsoError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from b2ct.apply.iso.tree import Tree


_DAMAGED = (
    PyCdlibException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pycdlib raises about a damaged image."""


@contextmanager
def _opened(path: Path, trees: Iterable[Tree]) -> Iterator[pycdlib.PyCdlib]:
    """Open an image, whose descriptors, boot catalog and directories are all parsed then.

    pycdlib follows directories that run in circles for ever, so ``trees`` are walked before.
    """
    for tree in trees:
        deque(tree.directories(), maxlen=0)
    iso = pycdlib.PyCdlib()
    try:
        iso.open(str(path))
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    with closing(iso):
        yield iso


def _damaged(path: Path, error: Exception) -> IsoError:
    return IsoError(f"{path}: damaged: pycdlib says: {error or type(error).__name__}")


def verify_with_pycdlib(path: Path, trees: Iterable[Tree]) -> None:
    """Raise IsoError when pycdlib cannot read an image, of which we see ``trees``."""
    with _opened(path, trees):
        pass


def list_with_pycdlib(path: Path, trees: Iterable[Tree]) -> set[str]:
    """Return the paths of all files of an image, by Rock Ridge where there is some; raises IsoError when it cannot."""
    with _opened(path, trees) as iso:
        start = {"rr_path": "/"} if iso.has_rock_ridge() else {"iso_path": "/"}
        try:
            return {f"{root.strip('/')}/{name}".strip("/") for root, _, names in iso.walk(**start) for name in names}
        except _DAMAGED as error:
            raise _damaged(path, error) from error
