"""Commands about the VM agent: agent package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b2ct.apply.agent_package import PackageFormat, write_agent_packages
from b2ct.cli.app import ForceOption, JsonOption, app, site_assets
from b2ct.cli.output import print_json

agent_app = typer.Typer(no_args_is_help=True, help="The VM agent, which makes a virtual machine a worker.")
app.add_typer(agent_app, name="agent")


@agent_app.command("package")
def package(
    *,
    formats: Annotated[
        list[PackageFormat] | None, typer.Option("--format", help="Only this kind of package (default: both).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the packages.")] = Path("packages"),
    site: Annotated[
        Path, typer.Option("--site", metavar="SITE", help="The site file: overrides/ beside it count.")
    ] = Path("site.yaml"),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build the VM agent's packages, an RPM and a DEB, for images that B2CT does not build itself."""
    paths = write_agent_packages(site_assets(site), dict.fromkeys(formats or PackageFormat), out, force=force)
    if as_json:
        print_json("agent-package", {"packages": paths})
    else:
        typer.echo("\n".join(map(str, paths)))
