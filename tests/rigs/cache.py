"""Where the rigs keep what is slow to make, between runs: entries are named by what they are made from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/b2ct-rigs`` (``~/.cache`` when unset), made when absent."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "b2ct-rigs"
    path.mkdir(parents=True, exist_ok=True)
    return path


def make_cached(kind: str, ingredients: Iterable[str | bytes], make: Callable[[Path], None]) -> Path:
    """The directory that ``make(directory)`` filled, now or in an earlier run with the same ``ingredients``.

    It appears whole or not at all, also when two processes make it at the same time.
    """
    total = hashlib.sha256()
    for part in ingredients:
        total.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    home = cache_dir() / f"{kind}-{total.hexdigest()[:16]}"
    if not home.exists():
        with tempfile.TemporaryDirectory(dir=cache_dir()) as tmp:
            out = Path(tmp) / "out"
            out.mkdir()
            make(out)
            try:
                out.rename(home)
            except OSError:
                if not home.exists():  # otherwise another process was faster, with the same content
                    raise
    return home
