"""What must not work: bad stocks, bad places for the output, a full disk, interruption. Nothing is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.inspect import inspect_iso
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.write import AddedFile, IsoEdit, write_iso
from b2ct.errors import IsoError, OutputError
from b2ct.plan.artifact import Artifact
from tests.rigs.process import run_tool
from tests.rigs.stock import StockKind, make_stock
from tests.rigs.tools import do_without, need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EDIT = IsoEdit(tree=(Artifact("new.ks", b"new\n"),))


@pytest.fixture
def stock(get_stock: Callable[[StockKind], Path]) -> Path:
    return get_stock(StockKind.EL9_BOOT)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_existing_output_is_kept(stock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_iso(stock, out, EDIT)
    assert out.read_text() == "mine"
    write_iso(stock, out, EDIT, force=True)
    assert names(tmp_path) == ["out.iso"]
    assert probe_iso(out).generation == 9


def test_an_output_that_appears_meanwhile_is_kept(stock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    with pytest.raises(OutputError, match="appeared"):
        write_iso(stock, out, EDIT, progress=lambda _done, _total: out.touch())
    assert names(tmp_path) == ["out.iso"]
    assert out.read_bytes() == b""


@pytest.mark.parametrize("force", [False, True])
def test_the_stock_is_not_overwritten(stock: Path, tmp_path: Path, *, force: bool) -> None:
    link = tmp_path / "link.iso"
    link.symlink_to(stock)
    for out in (stock, link):
        with pytest.raises(OutputError, match="is the stock ISO itself"):
            write_iso(stock, out, EDIT, force=force)


def test_a_place_that_is_none(stock: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write there: No such file or directory"):
        write_iso(stock, tmp_path / "missing" / "out.iso", EDIT)
    with pytest.raises(OutputError, match="is a directory"):
        write_iso(stock, tmp_path, EDIT)
    assert names(tmp_path) == []


def test_what_is_no_iso(tmp_path: Path) -> None:
    text = tmp_path / "text.iso"
    text.write_bytes(b"not an ISO\n" * 10_000)
    empty = tmp_path / "empty.iso"
    empty.touch()
    for path in (text, empty):
        for act in (probe_iso, inspect_iso):
            with pytest.raises(IsoError, match="is not an ISO 9660 image"):
                act(path)
    with pytest.raises(IsoError, match="No such file"):
        probe_iso(tmp_path / "missing.iso")


def test_a_truncated_stock(stock: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.iso"
    short.write_bytes(stock.read_bytes()[:-1_000_000])
    for act in (probe_iso, inspect_iso):
        with pytest.raises(IsoError, match="is truncated: its volume has 26214400 bytes, the file 25214400"):
            act(short)
    with pytest.raises(IsoError, match="is truncated"):
        write_iso(short, tmp_path / "out.iso", EDIT)
    assert names(tmp_path) == ["short.iso"]


def test_an_iso_of_another_kind_is_refused_with_what_was_found(tmp_path: Path) -> None:
    need_tool("xorriso")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    plain = tmp_path / "plain.iso"
    run_tool(["xorrisofs", "-quiet", "-R", "-o", plain, tree])
    with pytest.raises(IsoError, match="no EFI boot image in a known place; El Torito entries: none"):
        probe_iso(plain)
    with pytest.raises(IsoError, match="no EFI boot image"):
        write_iso(plain, tmp_path / "out.iso", EDIT)
    assert [check.name for check in inspect_iso(plain).checks if not check.ok] == ["boot menus"]


def test_another_distribution_is_named(tmp_path: Path) -> None:
    fedora = make_stock(StockKind.EL9_BOOT, tmp_path / "fedora.iso", product="Fedora", version="41")
    with pytest.raises(IsoError, match=r"41 is none of EL6 to EL10"):
        probe_iso(fedora)


def test_an_added_file_that_shrinks_meanwhile(stock: Path, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(20_000_000))

    def shrink(_done: int, _total: int) -> None:
        with big.open("r+b") as stream:
            stream.truncate(10)

    with pytest.raises(IsoError, match="became shorter"):
        write_iso(stock, tmp_path / "out.iso", IsoEdit(files=(AddedFile("big", big),)), progress=shrink)
    assert names(tmp_path) == ["big"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("through_link", [False, True])
def test_a_device_is_never_replaced_by_a_file(stock: Path, tmp_path: Path, *, force: bool, through_link: bool) -> None:
    special = tmp_path / "special"
    os.mkfifo(special)  # stands for a device, which only root can make
    out = special
    if through_link:
        out = tmp_path / "out.iso"
        out.symlink_to(special)
    with pytest.raises(OutputError, match="not a regular file") as caught:
        write_iso(stock, out, EDIT, force=force)
    assert "dd" in (caught.value.hint or "")
    assert special.is_fifo()
    assert out.is_symlink() == through_link


def test_a_device_that_appears_meanwhile_is_kept(stock: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.iso"

    def appear(_done: int, _total: int) -> None:
        if not out.exists():
            os.mkfifo(out)

    with pytest.raises(OutputError, match="not a regular file"):
        write_iso(stock, out, EDIT, force=True, progress=appear)
    assert out.is_fifo()


_BUILD = """
import os, pathlib, signal, sys
from b2ct.apply.iso.write import IsoEdit, write_iso
from b2ct.cli.interrupt import terminated_as_interrupt
from b2ct.plan.artifact import Artifact
from b2ct.errors import B2ctError

def interrupt(done, total):
    {act}

try:
    stock, out = map(pathlib.Path, sys.argv[1:])
    with terminated_as_interrupt():
        write_iso(stock, out, IsoEdit(tree=(Artifact("n", b"n"),)), progress=interrupt)
except B2ctError as error:
    sys.exit(error.message)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals, stock: Path, tmp_path: Path) -> None:
    script = _BUILD.format(act=f"os.kill(os.getpid(), {int(number)})")
    done = subprocess.run(
        [sys.executable, "-c", script, stock, tmp_path / "out.iso"], capture_output=True, text=True, check=False
    )
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode != 0
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "act", "message"),
    [
        ("20m", "pass", "no space left"),
        ("40m", "pathlib.Path(sys.argv[2] + '.filler').write_bytes(bytes(16_000_000))", "No space left on device"),
    ],
    ids=["before", "in the middle"],
)
def test_a_full_disk(size: str, act: str, message: str, stock: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, so that no root is needed."""
    need_tool("unshare", "mount")
    script = tmp_path / "build.py"
    script.write_text(_BUILD.format(act=act), encoding="utf-8")
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = f'mount -t tmpfs -o size={size} none "$1" && "$2" "$3" "$4" "$1/out.iso"; echo "exit $?"; ls -A "$1"'
    namespace = ["unshare"] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    done = subprocess.run(
        [*namespace, "--mount", "sh", "-c", shell, "sh", disk, sys.executable, script, stock],
        capture_output=True,
        text=True,
        check=False,
    )
    if "exit" not in done.stdout or "mount" in done.stderr:
        do_without(f"no mount namespaces here: {done.stderr}")
    assert message in done.stderr
    assert [line for line in done.stdout.split("\n")[:-1] if "filler" not in line] == ["exit 1"]
