"""Which distribution an ISO is, from the texts that different makers leave on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from b2ct.apply.iso.probe import Release, read_release
from b2ct.apply.iso.tree import Entry, Extent, Tree
from b2ct.plan.iso_facts import MenuFile, MenuHome, MenuSyntax

if TYPE_CHECKING:
    from collections.abc import Mapping


class Files:
    """A tree that holds a few texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def find(self, path: str) -> Entry | None:
        if path not in self._texts:
            return None
        return Entry(path, (), (Extent(0, len(self._texts[path])),), is_directory=False)

    def read_file(self, entry: Entry) -> bytes:
        return self._texts[entry.path].encode()


def release(menu: str = "", **texts: str) -> Release:
    tree = cast("Tree", Files({f".{name}": text for name, text in texts.items()}))
    menus = (MenuFile(MenuHome.TREE, "isolinux/isolinux.cfg", MenuSyntax.ISOLINUX, menu.encode()),)
    return read_release(tree, menus)


PRODUCTMD = """[header]
version = 1.2
[release]
name = {name}
short = X
version = {version}
[tree]
arch = x86_64
"""
GENERAL = """[general]
family = {name}
version = {version}
arch = x86_64
"""


@pytest.mark.parametrize("form", [PRODUCTMD, GENERAL])
@pytest.mark.parametrize(
    ("name", "version", "product"),
    [
        ("AlmaLinux", "9.6", "AlmaLinux"),
        ("Rocky Linux", "10.1", "Rocky Linux"),
        ("CentOS Stream", "9", "CentOS Stream"),
        ("CentOS Linux", "8.5.2111", "CentOS"),
        ("CentOS", "6.7", "CentOS"),
        ("Red Hat Enterprise Linux", "9.4", "Red Hat Enterprise Linux"),
        ("Fedora", "41", "Fedora"),
    ],
)
def test_treeinfo_of_all_makers(form: str, name: str, version: str, product: str) -> None:
    assert release(treeinfo=form.format(name=name, version=version)) == Release(product, version, "x86_64")


@pytest.mark.parametrize(
    ("discinfo", "menu", "found"),
    [
        ("1718000000.1\nAlmaLinux 9.6\nx86_64\nALL\n", "", ("AlmaLinux", "9.6", "x86_64")),
        ("1718000000.1\nRed Hat Enterprise Linux 8.10\nx86_64\n", "", ("Red Hat Enterprise Linux", "8.10", "x86_64")),
        ("1718000000.1\n9.6\nx86_64\n", "menu label Install AlmaLinux 9.6", ("AlmaLinux", "9.6", "x86_64")),
        ("1718000000.1\nFinal\nx86_64\n", "menu title Welcome to CentOS 6.7!", ("CentOS", "6.7", "x86_64")),
        ("", "menuentry 'Install CentOS Stream 10'", ("CentOS Stream", "10", "x86_64")),
        ("", "Install Red Hat Enterprise Linux 7.9", ("Red Hat Enterprise Linux", "7.9", "x86_64")),
        ("1\n2\n", "", ("", "", "")),
        ("", "Install Fedora 41", ("", "", "")),
    ],
)
def test_boot_isos_say_less(discinfo: str, menu: str, found: tuple[str, str, str]) -> None:
    assert release(menu, discinfo=discinfo) == Release(*found)


def test_the_treeinfo_counts_first_and_a_damaged_one_not() -> None:
    treeinfo = GENERAL.format(name="CentOS", version="7")
    assert release(treeinfo=treeinfo, discinfo="1\nRocky Linux 9.1\nx86_64\n").product == "CentOS"
    assert release(treeinfo="no section\n", discinfo="1\nRocky Linux 9.1\nx86_64\n").product == "Rocky Linux"
