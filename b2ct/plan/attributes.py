"""OpenNebula template text as data: attributes in their order, values as the server stores them."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[tuple[str, str], ...]
"""The keys and values of a vector attribute, in their order; keys are upper-case and stand once."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: ``CPU = "2"`` holds text, ``DISK = [ IMAGE_ID = "4" ]`` a vector."""

    name: str
    value: str | Vector


Template = tuple[Attribute, ...]
"""A whole template; a name that stands several times makes a list, as NIC and DISK do."""


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


def _with_key(attribute: Attribute, name: str, key: str, text: str) -> Attribute:
    if attribute.name != name or isinstance(attribute.value, str):
        return attribute
    return Attribute(name, tuple({**dict(attribute.value), key: text}.items()))
