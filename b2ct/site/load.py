"""Reads a site file: YAML, then the model, then the checks that no parser makes; reports every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from b2ct.errors import Problem, Severity, SiteFileError, UsageError
from b2ct.site.check import check_site
from b2ct.site.explain import dotted, explain_error, in_data
from b2ct.site.findings import find_duplicates
from b2ct.site.model import Site
from b2ct.site.yaml import Document, Loc, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from b2ct.site.findings import Finding


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
    certain = (one for one in (check_site(site) if site else ()) if not _is_doubtful(one.loc, refused))
    findings = _locate((*certain, *_find_duplicates_unread(document.data, refused)), document, file)
    problems = tuple(sorted({*document.problems, *found, *findings}))
    return (None if found else site), problems


def locate_findings(findings: Iterable[Finding], path: Path) -> tuple[Problem, ...]:
    """Return findings about a site that was read from ``path`` as problems with their lines."""
    return _locate(findings, read_yaml(path.read_text(encoding="utf-8-sig"), str(path)), str(path))


def _locate(findings: Iterable[Finding], document: Document, file: str) -> tuple[Problem, ...]:
    return tuple(
        Problem(file, document.line(finding.loc), dotted(finding.loc), finding.message, finding.hint, finding.severity)
        for finding in findings
    )


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
            around, _ = in_data(data, details["loc"])
            missing = details["type"] == "missing"
            loc = (*around, str(details["loc"][-1])) if missing else around
            emptied = details["type"] == "too_short" and any(place[: len(loc)] == loc for place in refused)
            if loc not in refused and not emptied:
                problems.append(explain_error(file, document, data, details))
            drop.add(_enclosing_key(around))
            refused += [loc, _enclosing_key(around)]
        missing_at_top = {str(loc[0]) for loc in refused if len(loc) == 1} - set(data)
        if () in drop and not missing_at_top <= set(PLACEHOLDERS):
            return None, problems, refused
        data = {key: PLACEHOLDERS[key] for key in missing_at_top & set(PLACEHOLDERS)} | _without(data, drop - {()})


NAMED = {"hosts": "the host name", "users": "the user", "vo": "the community"}
"""Lists whose items have names of their own, and what the checks call those."""


def _find_duplicates_unread(data: dict[str, Any], refused: list[Loc]) -> Iterator[Finding]:
    """Report names that are used twice in lists that were left out as a whole, so that no check has seen them."""
    for section, what in NAMED.items():
        items = data.get(section)
        if (section,) in refused and isinstance(items, list):
            names = ((i, item.get("name")) for i, item in enumerate(items) if isinstance(item, dict))
            yield from find_duplicates(what, (((section, i, "name"), n) for i, n in names if isinstance(n, str)))


def _is_doubtful(loc: Loc, refused: list[Loc]) -> bool:
    """Return whether a finding at ``loc`` may only follow from values that were left out."""
    sections = {place[0] for place in refused if place}
    if "networks" in sections and (
        {"links", "nics", "network"} & set(loc) or loc[:1] in {("management",), ("networks",)}
    ):
        return True
    if sections & {"media", "opennebula"} and loc[0] in {"media", "opennebula"}:
        return True
    if ("central",) in refused and loc[-2:] == ("pilot", "kind"):
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
