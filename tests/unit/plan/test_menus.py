"""Reading boot menus: odd numbers and broken lines are passed over."""

from __future__ import annotations

import pytest

from b2ct.plan.iso_facts import MenuFile, MenuHome, MenuSyntax
from b2ct.plan.menus import parse_menu


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", "x", ""])
@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (MenuSyntax.GRUB2, "set default='{0}'\nset timeout={0}\nmenuentry 'a' {{\n"),
        (MenuSyntax.GRUB_LEGACY, "default={0}\ntimeout {0}\ntitle a\n"),
        (MenuSyntax.ISOLINUX, "timeout {0}\nlabel a\n"),
    ],
)
def test_numbers_that_are_none_are_passed_over(syntax: MenuSyntax, text: str, number: str) -> None:
    menu = parse_menu(MenuFile(MenuHome.TREE, "x", syntax, text.format(number).encode()))
    assert [entry.title for entry in menu.entries] == ["a"]
    assert (menu.default, menu.timeout_s) == (None, None)


def test_broken_quotes_are_read_as_far_as_they_go() -> None:
    text = b"search --set=root -l 'X\nmenuentry 'a\n\tlinux /k a='b\n\tinitrd\n}\n"
    menu = parse_menu(MenuFile(MenuHome.TREE, "x", MenuSyntax.GRUB2, text))
    assert menu.entries[0].kernel == "/k"
