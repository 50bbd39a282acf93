"""The command that gives virtual machines their credentials: credentials."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from b2ct.apply.credentials.round import Answering
from b2ct.apply.opennebula.connect import connect
from b2ct.cli.app import DryRunOption, JsonOption, SiteArgument, app, open_site
from b2ct.cli.output import align, escape, print_error, print_json, stderr
from b2ct.errors import RemoteError, UsageError
from b2ct.plan.credentials import Act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2ct.plan.credentials import Decision


@app.command()
def credentials(
    site: SiteArgument = Path("site.yaml"),
    *,
    watch: Annotated[
        int | None,
        typer.Option(min=10, max=3600, metavar="SECONDS", help="Look again every so often, until it is ended."),
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How long a proxy certificate holds.")] = 24,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer the site's virtual machines that ask for credentials; lasting ones stay on this machine.

    A virtual machine makes a key and asks through OneGate. It gets a short-lived proxy of central.certificate (DIRAC),
    or a token that only its key opens (HTCondor, DiracX), renewed when half of its time is over.
    """
    if watch is not None and as_json:
        raise UsageError("--json shows one round, --watch makes many", hint="leave one of them out")
    model = open_site(site, quiet=as_json)
    answering = Answering(model, site.parent, connect(model, site.parent), timedelta(hours=hours))
    if watch is not None:
        _watch(answering, watch, dry_run=dry_run)
        return
    decisions = answering.run(dry_run=dry_run)
    if as_json:
        print_json("credentials", {"applied": not dry_run, "machines": list(map(_document, decisions))})
        return
    _print(decisions)
    if dry_run:
        stderr().print("Nothing was changed: this was a dry run.")
    elif not decisions:
        stderr().print("No virtual machine of this site runs.")


def _watch(answering: Answering, period_s: int, *, dry_run: bool) -> None:
    """Make a round every ``period_s`` seconds and show what changed; a front-end that is away is waited for."""
    shown: set[tuple[int, Act, str]] = set()
    while True:
        try:
            decisions = answering.run(dry_run=dry_run)
        except RemoteError as error:
            print_error(error, as_json=False)
        else:
            now = {(one.machine.id, one.act, one.reason): one for one in decisions}
            _print([one for key, one in now.items() if one.act is Act.ANSWER or key not in shown])
            shown = {*now}
        time.sleep(period_s)


def _print(decisions: Sequence[Decision]) -> None:
    """Print a line for each machine; its name and VO are what users of the cloud wrote."""
    texts = [(one.act.value, str(one.machine.id), one.machine.name, one.vo, _words(one)) for one in decisions]
    rows = [[escape(text) for text in row] for row in texts]
    if rows:
        typer.echo("\n".join(align(rows)))


def _words(decision: Decision) -> str:
    """Return the reason, and until when the machine's credentials hold."""
    answered = decision.machine.answered
    if decision.act not in {Act.ANSWER, Act.KEEP} or answered is None or answered.key != decision.machine.key:
        return decision.reason
    return f"{decision.reason} (until {datetime.fromtimestamp(answered.expires_s, UTC):%Y-%m-%d %H:%M} UTC)"


def _document(decision: Decision) -> dict[str, object]:
    machine, answered = decision.machine, decision.machine.answered
    return {
        "act": decision.act.value,
        "id": machine.id,
        "name": machine.name,
        "vo": decision.vo,
        "reason": decision.reason,
        "key": machine.key,
        "expires_s": answered.expires_s if answered and answered.key == machine.key else None,
    }
