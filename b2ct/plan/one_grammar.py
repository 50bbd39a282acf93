"""Reads OpenNebula template text and its XML form as the server does, and refuses what the server would misread."""

from __future__ import annotations

import re
from typing import NoReturn

from b2ct.plan.attributes import CDATA_END, ILLEGAL, NAME, Attribute, Template, TemplateSyntaxError, Vector, stored_name
from b2ct.plan.one_xml import read_xml

__all__ = ["TemplateSyntaxError", "parse_template"]

_SKIPPED = re.compile(r"(?:[ \t\n]|#[^\n]*\n)*+")
_EQUAL = re.compile(r"=[ \t]*")
_PLAIN = re.compile(r"[^=#,\[\] \t\n]+")
_CLOSING_QUOTE = re.compile(r'(?<!\\)"')
_IN_QUOTES = 'a value with a blank or one of = # , [ ] needs "..." around it'
_AS_XML = "OpenNebula cannot read such a value in the text form; write the whole template as XML"


def parse_template(text: str, file: str) -> Template:
    r"""Return the attributes of a template in the order of the file, with names and values as the server stores them.

    ``text`` is read as OpenNebula 6.10 and 7.4 read it (src/parsers/template_parser.l, src/template/Template.cc): XML
    when ``<`` is its first character, the text form otherwise. Line ends become ``\n``, as they do on the way to the
    server. Blanks around a value are kept, as 6.10 keeps them; `attributes.stored_form` takes them off, as 7.4 does.

    Some texts that a server takes are refused, because it stores something else than stands there:

    - stray characters (``-X=1``, ``A=b;c=d[``), which it drops, and a value that begins with one (``A==1``, ``A=# c``);
    - a last line that is a comment without a newline: the server reads ``# B=2`` as the attribute B;
    - unquoted values with a quote in them (``A='x'``, ``A="x"y``): the quotes become part of the value;
    - a quoted value that ends in a backslash: it does so only until another quoted value follows;
    - ``]]>`` in any value: the stored object could not be read any more; the same for a vector's key ``1X``;
    - in XML: a third level, attributes of elements, text that is cut by comments or CDATA sections, and text beside
      elements, all of which it drops; lower-case keys of vectors, which it keeps and never finds again; a key that
      stands twice, of which the last wins (the first in the text form); names that the text form does not have;
      ``&#13;``, which becomes a newline.

    Args:
        text: the whole file, decoded.
        file: its path, for the error only.

    Raises:
        TemplateSyntaxError: the server refuses the text, or reads it in one of the ways above.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if found := ILLEGAL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise TemplateSyntaxError(
            file, line, f"U+{ord(found[0]):04X} cannot stand in a template", hint="remove this character"
        )
    if text.startswith("<"):
        return read_xml(text, file)
    return _TextReader(text.removeprefix("\ufeff"), file).template()


class _TextReader:
    """Reads the text form from left to right: the tokens of template_parser.l, the rules of template_syntax.y."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self._advice = ""
        """What to do when nothing sensible follows the value that was read last."""

    def template(self) -> Template:
        """Return all attributes; empty vectors vanish, as they do when the server reads the object back."""
        attributes = []
        self._skip()
        while self._at < len(self._text):
            name = self._name()
            value = self._vector(name) if self._sees("[") else self._value(name)
            if value != ():
                attributes.append(Attribute(stored_name(name), value))
            self._skip()
        return tuple(attributes)

    def _name(self) -> str:
        """Read ``NAME =`` and the blanks behind it."""
        start = self._at
        found = NAME.match(self._text, start)
        if not found:
            self._refuse_stray()
        self._at, advice = found.end(), self._advice
        self._skip()
        if not self._sees("="):
            following = self._text[found.end() : found.end() + 1]
            if following and following in "-./:":
                self._fail(f"{following!r} cannot stand in a name", "a name holds letters, digits and _", start)
            self._fail("a word has no '=' behind it", advice or 'an attribute is NAME = "value"', start)
        self._at = _EQUAL.match(self._text, self._at).end()  # type: ignore[union-attr]  # "=" stands there
        return found[0]

    def _vector(self, name: str) -> Vector:
        """Read ``[ KEY = value, ... ]``; the first of two equal keys wins."""
        self._refuse_cdata_end(name)
        self._at += 1
        self._advice = ""
        self._skip()
        pairs: dict[str, str] = {}
        if not self._sees("]"):
            self._pair(name, pairs)
        while self._sees(","):
            self._at += 1
            self._skip()
            if self._sees("]"):
                self._fail(f"{name} ends in a comma", "take the last comma away")
            self._pair(name, pairs)
        if self._at == len(self._text):
            self._refuse_stray()
        if not self._sees("]"):
            self._fail(f"the keys of {name} end without a ]", self._advice or "put a comma between two keys")
        self._at += 1
        self._advice = ""
        return tuple(pairs.items())

    def _pair(self, vector: str, pairs: dict[str, str]) -> None:
        """Read ``KEY = value`` and what may stand in front of the next comma."""
        key = self._name()
        if key[0].isdigit():
            self._fail(f"the key {key} of {vector} begins with a digit", "OpenNebula could not read it back")
        if self._sees("["):
            self._fail(f"{key} of {vector} is a vector within a vector", 'write its value as text in "..."')
        pairs.setdefault(key.upper(), self._value(f"{key} of {vector}", in_vector=True))
        self._skip()

    def _value(self, name: str, *, in_vector: bool = False) -> str:
        """Read a value, unquoted or in double quotes."""
        if self._at == len(self._text) or (in_vector and self._sees("\n")):
            self._fail(f"{name} has no value", 'write "" for an empty value')
        if self._sees("\n"):
            self._advice = "a value begins on the line of its '='"
            return ""
        self._refuse_cdata_end(name)
        plain = _PLAIN.match(self._text, self._at)
        if not plain:
            self._fail(f"the value of {name} begins with {self._text[self._at]!r}", _IN_QUOTES)
        if self._sees('"'):
            return self._quoted(name, plain.end())
        if self._sees("'"):
            self._fail(f"the value of {name} stands in single quotes", 'only "..." quotes')
        if '"' in plain[0]:
            self._fail(f"the value of {name} holds a quote", r'put "..." around it, and write \" for a quote inside')
        self._at = plain.end()
        self._advice = _IN_QUOTES
        return plain[0]

    def _quoted(self, name: str, plain_end: int) -> str:
        """Read ``"..."``; ``plain_end`` is where an unquoted value would end: the lexer takes the longer of the two."""
        start = self._at + 1
        closing = _CLOSING_QUOTE.search(self._text, start)
        if not closing and self._text.find('"', start) >= 0:
            self._fail(f"the value of {name} ends in a backslash", _AS_XML)
        if not closing:
            self._fail(f"the value of {name} has no closing quote", 'put a " behind it')
        if plain_end > closing.end():
            self._fail(f"text follows the closing quote of {name}", r'inside of "..." write \" for a quote')
        raw = self._text[start : closing.start()]
        if CDATA_END in raw:
            self._fail(f"the value of {name} holds ]]>", "OpenNebula cannot store it")
        self._at = closing.end()
        self._advice = ""
        if '\\"\n' in raw:
            self._advice = rf"the quote of {name} is not closed by \" (line {self._line(start)}): {_AS_XML}"
        return raw.replace('\\"', '"')

    def _refuse_cdata_end(self, name: str) -> None:
        """Refuse ``]]>`` behind a '=' up to the end of the line, where the lexer takes it before all else."""
        if CDATA_END not in self._text:
            return
        end = self._text.find("\n", self._at)
        if self._text.find(CDATA_END, self._at, end if end >= 0 else len(self._text)) >= 0:
            self._fail(f"the line of {name} holds ]]>", "OpenNebula takes none, not even in a comment there")

    def _refuse_stray(self) -> NoReturn:
        if self._at == len(self._text):
            self._fail("a vector is not closed", "put a ] behind its last value")
        character = self._text[self._at]
        if character == "#":
            self._fail("the last line is a comment without a line end", "end the file with a newline")
        if character in ";/":
            self._fail(f"a stray {character!r}", self._advice or "a comment begins with #")
        if character == "<":
            self._fail("a stray '<'", "the XML form has to begin with the first character of the file")
        self._fail(f"a stray {character!r}", self._advice or 'an attribute is NAME = "value"')

    def _skip(self) -> None:
        """Step over blanks, newlines and comments; a comment without a newline is none."""
        start = self._at
        self._at = _SKIPPED.match(self._text, start).end()  # type: ignore[union-attr]  # it matches ""
        if self._advice == _IN_QUOTES and self._text.find("\n", start, self._at) >= 0:
            self._advice = ""

    def _sees(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _fail(self, problem: str, hint: str, at: int | None = None) -> NoReturn:
        raise TemplateSyntaxError(self._file, self._line(self._at if at is None else at), problem, hint=hint)
