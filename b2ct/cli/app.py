"""The Typer application, and the options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from b2ct import __version__
from b2ct.assets import Assets
from b2ct.cli.output import print_problems, stderr
from b2ct.errors import Severity, SiteFileError
from b2ct.site.load import read_site

if TYPE_CHECKING:
    from b2ct.site.model import Site

ORDER = (
    *("init", "check", "schema", "eject"),
    *("render", "build-iso", "inspect-iso"),
    *("image", "agent", "bundle", "import-templates", "marketplace", "contextualize", "register", "credentials"),
)
"""The commands as a site meets them: describe it, install its hosts, run its virtual machines."""


class _InOrder(TyperGroup):
    """Lists the commands in ``ORDER``; raises ValueError for one that is not in it."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # its base class is private
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="b2ct",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SiteArgument = Annotated[Path, typer.Argument(metavar="SITE", help="The site file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
StockOption = Annotated[
    Path | None, typer.Option("--stock", metavar="ISO", help="Stock install ISO (default: media.iso of the site file).")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before something is removed.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would happen.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's form of a callback
    if wanted:
        typer.echo(f"b2ct {__version__}")
        raise typer.Exit


@app.callback()
def start(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """From bare metal to a scientific cloud: one site file makes the install media, the hosts and the cloud."""


def open_site(path: Path, *, quiet: bool = False) -> Site:
    """Return the site, its warnings shown.

    Raises:
        SiteFileError: the site file is wrong.
        UsageError: it cannot be read.
    """
    site, problems = read_site(path)
    if site is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise SiteFileError(problems)
    if not quiet:
        print_problems(problems)
    return site


def site_assets(path: Path) -> Assets:
    """Return the data files for a site: its folder's ``overrides/`` come first; says which of them mean nothing."""
    assets = Assets(path.parent / "overrides")
    for stray in assets.strays():
        stderr().print(f"{stray}: takes the place of nothing; b2ct eject --list shows the names", style="yellow")
    return assets
