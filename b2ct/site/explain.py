"""Says in the words of a YAML file what its model has against it."""

from __future__ import annotations

import difflib
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


@cache
def _secret_keys() -> frozenset[str]:
    """Return the keys whose values refer to secrets: what stands there wrongly may be one, and is never shown."""
    parts = Site.model_json_schema()["$defs"].values()
    keys = (item for part in parts for item in part.get("properties", {}).items())
    return frozenset(key for key, value in keys if "vault:" in str(value))


def explain_error(file: str, document: Document, data: Any, details: ErrorDetails) -> Problem:  # noqa: ANN401 - as above
    """Return a pydantic error in the words of the site file."""
    loc, value = in_data(data, details["loc"])
    message, hint = details["msg"], ""
    context = details.get("ctx", {})
    shown = isinstance(value, str) and loc[-1:] and loc[-1] not in _secret_keys() and "@" not in value
    match details["type"]:
        case "extra_forbidden":
            key = str(details["loc"][-1])
            near = difflib.get_close_matches(key, _known_keys(), n=1)
            message, hint = "there is no such key", f"did you mean {near[0]}?" if near else ""
        case "missing" | "union_tag_not_found":
            loc = (*loc, context.get("discriminator", str(details["loc"][-1])).strip("'"))
            message = "is missing"
        case "string_pattern_mismatch":
            meaning = MEANINGS[context["pattern"]]
            message = f"has to be {meaning}"
            hint = "a secret itself never stands in the site file" if meaning == SECRET_MEANING else ""
        case "enum" | "literal_error" | "union_tag_invalid":
            message = f"has to be {context.get('expected') or context.get('expected_tags')}"
        case "model_type" | "model_attributes_type" | "dict_type":
            message = "has to hold keys and their values"
        case "tuple_type":
            message = "has to be a list"
        case "value_error":
            message = str(context["error"])
        case _:
            message = message[0].lower() + message[1:]
    too_small = details["type"] == "greater_than_equal" and context["ge"] >= SMALLEST_SIZE_BYTES
    if too_small and isinstance(value, str) and value.isdigit() and len(value) < 6:
        hint = "is the unit missing? such as 480GB"
    if shown and details["type"] not in {"extra_forbidden", "value_error"}:
        first, _, rest = message.partition(" ")
        message = f"{value!r} {rest if first in {'input', 'value'} else message}"
    return Problem(file, document.line(loc), dotted(loc), message, hint)
