"""What all tests share: look-alikes of the stock install ISOs, mastered once a session and only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.stock import StockKind, make_stock
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def get_stock(tmp_path_factory: pytest.TempPathFactory) -> Callable[[StockKind], Path]:
    """Return a function that masters a look-alike, or returns the one that it mastered before; leave it unchanged."""
    need_tool("xorriso", "genisoimage", "isohybrid", "implantisomd5", "mcopy", "mkfs.fat", "grub-mkimage", "apt-get")
    folder = tmp_path_factory.mktemp("stock")

    def get(kind: StockKind) -> Path:
        path = folder / f"{kind}.iso"
        return path if path.exists() else make_stock(kind, path)

    return get
