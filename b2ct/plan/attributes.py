"""OpenNebula template text as data: attributes in their order, values as the server stores them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from b2ct.errors import B2ctError

Vector = tuple[tuple[str, str], ...]
"""The keys and values of a vector attribute, in their order; keys are upper-case and stand once."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: ``CPU = "2"`` holds text, ``DISK = [ IMAGE_ID = "4" ]`` a vector."""

    name: str
    value: str | Vector


Template = tuple[Attribute, ...]
"""A whole template; a name that stands several times makes a list, as NIC and DISK do."""

CDATA_END = "]]>"
"""What no value can hold, in whatever form it is sent: the server keeps it as ``<![CDATA[`` value ``]]>``
(``escape_xml`` in include/NebulaUtil.h) and could not read the object any more."""

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside of XML 1.0's ``Char``: no request to the server can hold them."""

NAME = re.compile(r"[A-Za-z0-9_]+")
"""``VARIABLE`` in src/parsers/template_parser.l."""

_BLANKS = " \t\n\r"
"""``isspace`` in the C locale, without what `ILLEGAL` excludes."""


class TemplateSyntaxError(B2ctError):
    """A template is not what OpenNebula reads, or not what its author means; the message names file and line."""

    def __init__(self, file: str, line: int, problem: str, *, hint: str) -> None:
        super().__init__(f"{file}:{line}: {problem}", hint=hint)
        self.file = file
        self.line = line


def stored_name(name: str) -> str:
    """Return an attribute's name as the server keeps it: upper-case, ``ONE_`` before what XML could not be called.

    The rule is the constructor in include/Attribute.h, applied again when the server reads the object back.
    """
    upper = name.upper()
    return f"ONE_{upper}" if upper[0].isdigit() or upper.startswith("XML") else upper


def first_value(template: Template, name: str) -> str | Vector | None:
    """Return the value of the first attribute called ``name``, or None."""
    return next((attribute.value for attribute in template if attribute.name == name), None)


def first_text(template: Template, name: str, key: str | None = None) -> str | None:
    """Return the first ``name``'s text, or with ``key`` that of the first ``name`` vector's key; None without one."""
    value = first_value(template, name)
    if key is None:
        return value if isinstance(value, str) else None
    return dict(value).get(key) if isinstance(value, tuple) else None


def set_values(template: Template, name: str, *values: str | Vector) -> Template:
    """Return ``template`` with ``values`` in the place of every attribute called ``name``; new ones come last."""
    names = [attribute.name for attribute in template]
    place = names.index(name) if name in names else len(names)
    others = [attribute for attribute in template if attribute.name != name]
    return (*others[:place], *(Attribute(name, value) for value in values), *others[place:])


def set_key(template: Template, name: str, key: str, text: str) -> Template:
    """Return ``template`` with ``key`` set in every vector called ``name``; without any, one is appended."""
    changed = tuple(_with_key(attribute, name, key, text) for attribute in template)
    found = any(attribute.name == name and isinstance(attribute.value, tuple) for attribute in template)
    return changed if found else (*template, Attribute(name, ((key, text),)))


def merge_templates(template: Template, extra: Template) -> Template:
    """Return ``template`` with all attributes of ``extra``, which take the place of those of the same name.

    This is what ``one.template.update`` with type 1 (merge) makes of the two.
    """
    for name in dict.fromkeys(attribute.name for attribute in extra):
        template = set_values(template, name, *(attribute.value for attribute in extra if attribute.name == name))
    return template


def stored_form(template: Template) -> Template:
    """Return what OpenNebula 7.4 stores of ``template``: sorted by name and key, values without blanks around them.

    6.10 to 7.2 sort too (``multimap`` in include/Template.h), but keep the blanks; to compare a wish with what a server
    holds, bring both into this form.
    """
    shaped = (
        Attribute(attribute.name, attribute.value.strip(_BLANKS))
        if isinstance(attribute.value, str)
        else Attribute(attribute.name, tuple(sorted((key, text.strip(_BLANKS)) for key, text in attribute.value)))
        for attribute in template
    )
    return tuple(sorted(shaped, key=lambda attribute: attribute.name))


def _with_key(attribute: Attribute, name: str, key: str, text: str) -> Attribute:
    if attribute.name != name or isinstance(attribute.value, str):
        return attribute
    return Attribute(name, tuple({**dict(attribute.value), key: text}.items()))
