"""What a check of the site file reports."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from b2ct.errors import Severity

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from b2ct.site.yaml import Loc


class Finding(NamedTuple):
    """One thing that is wrong, and where in the site file."""

    loc: Loc
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


def find_duplicates(what: str, values: Iterable[tuple[Loc, Hashable]]) -> Iterator[Finding]:
    """Report each value after its first occurrence; values that are None do not count."""
    seen: defaultdict[Hashable, list[Loc]] = defaultdict(list)
    for loc, value in values:
        if value is not None:
            seen[value].append(loc)
    for value, (first, *others) in seen.items():
        for loc in others:
            yield Finding(loc, f"{what} {value} is used twice", f"first in {'.'.join(map(str, first))}")
