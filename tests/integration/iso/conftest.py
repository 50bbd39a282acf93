"""One edit of every look-alike, built once a session and judged by many tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.write import AddedFile, IsoEdit, WriteReport, write_iso
from b2ct.plan.artifact import Artifact
from b2ct.plan.iso_facts import MenuHome
from tests.rigs.iso_judges import TOOLS
from tests.rigs.stock import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.plan.iso_facts import IsoFacts

LONG_NAME = "a-name-of-" + "x" * 200 + ".ks"
NEW_FILES = {
    "b2ct/host one.ks": b"# kickstart of a host whose name has a blank\n",
    "b2ct/cn01.ks": b"# kickstart\n" * 500,
    LONG_NAME: b"# long\n",
    "d1/d2/d3/d4/d5/d6/d7/d8/d9/deep.ks": b"# deep\n",
    "images/pxeboot/b2ct.img": b"\0\1\2" * 3000,
    "B2CT": b"no extension, upper case\n",
    "b2ct/empty.ks": b"",
    "b2ct/città.ks": b"# not ASCII\n",
}
"""Files that no stock has: in the root, in new directories, deep, in an old directory, with every kind of name."""


@dataclass(frozen=True, slots=True)
class Built:
    """An edited look-alike."""

    kind: StockKind
    stock: Path
    facts: IsoFacts
    edit: IsoEdit
    path: Path
    report: WriteReport

    @property
    def changed(self) -> dict[str, bytes]:
        """Content of every new or replaced file of the tree."""
        big = {file.path_in_tree: file.source.read_bytes() for file in self.edit.files}
        return {artifact.path: artifact.data for artifact in self.edit.tree} | big


def grow_menu(data: bytes) -> bytes:
    """Return a menu that has outgrown its old sectors."""
    return b"# entries of the site\n" + data + b"# " + b"-" * 3000 + b"\n"


def make_edit(facts: IsoFacts, big: Path) -> IsoEdit:
    """Return an edit that does everything an edit can do, but for a new volume id."""
    tree = [Artifact(path, data, 0o600 if path == "B2CT" else 0o644) for path, data in NEW_FILES.items()]
    tree += [Artifact(menu.path, grow_menu(menu.data)) for menu in facts.menus if menu.home is MenuHome.TREE]
    esp = [Artifact(menu.path, grow_menu(menu.data)) for menu in facts.menus if menu.home is MenuHome.ESP]
    return IsoEdit(
        tree=tuple(tree),
        esp=(*esp, Artifact("EFI/b2ct/site notes.txt", b"new in the EFI boot image\n")),
        files=(AddedFile("images/updates.img", big),),
    )


@pytest.fixture(scope="session")
def build(
    get_stock: Callable[[StockKind], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[StockKind], Built]:
    """Return a function that edits a look-alike, or returns what it built before; leave it unchanged."""
    need_tool(*TOOLS)
    folder = tmp_path_factory.mktemp("built")
    big = folder / "updates.img"
    big.write_bytes(bytes(range(256)) * 20_001)
    done: dict[StockKind, Built] = {}

    def get(kind: StockKind) -> Built:
        if kind not in done:
            stock = get_stock(kind)
            facts = probe_iso(stock)
            edit = make_edit(facts, big)
            out = folder / f"{kind}.iso"
            done[kind] = Built(kind, stock, facts, edit, out, write_iso(stock, out, edit))
        return done[kind]

    return get


@pytest.fixture(params=list(StockKind))
def built(request: pytest.FixtureRequest, build: Callable[[StockKind], Built]) -> Built:
    """Every look-alike, edited."""
    return build(request.param)
