"""Checks whether the files are there that a site file refers to for secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from b2ct.errors import Severity
from b2ct.site.central import HtcondorScheduler
from b2ct.site.explain import secret_keys
from b2ct.site.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from b2ct.site.model import Site
    from b2ct.site.yaml import Loc


def check_secret_files(site: Site, folder: Path) -> Iterator[Finding]:
    """Return a warning for each ``file:`` and ``vault:`` whose file is not there; ``folder`` is the site file's.

    Only a warning, since the file may be on the machine where it is needed.
    """
    for loc, reference in _references(site.model_dump(mode="json"), ()):
        kind, _, place = reference.partition(":")
        path = folder / (place.partition("#")[0] if kind == "vault" else place)
        if kind != "env" and not path.exists():
            made = isinstance(site.central, HtcondorScheduler) and loc == ("central", "token")
            hint = "b2ct register SITE --push makes it" if made else "paths start at the site file's folder"
            yield Finding(loc, f"{path} does not exist", hint, Severity.WARNING)


def _references(data: Any, here: Loc) -> Iterator[tuple[Loc, str]]:  # noqa: ANN401 - any part of a site
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str) and key in secret_keys() and value.startswith(("file:", "vault:")):
                yield (*here, key), value
            else:
                yield from _references(value, (*here, key))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from _references(value, (*here, i))
