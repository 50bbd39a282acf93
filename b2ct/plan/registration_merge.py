"""Decides what changes in DIRAC's configuration when a site is registered, and when it is taken out again.

What B2CT made in a section is written down in the section's comment, one line a site, so that it can be told from what
others made: ``b2ct register torino: CEType, VO``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.plan.dirac_cfg import (
    Change,
    all_sections,
    compare,
    drop_empty,
    drop_option,
    find_section,
    get_option,
    make_section,
    set_option,
    split_list,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from diraccfg import CFG

    from b2ct.plan.dirac_cfg import Path
    from b2ct.plan.registration import Registration, Section

LISTS = frozenset({"Properties"})
"""Options whose items others may add to: all of ours have to be there, and more may be."""

_MARK = re.compile(r"b2ct register (?P<site>[a-z0-9-]+):(?P<options>.*)")


@dataclass(frozen=True, slots=True)
class Merged:
    """A configuration as it has to become, and what that changes."""

    text: str
    changes: tuple[Change, ...]


def merge(current: CFG, registration: Registration) -> Merged:
    """Return the configuration with the site registered; what others made stays as it is.

    What an earlier registration of this site made, and what is not wanted any more, goes.

    Raises:
        CfgError: a value cannot be written, or an option is where a section has to be.
    """
    after = current.clone()
    wanted = {section.path: section for section in registration.sections}
    _drop_made(after, registration.site, {path: dict(section.options) for path, section in wanted.items()})
    for section in registration.sections:
        _register(after, registration.site, section)
    return Merged(str(after), compare(current, after))


def unmerge(current: CFG, site: str) -> Merged:
    """Return the configuration without what B2CT registered for a site."""
    after = current.clone()
    _drop_made(after, site, {})
    return Merged(str(after), compare(current, after))


def _register(cfg: CFG, site: str, section: Section) -> None:
    target = make_section(cfg, section.path)
    marks = _made_by(cfg, section.path)
    made, known = set(marks.get(site, ())), {name for names in marks.values() for name in names}
    for name, value in section.options:
        now = get_option(cfg, section.path, name)
        if now is not None and name not in made and section.defaults:
            continue
        text = _joined(now, value) if name in LISTS else value
        if now != text:
            set_option(target, name, text)
            if now is None or name not in LISTS:
                made.add(name)
        elif name in known:
            made.add(name)
    _write_mark(cfg, section.path, site, [name for name, _ in section.options if name in made])


def _joined(now: str | None, value: str) -> str:
    """Return a list with the items that are there, and those that have to be."""
    return ", ".join(dict.fromkeys((*split_list(now or ""), *split_list(value))))


def _drop_made(cfg: CFG, site: str, keep: Mapping[Path, Iterable[str]]) -> None:
    """Take away what was made for a site, but the options to keep and those that another site made too."""
    marked = [(path, comment) for path, comment in all_sections(cfg) if site in _read_marks(comment)]
    for path, comment in reversed(marked):
        marks = _read_marks(comment)
        others = {name for one, names in marks.items() if one != site for name in names}
        kept = [name for name in marks[site] if name in keep.get(path, ())]
        _write_mark(cfg, path, site, kept)
        for name in set(marks[site]) - set(kept) - others:
            drop_option(cfg, path, name)
        drop_empty(cfg, path)


def _made_by(cfg: CFG, path: Path) -> dict[str, tuple[str, ...]]:
    """Return which options of a section were made for which site."""
    parent = find_section(cfg, path[:-1])
    return _read_marks(parent.getComment(path[-1])) if parent is not None and parent.existsKey(path[-1]) else {}


def _read_marks(comment: str) -> dict[str, tuple[str, ...]]:
    found = (_MARK.fullmatch(line.strip()) for line in comment.split("\n"))
    return {match["site"]: split_list(match["options"]) for match in found if match}


def _write_mark(cfg: CFG, path: Path, site: str, names: list[str]) -> None:
    """Write down in a section's comment what was made in it for a site, and leave the other lines as they are."""
    parent = find_section(cfg, path[:-1])
    if parent is None or not parent.existsKey(path[-1]):
        return
    lines = [line.strip() for line in parent.getComment(path[-1]).split("\n")]
    others = [line for line in lines if line and site not in _read_marks(line)]
    mark = [f"b2ct register {site}: {', '.join(names)}"] if names else []
    parent.setComment(path[-1], "\n".join((*others, *mark)))
