"""Quoting for the languages that values of a site end in: kickstart, shell, boot menus, configuration files."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from b2ct.errors import B2ctError
from b2ct.plan.model import FromCard, Word

if TYPE_CHECKING:
    from collections.abc import Iterable

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters and everything else at which str.splitlines, and so pykickstart, ends a line."""

PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=~^*-]+")
"""Words that no language here gives a meaning to."""


class QuotingError(B2ctError):
    """A value cannot be written in the language that it has to go into."""


class Quoted(str):
    """Text that is safe where a quoting function put it."""

    __slots__ = ()


def ks_quote(value: str) -> Quoted:
    r"""Return ``value`` as one word of a kickstart command, by shlex's POSIX rules.

    Raises:
        QuotingError: the value holds a control character; a kickstart command cannot hold one.
    """
    if UNPRINTABLE.search(value):
        raise QuotingError(f"{value!r}: a kickstart cannot hold control characters")
    return Quoted('"' + re.sub(r'(["\\])', r"\\\1", value) + '"')


def sh_quote(value: str | int) -> Quoted:
    """Return ``value`` as one word of bash, on one line whatever it holds.

    Raises:
        QuotingError: the value holds a NUL or half a surrogate pair, which no shell word can.
    """
    value = str(value)
    if not UNPRINTABLE.search(value):
        return Quoted("'" + value.replace("'", "'\\''") + "'")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise QuotingError(f"{value!r}: not Unicode text") from error
    if 0 in data:
        raise QuotingError(f"{value!r}: a shell word cannot hold NUL")
    return Quoted("$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\{b:03o}" for b in data) + "'")


def sh_words(values: Iterable[str]) -> Quoted:
    """Return ``values`` as words of bash, blanks between."""
    return Quoted(" ".join(map(sh_quote, values)))


def word(value: Word | int) -> Quoted:
    """Return a value for a configuration file inside an unquoted here-document: a plain word, or its look-up.

    Raises:
        QuotingError: the value holds anything that a file's or the shell's syntax could take for its own.
    """
    if isinstance(value, FromCard):
        return Quoted(f"$(b2ct_card_{value.fact} {sh_quote(value.key)})")
    text = str(value)
    if not PLAIN.fullmatch(text):
        raise QuotingError(f"{text!r}: only letters, digits and _ . , : / @ % + = ~ ^ * - can stand here")
    return Quoted(text)


def commas(values: Iterable[Word], separator: str = ",") -> Quoted:
    """Return plain words with ``separator`` between them."""
    return Quoted(separator.join(map(word, values)))


def verbatim(text: str) -> Quoted:
    """Return text of our own data files unchanged."""
    return Quoted(text)


def grub_quote(value: str) -> Quoted:
    r"""Return ``value`` as one word of a GRUB 2 script (GRUB manual, "Quoting": nothing is special inside ``'``).

    Raises:
        QuotingError: the value holds a control character.
    """
    if UNPRINTABLE.search(value):
        raise QuotingError(f"{value!r}: a boot menu cannot hold control characters")
    return Quoted("'" + value.replace("'", "'\\''") + "'")


def isolinux_text(value: str) -> Quoted:
    """Return ``value`` for a text line of isolinux.cfg: no ``^`` (it marks hot keys), ASCII only.

    Raises:
        QuotingError: the value holds a control character.
    """
    if UNPRINTABLE.search(value):
        raise QuotingError(f"{value!r}: a boot menu cannot hold control characters")
    return Quoted(value.replace("^", "").encode("ascii", "replace").decode("ascii"))


def base64_lines(data: bytes) -> Quoted:
    """Return ``data`` as base64 (RFC 2045 6.8) for a here-document: no line of it means anything to anybody."""
    return Quoted(base64.encodebytes(data).decode().rstrip("\n"))
