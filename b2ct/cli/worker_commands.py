"""The command that turns a machine which knows only an SSH key into a worker: contextualize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from b2ct.apply.contextualize import ContextualizeRequest, contextualize_host
from b2ct.apply.publish import find_bundles
from b2ct.apply.ssh import SshTarget
from b2ct.cli.app import JsonOption, app, open_site, site_assets
from b2ct.cli.output import print_json, stderr
from b2ct.errors import UsageError
from b2ct.plan.publication import worker_context
from b2ct.render.agent_conf import AgentSettings


@app.command()
def contextualize(  # noqa: PLR0913 - what ssh has to know, and what the worker is for
    host: Annotated[str, typer.Argument(metavar="HOST", help="Name or address of the machine.")],
    *,
    site: Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")] = Path("site.yaml"),
    vo: Annotated[str | None, typer.Option(help="Community to work for (default: the site's only one).")] = None,
    user: Annotated[str, typer.Option(help="Login: root, or a user with sudo without password.")] = "root",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of SSH.")] = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", "-i", metavar="FILE", exists=True, dir_okay=False, help="Private key.")
    ] = None,
    known_hosts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Host keys to trust (default: ~/.ssh/known_hosts).")
    ] = None,
    accept_new: Annotated[
        bool, typer.Option("--accept-new", help="Trust a host whose key was never seen; never a changed key.")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, max=3600, help="Seconds until it has to be ready.")] = 300,
    as_json: JsonOption = False,
) -> None:
    """Make a worker of a machine that knows only an SSH key: copy the VM agent, start it, wait until it is ready."""
    model = open_site(site, quiet=as_json)
    names = [community.name for community in model.vo]
    if vo is None and len(names) == 1:
        vo = names[0]
    if vo not in names:
        raise UsageError(f"there is no community {vo}" if vo else "which community?", hint=f"--vo: {', '.join(names)}")
    assets = site_assets(site)
    context = worker_context(model, find_bundles(assets, site.parent), vo)
    request = ContextualizeRequest(
        SshTarget(host, user, port, identity, known_hosts, accept_new),
        AgentSettings.from_context(context),
        timeout_s=timeout,
    )
    report = contextualize_host(request, assets)
    if as_json:
        print_json("contextualize", {"report": report})
        return
    for name, verdict, detail in report.checks:
        typer.echo(f"{verdict:8} {name} {detail}".rstrip())
    changed = f"{len(report.changed)} files and units changed" if report.changed else "nothing had to be changed"
    stderr().print(f"{report.host} is ready: {changed}.")
