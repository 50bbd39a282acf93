"""The options that say where bundles come from, and whom to believe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from b2ct.apply.publish import find_bundles
from b2ct.apply.repository.source import Trust
from b2ct.apply.signature import load_public_key, make_public_key
from b2ct.cli.app import open_site, site_assets

if TYPE_CHECKING:
    from b2ct.plan.bundle import Bundle
    from b2ct.site.model import Site

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FOLDER|URL",
        help="Look for bundles there too: a folder, or a repository (default: sources.bundles of the site file).",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|KEY",
        help="minisign key of the repository (default: sources.bundles_key of the site file).",
    ),
]
UnsignedOption = Annotated[bool, typer.Option("--unsigned", help="Believe a repository that nobody signed.")]


def make_trust(site: Site | None, key: str | None, *, unsigned: bool) -> Trust:
    """Return whom to believe; the option comes before the site file."""
    text = key or (site.sources.bundles_key if site else None)
    if text is None:
        return Trust(unsigned=unsigned)
    is_key = text.startswith("RW") and not Path(text).is_file()  # as every key of minisign does
    public_key = make_public_key(text) if is_key else load_public_key(Path(text))
    return Trust(public_key, unsigned=unsigned)


def find_site_bundles(path: Path, site: Site | None, source: str | None, trust: Trust) -> tuple[Bundle, ...]:
    """Return all bundles that a site can use; ``path`` is the site file, which need not be there."""
    where = source or (site.sources.bundles if site else None)
    return find_bundles(site_assets(path), path.parent, where, trust)


def open_site_if_there(path: Path, *, quiet: bool) -> Site | None:
    """Return the site, None where the file does not exist."""
    return open_site(path, quiet=quiet) if path.exists() else None
