"""SOURCE_DATE_EPOCH stamps what ``b2ct build-iso`` adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.build import read_source_date
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.source import FileSource
from b2ct.errors import UsageError
from tests.rigs.media import build_media
from tests.rigs.stock import StockKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_new_files_carry_it(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    path = build_media(StockKind.EL9_BOOT, get_stock(StockKind.EL9_BOOT), tmp_path)
    with FileSource(path) as source:
        for tree in read_layout(source).trees:
            entry = tree.find("b2ct/ask.ks")
            assert entry is not None
            assert entry.records[0].raw[18:25] == bytes([2020 - 1900, 9, 13, 12, 26, 40, 0])


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1.5", "²", "9" * 11])
def test_what_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(UsageError, match=f"SOURCE_DATE_EPOCH={text}: not a number"):
        read_source_date()


def test_without_it_the_stock_volume_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert read_source_date() is None
