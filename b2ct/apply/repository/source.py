"""Finds bundles wherever a site has them: those of B2CT, a folder, or a repository's URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.apply.repository.load import load_bundles_in, load_provided_bundles

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.assets import Assets
    from b2ct.plan.bundle import Bundle


def load_bundles(assets: Assets, site_folder: Path, source: str | None) -> tuple[Bundle, ...]:
    """Return the bundles of ``source``: None for those that B2CT provides, or a folder, relative to the site file's.

    Raises:
        SiteFileError: with every problem of every bundle.
        UsageError: the folder holds none.
    """
    if source is None:
        return load_provided_bundles(assets)
    return load_bundles_in(site_folder / source)
