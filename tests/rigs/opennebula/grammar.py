"""Parses template text as oned does (template_parser.l and .y of OpenNebula 6.10), by its own tokens and errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

_Rules = tuple[tuple[re.Pattern[str], str], ...]

_NAME_STATE: _Rules = (
    (re.compile(r"[ \t]*#.*\n"), ""),
    (re.compile(r"[ \t\n]+"), ""),
    (re.compile(r"[A-Za-z0-9_]+"), "VARIABLE"),
    (re.compile(r"[ \t]*=[ \t]*"), "EQUAL"),
    (re.compile(r"[ \t]*=[ \t]*\n"), "EQUAL_EMPTY"),
    (re.compile(r"[ \t\n]*,[ \t\n]*"), "COMMA"),
    (re.compile(r"[ \t\n]*\][ \t\n]*"), "CBRACKET"),
)
_VALUE_STATE: _Rules = (
    (re.compile(r"[ \t]*\[[ \t\n]*"), "OBRACKET"),
    (re.compile(r".*\]\]>.*"), "CCDATA"),
    (re.compile(r'"(?:\\"|[^"])*"'), "QUOTED"),
    (re.compile(r"[^=# \t\n,\[\]]+"), "STRING"),
)


class MalformedError(Exception):
    """What oned says of a template that it cannot parse."""


class _Tokens:
    """The tokens of a text, one ahead; characters that fit nowhere are dropped, as flex does."""

    def __init__(self, text: str) -> None:
        self._next = self._tokens(text)
        self.line, self.start, self.end = 0, 1, 1
        self.kind, self.text = next(self._next)

    def take(self, kind: str, *others: str, expecting: str = "") -> str:
        """Return the text of the next token and step on; raises MalformedError if it is of none of these kinds."""
        if self.kind not in (kind, *others):
            raise self.refuse(expecting or " or ".join((kind, *others)))
        text = self.text
        if self.kind != "$end":
            self.kind, self.text = next(self._next)
        return text

    def refuse(self, expecting: str) -> MalformedError:
        if self.kind == "CCDATA":
            return MalformedError("Parse error.")
        place = f"at line {self.line}, columns {self.start}:{self.end}"
        return MalformedError(f"Parse error: syntax error, unexpected {self.kind}, expecting {expecting} {place}")

    def _tokens(self, text: str) -> Iterator[tuple[str, str]]:
        place, rules = 0, _NAME_STATE
        while place < len(text):
            found = [
                (match.end(), -rank, kind)
                for rank, (rule, kind) in enumerate(rules)
                if (match := rule.match(text, place))
            ]
            end, _, kind = max(found) if found else (place + 1, 0, "")
            word, place = text[place:end], end
            self.line += word.count("\n")
            self.start, self.end = self.end, self.end + len(word.encode())
            if kind == "EQUAL":
                rules = _VALUE_STATE
            elif kind:
                rules = _NAME_STATE
            if kind == "QUOTED":
                yield "STRING", word[1:-1].replace('\\"', '"')
            elif kind:
                yield kind, word
        yield "$end", ""


def parse_template(text: str, version: str) -> list[ET.Element]:
    """Return the attributes as oned stores them: names upper-cased, in their order; 7.x trims values.

    Raises:
        MalformedError: oned refuses the text; holds its message.
    """
    pairs = _parse_xml(text) if text.startswith("<") else _parse_text(text)
    made = []
    for name, value in pairs:
        element = ET.Element(_legal(name))
        if isinstance(value, str):
            element.text = _trimmed(value, version)
        else:
            if not value:
                continue
            for key, part in value:
                if element.find(_legal(key)) is None:
                    ET.SubElement(element, _legal(key)).text = _trimmed(part, version)
            element[:] = sorted(element, key=lambda child: child.tag)
        made.append(element)
    return made


def _legal(name: str) -> str:
    name = name.upper()
    return f"ONE_{name}" if name[0].isdigit() or name.startswith("XML") else name


def _trimmed(value: str, version: str) -> str:
    return value if version == "6.10" else value.strip(" \t\n\v\f\r")


def _parse_text(text: str) -> Iterator[tuple[str, str | list[tuple[str, str]]]]:
    tokens = _Tokens(text)
    while tokens.kind != "$end":
        name = tokens.take("VARIABLE", expecting="$end")
        if tokens.kind == "EQUAL_EMPTY":
            tokens.take("EQUAL_EMPTY")
            yield name, ""
            continue
        tokens.take("EQUAL", expecting="EQUAL or EQUAL_EMPTY")
        if tokens.kind == "OBRACKET":
            yield name, _parse_vector(tokens)
        else:
            yield name, tokens.take("STRING", expecting="OBRACKET or CCDATA or STRING")


def _parse_vector(tokens: _Tokens) -> list[tuple[str, str]]:
    tokens.take("OBRACKET")
    pairs: list[tuple[str, str]] = []
    if tokens.kind == "CBRACKET":
        tokens.take("CBRACKET")
        return pairs
    while True:
        key = tokens.take("VARIABLE")
        tokens.take("EQUAL")
        pairs.append((key, tokens.take("STRING")))
        if tokens.kind == "CBRACKET":
            tokens.take("CBRACKET")
            return pairs
        tokens.take("COMMA", expecting="COMMA or CBRACKET")


def _parse_xml(text: str) -> Iterator[tuple[str, str | list[tuple[str, str]]]]:
    try:
        root = ET.fromstring(text)  # noqa: S314 - a test's own text
    except ET.ParseError:
        raise MalformedError("Parse error: XML Template malformed.") from None
    for child in root:
        if len(child):
            yield child.tag, [(part.tag, part.text or "") for part in child if not len(part)]
        elif child.text:
            yield child.tag, child.text
