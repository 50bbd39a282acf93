"""The overlay's reader and the pipeline, against the plain sum of their parts."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.apply.iso.mediacheck import MediaSum
from b2ct.apply.iso.overlay import Overlay, Patch, Segment
from b2ct.apply.iso.pipeline import Pipeline
from b2ct.apply.iso.reader import OverlayReader
from b2ct.errors import IsoError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stock") / "stock"
    path.write_bytes(os.urandom(9 * MIB + 2048))
    return path


def make(stock: Path) -> tuple[Overlay, bytes]:
    """An overlay of three segments and patches that straddle buffers, and what it must give."""
    data = stock.read_bytes()
    segments = (
        Segment(0, 5 * MIB, stock, 0),
        Segment(5 * MIB, 3 * MIB + 2048, None, 0),
        Segment(8 * MIB + 2048, 4 * MIB + 2048, stock, 5 * MIB),
    )
    whole = bytearray(data[: 5 * MIB] + bytes(3 * MIB + 2048) + data[5 * MIB :])
    patches = [
        Patch(0, b"first"),
        Patch(4 * MIB - 3, b"straddles"),
        Patch(5 * MIB, b"x" * 5000),
        Patch(len(whole) - 4, b"last"),
    ]
    for patch in patches:
        whole[patch.offset : patch.offset + len(patch.data)] = patch.data
    return Overlay(len(whole), len(whole) // 2048, segments, tuple(patches)), bytes(whole)


def test_any_range_can_be_read(stock: Path) -> None:
    overlay, whole = make(stock)

    @settings(deadline=None)
    @given(st.integers(0, overlay.size), st.integers(0, 2 * MIB))
    def check(offset: int, length: int) -> None:
        end = min(offset + length, overlay.size)
        assert reader.read(offset, end - offset) == whole[offset:end]

    with OverlayReader(overlay, "test") as reader:
        check()


@pytest.fixture
def out(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    path = tmp_path / "out"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    yield fd, path
    os.close(fd)


@pytest.mark.parametrize("direct", [True, False])
def test_everything_is_written_and_summed_once(stock: Path, out: tuple[int, Path], *, direct: bool) -> None:
    overlay, whole = make(stock)
    running = MediaSum(overlay.volume_size)
    calls: list[tuple[int, int]] = []
    with OverlayReader(overlay, "test", direct=direct) as reader:
        Pipeline(reader, out[0], out[1], running).run(lambda *done: calls.append(done))
    assert out[1].read_bytes() == whole
    expected = hashlib.md5(whole[: -15 * 2048], usedforsecurity=False).hexdigest()
    assert running.record(supported=False).md5 == expected
    assert calls == sorted(calls)
    assert calls[-1] == (overlay.size, overlay.size)


def test_a_failing_write_stops_everything(stock: Path, out: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    overlay, _ = make(stock)
    before = threading.active_count()
    with OverlayReader(overlay, "test") as reader, pytest.raises(OutputError, match="No space left on device"):
        Pipeline(reader, out[0], out[1], MediaSum(overlay.volume_size)).run(None)
    assert threading.active_count() == before


def test_a_file_that_ends_too_early_stops_everything(tmp_path: Path, out: tuple[int, Path]) -> None:
    short = tmp_path / "short"
    short.write_bytes(bytes(MIB))
    overlay = Overlay(2 * MIB, 1024, (Segment(0, 2 * MIB, short, 0),), ())
    with OverlayReader(overlay, "test") as reader, pytest.raises(IsoError, match="became shorter"):
        Pipeline(reader, out[0], out[1], None).run(None)


def test_an_exception_of_the_caller_stops_everything(stock: Path, out: tuple[int, Path]) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    overlay, _ = make(stock)
    before = threading.active_count()
    with OverlayReader(overlay, "test") as reader, pytest.raises(KeyboardInterrupt):
        Pipeline(reader, out[0], out[1], MediaSum(overlay.volume_size)).run(interrupt)
    assert threading.active_count() == before


class _UnexpectedError(Exception):
    """Of no kind that the pipeline knows."""


@pytest.mark.parametrize("work", ["_read", "_write", "_checksum"])
def test_any_exception_of_a_thread_reaches_the_caller(
    stock: Path, out: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    def fail(_: Pipeline) -> None:
        raise _UnexpectedError

    monkeypatch.setattr(Pipeline, work, fail)
    overlay, _ = make(stock)
    with OverlayReader(overlay, "test") as reader:
        running = Pipeline(reader, out[0], out[1], MediaSum(overlay.volume_size))
        caught: list[BaseException] = []

        def run() -> None:
            try:
                running.run(None)
            except _UnexpectedError as error:
                caught.append(error)

        caller = threading.Thread(target=run, daemon=True)
        caller.start()
        caller.join(timeout=60)
        assert not caller.is_alive()
    assert len(caught) == 1


def test_a_system_without_direct_io(stock: Path, out: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "O_DIRECT")
    monkeypatch.delattr(os, "posix_fadvise")
    overlay, whole = make(stock)
    with OverlayReader(overlay, "test", direct=True) as reader:
        Pipeline(reader, out[0], out[1], None).run(None)
    assert out[1].read_bytes() == whole
