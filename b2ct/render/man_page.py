"""Renders a manual page from Markdown, for man: groff's and mandoc's ``man`` macros (groff_man(7), mandoc's man(7))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from b2ct.errors import B2ctError
from b2ct.render.quoting import UNPRINTABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES = str.maketrans(
    {"\\": "\\(rs", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "|": "\\(or", '"': "\\(dq"}
)
"""Characters that roff takes for its own, or prints as others (groff_char(7))."""

_NOTHING = "\\&"
"""A line without text that roff takes for one with text (groff(7))."""


class ManPageError(B2ctError):
    """The Markdown holds something that a manual page cannot show."""


@dataclass(frozen=True, slots=True)
class ManPage:
    """What a manual page says beside its text."""

    name: str
    section: int
    summary: str
    """What comes after the name in the lists of apropos."""
    synopsis: str
    version: str
    """Name and version of the package."""
    date: str
    """2025-11-21"""


def man_text(text: str) -> str:
    """Return ``text`` so that roff prints it as it is, wherever it stands in a line.

    Raises:
        ManPageError: it holds a control character or a line end.
    """
    if UNPRINTABLE.search(text):
        raise ManPageError(f"{text!r}: a manual page cannot show control characters")
    escaped = text.translate(_ESCAPES)
    # a leading dot would be a request
    return f"{_NOTHING}{escaped}" if escaped.startswith(".") else escaped


def render_man_page(page: ManPage, markdown: str) -> str:
    """Return the manual page whose text is ``markdown``: its title is left out, a heading of level 2 is a section.

    Raises:
        ManPageError: the Markdown holds something else than headings, text, code, lists, tables and links.
    """
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(markdown))
    lines = [
        f'.TH "{man_text(page.name.upper())}" {page.section} {page.date} "{man_text(page.version)}"',
        *(".ad l", ".nh"),  # names of files and settings stay as they are written
        *(".SH NAME", f"{man_text(page.name)} \\- {man_text(page.summary)}"),
        *(".SH SYNOPSIS", f"\\fB{man_text(page.name)}\\fP {man_text(page.synopsis)}"),
        ".SH DESCRIPTION",
    ]
    for line in (line for node in tree.children for line in _block(node)):
        if line != ".PP" or not lines[-1].startswith(".SH"):  # which begins a paragraph by itself
            lines.append(line)
    return "\n".join(lines) + "\n"


def _block(node: SyntaxTreeNode) -> list[str]:
    """Return the lines of one block.

    Raises:
        ManPageError: there is no rule for it.
    """
    match node.type:
        case "heading":
            section = man_text(node.children[0].content.upper())
            return {"h1": [], "h2": [f".SH {section}"]}.get(node.tag, [f".SS {_inline(node)}"])
        case "paragraph":
            return [".PP", _inline(node)]
        case "bullet_list" | "ordered_list":
            marks = ["\\(bu"] * len(node.children)
            if node.type == "ordered_list":
                marks = [f"{number}." for number in range(1, 1 + len(node.children))]
            return [line for mark, item in zip(marks, node.children, strict=True) for line in _item(mark, item)]
        case "fence" | "code_block":
            return [".PP", ".nf", *(man_text(line) for line in node.content.splitlines()), ".fi"]
        case "table":
            return list(_table(node))
        case _:
            raise ManPageError(f"a manual page has no rule for Markdown's {node.type}")


def _item(mark: str, item: SyntaxTreeNode) -> list[str]:
    first, *rest = item.children
    return [f".IP {mark} 4", _inline(first), *(line for node in rest for line in (".RS 4", *_block(node), ".RE"))]


def _table(node: SyntaxTreeNode) -> Iterable[str]:
    """Yield a paragraph for each row, whose tag is its first cell; of several others each is named by its title."""
    head, *bodies = node.children
    first, *titles = (_inline(cell) for cell in head.children[0].children)
    if len(titles) == 1 and titles[0] != _NOTHING:
        yield from (".TP", f"\\fI{first}\\fP", f"\\fI{titles[0]}\\fP")
    for row in (row for body in bodies for row in body.children):
        tag, *cells = (_inline(cell) for cell in row.children)
        named = [f"{title}: {cell}" for title, cell in zip(titles, cells, strict=True)] if len(cells) > 1 else cells
        yield from (".TP", tag, "\n.br\n".join(named))


def _inline(node: SyntaxTreeNode) -> str:
    """Return the text of a block on one line, which roff never takes for an empty one.

    Raises:
        ManPageError: there is no rule for a part of it.
    """
    return "".join(_span(child) for inline in node.children for child in inline.children) or _NOTHING


def _span(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text":
            return man_text(node.content)
        case "code_inline":
            return f"\\fB{man_text(node.content)}\\fP"
        case "softbreak" | "hardbreak":
            return " "
        case "strong" | "em" | "link":
            inner = "".join(map(_span, node.children))
            font = {"strong": "B", "em": "I"}.get(node.type)
            return f"\\f{font}{inner}\\fP" if font else inner
        case _:
            raise ManPageError(f"a manual page has no rule for Markdown's {node.type}")
