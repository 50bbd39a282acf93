"""Writes what OpenNebula reads: template text, its XML form, and the names of objects."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from b2ct.errors import B2ctError
from b2ct.plan.attributes import CDATA_END, ILLEGAL, NAME, Attribute, stored_name
from b2ct.render.quoting import Quoted, QuotingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.attributes import Template

NAME_MAX_BYTES = 128
"""Of UTF-8; ``PoolObjectSQL::name_is_valid`` in src/pool/PoolObjectSQL.cc counts bytes, and calls them characters."""

_NOT_IN_NAMES = re.compile("[" + re.escape("&|:\\\";/'#{}$<>") + "\t\n\v\f\r]|" + ILLEGAL.pattern)
"""``INVALID_NAME_CHARS`` in src/pool/PoolObjectSQL.cc, and what no request can hold."""


class ObjectNameError(B2ctError):
    """OpenNebula takes no object of this name."""


def check_object_name(name: str) -> None:
    """Raise ObjectNameError unless every OpenNebula from 6.10 to 7.4 takes and keeps ``name`` for an object.

    Blanks at the ends are refused although the servers take them: 6.10 keeps those in front, 7.4 keeps none, so that
    the object would not be found again by its name.
    """
    if not name:
        raise ObjectNameError("an OpenNebula object needs a name, and this one is empty", hint="set NAME")
    if found := _NOT_IN_NAMES.search(name):
        hint = "letters, digits, blanks and . , - _ @ ( ) can stand there"
        raise ObjectNameError(f"{name!r}: an OpenNebula name cannot hold {found[0]!r}", hint=hint)
    if name != name.strip():
        raise ObjectNameError(f"{name!r}: an OpenNebula name cannot begin or end with a blank", hint="take it away")
    if (size := len(name.encode())) > NAME_MAX_BYTES:
        hint = f"at most {NAME_MAX_BYTES} bytes of UTF-8"
        raise ObjectNameError(f"{name[:40]!r}...: an OpenNebula name of {size} bytes is too long", hint=hint)


def one_quote(value: str) -> Quoted:
    r"""Return ``value`` in double quotes for template text; ``\"`` is the only escape that OpenNebula knows.

    Raises:
        QuotingError: the value ends in a backslash, which would swallow the closing quote, or no server can hold it.
            The message does not show the value; it may be a secret.
    """
    _check_storable(value)
    if value.endswith("\\"):
        raise QuotingError("OpenNebula's template text cannot hold a value that ends in a backslash")
    return Quoted('"' + value.replace('"', '\\"') + '"')


def render_template(template: Template) -> str:
    r"""Return ``template`` as OpenNebula's template text, one attribute or key a line, in the given order.

    When a value ends in a backslash, which the text form cannot say, the whole comes out in the XML form.

    Raises:
        QuotingError: no form can hold a value (``]]>``, a carriage return or another control character), a name is not
            as the server would keep it, a vector is empty or a key stands in it twice. The message names the attribute.
    """
    for attribute in template:
        _check_attribute(attribute)
    if any(text.endswith("\\") for attribute in template for _, text in _pairs(attribute)):
        return "<TEMPLATE>\n" + "".join(map(_xml_attribute, template)) + "</TEMPLATE>\n"
    return "".join(map(_text_attribute, template))


def _text_attribute(attribute: Attribute) -> str:
    if isinstance(attribute.value, str):
        return f"{attribute.name} = {one_quote(attribute.value)}\n"
    keys = ",\n".join(f"  {key} = {one_quote(text)}" for key, text in attribute.value)
    return f"{attribute.name} = [\n{keys} ]\n"


def _xml_attribute(attribute: Attribute) -> str:
    if isinstance(attribute.value, str):
        return "  " + _xml_element(attribute.name, attribute.value)
    keys = "".join("    " + _xml_element(key, text) for key, text in attribute.value)
    return f"  <{attribute.name}>\n{keys}  </{attribute.name}>\n"


def _xml_element(name: str, text: str) -> str:
    """Return one element; an empty value is a CDATA section, since the server drops an empty element."""
    return f"<{name}>{escape(text, quote=False) or '<![CDATA[]]>'}</{name}>\n"


def _pairs(attribute: Attribute) -> Iterator[tuple[str, str]]:
    """Return every value of an attribute with the words that name it in an error."""
    if isinstance(attribute.value, str):
        yield attribute.name, attribute.value
    else:
        yield from ((f"{key} of {attribute.name}", text) for key, text in attribute.value)


def _check_attribute(attribute: Attribute) -> None:
    """Refuse what would come back from the server as something else."""
    name, value = attribute.name, attribute.value
    if not NAME.fullmatch(name) or stored_name(name) != name:
        raise QuotingError(f"{name!r}: not a name that OpenNebula keeps for an attribute", hint="A to Z, 0 to 9 and _")
    if not isinstance(value, str):
        for key, _ in value:
            if not NAME.fullmatch(key) or key.upper() != key or key[0].isdigit():
                raise QuotingError(f"{key!r}: not a key that OpenNebula keeps in {name}", hint="A to Z, 0 to 9 and _")
        if not value:
            raise QuotingError(f"{name}: OpenNebula drops an empty vector", hint="leave it out")
        if len(dict(value)) < len(value):
            raise QuotingError(f"{name}: OpenNebula keeps only one of two equal keys", hint="leave one out")
    for where, text in _pairs(attribute):
        try:
            _check_storable(text)
        except QuotingError as error:
            raise QuotingError(f"{where}: {error}") from error


def _check_storable(value: str) -> None:
    if CDATA_END in value:
        raise QuotingError("OpenNebula cannot store ]]>")
    if found := ILLEGAL.search(value) or re.search("\r", value):
        raise QuotingError(f"OpenNebula cannot store the character U+{ord(found[0]):04X}")
