"""Reads the XML form of an OpenNebula template as the server walks its tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NoReturn
from xml.parsers import expat

from b2ct.plan.attributes import CDATA_END, NAME, Attribute, Template, TemplateSyntaxError, stored_name

_AS_TEXT = 'the text form, NAME = "value", can say all that OpenNebula keeps'


def read_xml(text: str, file: str) -> Template:
    """Return the attributes of a template in XML; `one_grammar.parse_template` says what is refused.

    Args:
        text: the whole file, its first character ``<``; the root's name does not matter.
        file: its path, for the error only.

    Raises:
        TemplateSyntaxError: this is no XML, or holds what the server would drop.
    """
    return _XmlReader(file).template(text)


class _Kind(Enum):
    TEXT = "text"
    CDATA = "a CDATA section"
    REMARK = "a comment"
    ELEMENT = "an element"


@dataclass(slots=True)
class _Node:
    """A node as libxml2 would make it: neighbouring text is one node, a CDATA section is always its own."""

    kind: _Kind
    line: int
    name: str = ""
    text: list[str] = field(default_factory=list)
    children: list[_Node] = field(default_factory=list)

    def content(self) -> str:
        return "".join(self.text)

    def has(self, *kinds: _Kind) -> bool:
        return any(child.kind in kinds for child in self.children)

    def stray_text(self) -> _Node | None:
        """Return the first child that is text, and more than blanks."""
        return next((child for child in self.children if child.content().strip()), None)


class _XmlReader:
    """Reads the XML form as src/template/Template.cc walks it: root, attributes, keys of vectors, and no more."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open = [_Node(_Kind.ELEMENT, 1)]
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartCdataSectionHandler = lambda: self._add(_Kind.CDATA)
        self._parser.EndCdataSectionHandler = lambda: self._add(_Kind.TEXT)
        self._parser.CommentHandler = lambda _: self._add(_Kind.REMARK)
        self._parser.ProcessingInstructionHandler = lambda *_: self._add(_Kind.REMARK)
        self._parser.StartDoctypeDeclHandler = lambda *_: self._fail(
            self._here(), "a document type declaration is not read", _AS_TEXT
        )
        self._parser.XmlDeclHandler = self._declaration

    def template(self, text: str) -> Template:
        """Return all attributes; those without any content vanish."""
        try:
            self._parser.Parse(text, True)  # noqa: FBT003 - expat takes it by position only
        except expat.ExpatError as error:
            problem = f"this is no XML: {expat.ErrorString(error.code)}"
            self._fail(error.lineno, problem, "close every element, write &lt; for < and &amp; for &")
        (root,) = (child for child in self._open[0].children if child.kind is _Kind.ELEMENT)
        if stray := root.stray_text():
            self._fail(stray.line, "text outside of any attribute is dropped by OpenNebula", _AS_TEXT)
        found = (self._attribute(child) for child in root.children if child.kind is _Kind.ELEMENT)
        return tuple(attribute for attribute in found if attribute)

    def _attribute(self, node: _Node) -> Attribute | None:
        if not node.has(_Kind.ELEMENT):
            value = self._leaf(node)
            return None if value is None else Attribute(stored_name(node.name), value)
        if stray := node.stray_text():
            self._fail(stray.line, f"text beside the keys of {node.name} is dropped by OpenNebula", _AS_TEXT)
        pairs: dict[str, str] = {}
        for child in node.children:
            if child.kind is _Kind.ELEMENT and (value := self._key(node, child)) is not None:
                if child.name in pairs:
                    self._fail(child.line, f"the key {child.name} of {node.name} stands twice", "take one of them away")
                pairs[child.name] = value
        return Attribute(stored_name(node.name), tuple(pairs.items())) if pairs else None

    def _key(self, vector: _Node, node: _Node) -> str | None:
        """Return the value of one key of a vector; None without content."""
        if node.has(_Kind.ELEMENT):
            self._fail(node.line, f"{node.name} of {vector.name} holds elements, which OpenNebula drops", _AS_TEXT)
        if node.name != node.name.upper():
            self._fail(node.line, f"the key {node.name} of {vector.name} is not upper-case", "write keys in capitals")
        return self._leaf(node)

    def _leaf(self, node: _Node) -> str | None:
        """Return the text of an element without elements; None without content."""
        if len(node.children) > 1:
            problem = f"{node.name} holds text in pieces (a comment or a CDATA section cuts it), which OpenNebula drops"
            self._fail(node.line, problem, "write it as one piece")
        value = next((child.content() for child in node.children if child.kind is not _Kind.REMARK), None)
        if value is not None and CDATA_END in value:
            self._fail(node.line, f"the value of {node.name} holds ]]>", "OpenNebula cannot store it")
        if value is not None and "\r" in value:
            self._fail(node.line, f"the value of {node.name} holds a carriage return", "OpenNebula cannot store it")
        return value

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > 1 and not NAME.fullmatch(name):
            self._fail(self._here(), f"{name} cannot be a name", "a name holds letters, digits and _")
        if attributes:
            self._fail(self._here(), f"{name} has XML attributes, which OpenNebula drops", _AS_TEXT)
        self._open.append(self._add(_Kind.ELEMENT, name))

    def _end(self, _: str) -> None:
        node = self._open.pop()
        # what follows a CDATA section is a text node of its own only if there is any
        node.children = [child for child in node.children if child.kind is not _Kind.TEXT or child.text]

    def _characters(self, data: str) -> None:
        last = self._open[-1].children[-1:]
        node = last[0] if last and last[0].kind in (_Kind.TEXT, _Kind.CDATA) else self._add(_Kind.TEXT)
        node.text.append(data)

    def _add(self, kind: _Kind, name: str = "") -> _Node:
        node = _Node(kind, self._here(), name)
        self._open[-1].children.append(node)
        return node

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "US-ASCII"):
            self._fail(
                self._here(),
                f"the encoding {encoding} is not read",
                "save the file as UTF-8, and say so in its first line",
            )

    def _here(self) -> int:
        return self._parser.CurrentLineNumber

    def _fail(self, line: int, problem: str, hint: str) -> NoReturn:
        raise TemplateSyntaxError(self._file, line, problem, hint=hint)
