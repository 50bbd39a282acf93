"""Finds bundles wherever a site has them: those of B2CT, a folder, or a repository's URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.repository.client import cache_folder, open_repository
from b2ct.apply.repository.load import load_bundles_in, load_provided_bundles

if TYPE_CHECKING:
    from pathlib import Path

    import minisign

    from b2ct.assets import Assets
    from b2ct.plan.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe what a repository says."""

    public_key: minisign.PublicKey | None = None
    """The publisher's key."""
    unsigned: bool = False
    """The user's explicit choice to do without."""
    cache: Path | None = None
    """Where newness and bundles are kept; None: the user's cache folder."""


def load_bundles(
    assets: Assets, site_folder: Path, source: str | None, trust: Trust | None = None
) -> tuple[Bundle, ...]:
    """Return the bundles of ``source``, all versions.

    ``source`` is None for those that B2CT provides, a URL, or a folder, relative to the site file's. ``trust`` is for
    URLs; without it they are refused.

    Raises:
        SiteFileError: with every problem of every bundle.
        UsageError: the folder holds none, or nobody is trusted.
        B2ctError: whatever `client.open_repository` and `client.Repository.load` raise.
    """
    if source is None:
        return load_provided_bundles(assets)
    if is_repository(source):
        trust = trust or Trust()
        cache = trust.cache or cache_folder()
        return open_repository(source, trust.public_key, cache, unsigned=trust.unsigned).load_all()
    return load_bundles_in(site_folder / source)


def is_repository(source: str) -> bool:
    """Return whether bundles come from a repository on the network, and not from a folder."""
    return source.startswith(("http://", "https://"))
