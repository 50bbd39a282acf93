"""Reads a site file: YAML, then the model, then the checks that no parser makes; reports every problem at once."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from b2ct.errors import Problem, Severity, SiteFileError, UsageError
from b2ct.site.check import check_site
from b2ct.site.model import Site
from b2ct.site.types import MEANINGS, SECRET_MEANING, SiteModel
from b2ct.site.yaml import Document, Loc, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails


PLACEHOLDERS: dict[str, Any] = {
    "site": "site",
    "domain": "example.org",
    "media": {"distro": "almalinux", "version": "9"},
    "opennebula": {"version": "7.2"},
    "networks": {"service": {"cidr": "192.0.2.0/24"}},
}
"""What stands for a missing or refused value, so that the rest of the file can be checked all the same."""


def load_site(path: Path) -> Site:
    """Return the site that ``path`` describes.

    Raises:
        SiteFileError: with every problem found (warnings alone do not raise).
        UsageError: the file cannot be read.
    """
    site, problems = read_site(path)
    if site is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise SiteFileError(problems)
    return site


def read_site(path: Path) -> tuple[Site | None, tuple[Problem, ...]]:
    """Return the site, if it could be understood, and every problem found, warnings included.

    Raises:
        UsageError: the file cannot be read.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", hint="b2ct init writes a site file to start from") from error
    except UnicodeDecodeError as error:
        problem = Problem(file, 1, "", f"not UTF-8 text (byte {error.start})", "save the file as UTF-8")
        return None, (problem,)
    return read_site_text(text, file)


def read_site_text(text: str, file: str) -> tuple[Site | None, tuple[Problem, ...]]:
    """Return the same for the text of a site file; ``file`` is what problems call it."""
    document = read_yaml(text, file)
    if document.data is None:
        return None, document.problems or (Problem(file, 1, "", "the file is empty", "b2ct init writes one"),)
    if not isinstance(document.data, dict):
        return None, (Problem(file, 1, "", "the file has to hold keys such as site, domain, media and hosts"),)
    site, found, refused = _validate(file, document)
    findings = [
        Problem(file, document.line(finding.loc), _dotted(finding.loc), finding.message, finding.hint, finding.severity)
        for finding in (check_site(site) if site else ())
        if not _is_doubtful(finding.loc, refused)
    ]
    problems = tuple(sorted({*document.problems, *found, *findings}))
    return (None if found else site), problems


def _validate(file: str, document: Document) -> tuple[Site | None, list[Problem], list[Loc]]:
    """Return the site, what the model says against it, and the locations of those values.

    Values that the model refuses are left out and the rest is tried again, so that the checks of the whole site
    can still run; what they say about a value around one that was left out means nothing.
    """
    data = document.data
    problems: list[Problem] = []
    refused: list[Loc] = []
    while True:
        try:
            return Site.model_validate(data), problems, refused
        except ValidationError as error:
            errors = error.errors(include_url=False)
        drop: set[Loc] = set()
        for details in errors:
            around, _ = _in_data(data, details["loc"])
            missing = details["type"] == "missing"
            loc = (*around, str(details["loc"][-1])) if missing else around
            if loc not in refused:
                problems.append(_explain(file, document, data, details))
            drop.add(_enclosing_key(around))
            refused += [loc, _enclosing_key(around)]
        missing_at_top = {str(loc[0]) for loc in refused if len(loc) == 1} - set(data)
        if () in drop and not missing_at_top <= set(PLACEHOLDERS):
            return None, problems, refused
        data = {key: PLACEHOLDERS[key] for key in missing_at_top & set(PLACEHOLDERS)} | _without(data, drop - {()})


def _is_doubtful(loc: Loc, refused: list[Loc]) -> bool:
    """Return whether a finding at ``loc`` may only follow from values that were left out."""
    sections = {place[0] for place in refused if place}
    if "networks" in sections and (
        {"links", "nics", "network"} & set(loc) or loc[:1] in {("management",), ("networks",)}
    ):
        return True
    if sections & {"media", "opennebula"} and loc[0] in {"media", "opennebula"}:
        return True
    return any(place[: len(loc)] == loc for place in refused)


def _enclosing_key(loc: Loc) -> Loc:
    """Return the location up to its last key: a list loses no single items, so that positions stay true."""
    while loc and not isinstance(loc[-1], str):
        loc = loc[:-1]
    return loc


def _without(data: Any, locs: set[Loc], here: Loc = ()) -> Any:  # noqa: ANN401 - data as YAML gave it
    """Return a copy of the data without the keys at ``locs``; None when that is everything."""
    if here in locs:
        return None
    if isinstance(data, dict):
        return {key: _without(value, locs, (*here, key)) for key, value in data.items() if (*here, key) not in locs}
    if isinstance(data, list):
        return [_without(value, locs, (*here, i)) for i, value in enumerate(data)]
    return data


def _dotted(loc: Loc) -> str:
    return ".".join(map(str, loc))


def _in_data(data: Any, loc: Loc) -> tuple[Loc, Any]:  # noqa: ANN401 - data as YAML gave it
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


def _explain(file: str, document: Document, data: Any, details: ErrorDetails) -> Problem:  # noqa: ANN401 - as above
    """Return a pydantic error in the words of the site file."""
    loc, value = _in_data(data, details["loc"])
    message, hint = details["msg"], ""
    context = details.get("ctx", {})
    shown = isinstance(value, str) and loc[-1:] and loc[-1] not in _secret_keys() and "@" not in value
    match details["type"]:
        case "extra_forbidden":
            key = str(details["loc"][-1])
            near = difflib.get_close_matches(key, _known_keys(), n=1)
            message, hint = "there is no such key", f"did you mean {near[0]}?" if near else ""
        case "missing":
            loc = (*loc, str(details["loc"][-1]))
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
    if details["type"] == "greater_than_equal" and isinstance(value, str) and value.isdigit() and len(value) < 6:
        hint = "is the unit missing? such as 480GB"
    if shown and details["type"] not in {"extra_forbidden", "value_error"}:
        first, _, rest = message.partition(" ")
        message = f"{value!r} {rest if first in {'input', 'value'} else message}"
    return Problem(file, document.line(loc), _dotted(loc), message, hint)
