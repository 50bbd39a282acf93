"""Says in the words of a YAML file what its model has against it."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from b2ct.errors import Problem
from b2ct.site.model import Site
from b2ct.site.types import MEANINGS, SECRET_MEANING, SiteModel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from b2ct.site.yaml import Document, Loc


SMALLEST_SIZE_BYTES = 1024**2
"""What has to be larger is a size; smaller numbers may lack their unit."""

PLAIN_WORDS = {
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "int_type": "has to be a whole number",
    "bool_parsing": "has to be true or false",
    "bool_type": "has to be true or false",
    "string_type": "has to be text",
    "string_too_short": "is empty",
    "string_too_long": "has to be at most {max_length} characters long",
    "byte_size": "has to be a size with its unit, such as 480GB",
    "byte_size_unit": "has to be a size with its unit, such as 480GB",
    "greater_than_equal": "has to be at least {ge}",
    "less_than_equal": "has to be at most {le}",
    "too_short": "has to hold at least {min_length}",
    "model_type": "has to hold keys and their values",
    "model_attributes_type": "has to hold keys and their values",
    "dict_type": "has to hold keys and their values",
    "tuple_type": "has to be a list",
}
"""What pydantic's errors are in the words of people who write a site file."""

MOST_KEYS_NAMED = 12
"""So many keys are a help; more are not."""


def dotted(loc: Loc) -> str:
    """Return a location as people write it, ``hosts.1.disks.0``."""
    return ".".join(map(str, loc))


def in_data(data: Any, loc: Loc) -> tuple[Loc, Any]:  # noqa: ANN401 - data as YAML gave it
    """Return the part of a pydantic location that exists in the data, and the value there.

    pydantic puts the names of union members (``dirac``, ``is-instance[...]``) and ``[key]`` between the keys.
    """
    kept: list[str | int] = []
    for step in loc:
        inside = isinstance(data, dict) and step in data
        if not inside and not (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            continue
        data = data[step]
        kept.append(step)
    return tuple(kept), data


@cache
def _known_keys() -> tuple[str, ...]:
    def below(model: type[SiteModel]) -> set[str]:
        return set(model.model_fields).union(*map(below, model.__subclasses__()))

    return tuple(sorted(below(SiteModel)))


def _keys_here(loc: Loc) -> tuple[str, ...]:
    """Return the keys that the mapping at a pydantic location may have.

    A step that is no key chooses among alternatives by their ``kind`` (``htcondor``), or says nothing (``mapping``).
    """
    schema = Site.model_json_schema()
    here = _alternatives(schema, schema)
    for step in loc:
        below = [
            one
            for part in here
            for inside in (
                part.get("items") if isinstance(step, int) else part.get("properties", {}).get(step),
                part.get("additionalProperties") or None,
            )
            if inside
            for one in _alternatives(inside, schema)
        ]
        chosen = [part for part in here if part.get("properties", {}).get("kind", {}).get("const") == step]
        here = below or chosen or here
    return tuple(sorted({key for part in here for key in part.get("properties", {})}))


def _alternatives(part: Any, schema: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON Schema
    """Return all that may stand where ``part`` is said."""
    if not isinstance(part, dict):
        return []
    if "$ref" in part:
        return [schema["$defs"][part["$ref"].rsplit("/", 1)[1]]]
    found = [one for key in ("anyOf", "oneOf") for inside in part.get(key, ()) for one in _alternatives(inside, schema)]
    return found or [part]


def _explain_key(data: Any, loc: Loc) -> tuple[str, str]:  # noqa: ANN401 - as above
    """Return what is wrong with a key that is not known, and what to do."""
    *around, key = loc
    here = _keys_here(tuple(around))
    near = difflib.get_close_matches(str(key), here, n=1)
    _, parent = in_data(data, tuple(around))
    kind = parent.get("kind") if isinstance(parent, dict) and "kind" in here else None
    message = f"the kind {kind} has no such key" if kind else "there is no such key"
    if near:
        return message, f"did you mean {near[0]}?"
    if 0 < len(here) <= MOST_KEYS_NAMED:
        return message, f"the keys here are {', '.join(here)}" if len(here) > 1 else f"the only key here is {here[0]}"
    elsewhere = difflib.get_close_matches(str(key), set(_known_keys()) - {key}, n=1)
    return message, f"did you mean {elsewhere[0]}?" if elsewhere else ""


def _explain_choice(expected: str, value: object) -> tuple[str, str]:
    """Return what a value has to be of a closed set, ``'a', 'b' or 'c'``, and which of them may be meant."""
    choices = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    return f"has to be {'one of ' if len(choices) > 1 else ''}{expected}", f"did you mean {near[0]}?" if near else ""


@cache
def secret_keys() -> frozenset[str]:
    """Return the keys whose values refer to secrets: what stands there wrongly may be one, and is never shown."""
    parts = Site.model_json_schema()["$defs"].values()
    keys = (item for part in parts for item in part.get("properties", {}).items())
    return frozenset(key for key, value in keys if "vault:" in str(value))


def explain_error(file: str, document: Document, data: Any, details: ErrorDetails) -> Problem:  # noqa: ANN401 - as above
    """Return a pydantic error in the words of the site file."""
    loc, value = in_data(data, details["loc"])
    message, hint = details["msg"], ""
    context = details.get("ctx", {})
    shown = isinstance(value, str) and value and loc[-1:] and loc[-1] not in secret_keys() and "@" not in value
    match details["type"]:
        case "extra_forbidden":
            message, hint = _explain_key(data, details["loc"])
        case "missing" | "union_tag_not_found":
            loc = (*loc, context.get("discriminator", str(details["loc"][-1])).strip("'"))
            message = "is missing"
        case "string_pattern_mismatch":
            meaning = MEANINGS[context["pattern"]]
            message = f"has to be {meaning}"
            hint = "a secret itself never stands in the site file" if meaning == SECRET_MEANING else ""
        case "enum" | "literal_error":
            message, hint = _explain_choice(context["expected"], value)
        case "union_tag_invalid":
            loc = (*loc, context["discriminator"].strip("'"))
            message, hint = _explain_choice(context["expected_tags"], context["tag"])
            message = f"{context['tag']!r} {message}"
        case "value_error":
            message = str(context["error"])
        case kind:
            known = PLAIN_WORDS.get(kind)
            message = known.format(**context) if known else message[0].lower() + message[1:]
    too_small = details["type"] == "greater_than_equal" and context["ge"] >= SMALLEST_SIZE_BYTES
    message = "has to be at least 1MiB" if too_small else message
    if too_small and isinstance(value, str) and value.isdigit() and len(value) < 6:
        hint = "is the unit missing? such as 480GB"
    if shown and details["type"] not in {"extra_forbidden", "value_error"}:
        first, _, rest = message.partition(" ")
        message = f"{value!r} {rest if first in {'input', 'value'} else message}"
    return Problem(file, document.line(loc), dotted(loc), message, hint)
