"""The command that makes the central scheduler know a site: register."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from b2ct.apply.credentials.proxy import now_utc
from b2ct.apply.files import write_tree
from b2ct.apply.registration.dirac import Dirac
from b2ct.apply.registration.diracx import check_diracx
from b2ct.apply.registration.identity import Credentials, find_identity, load_machine_certificate
from b2ct.apply.registration.pool import LIFETIME_S, missing_identities, request_token, token_file
from b2ct.apply.registration.register import (
    apply_pending,
    plan_push,
    plan_registration,
    plan_unregister,
    read_mask,
)
from b2ct.cli.app import DryRunOption, ForceOption, JsonOption, SiteArgument, app, open_site
from b2ct.cli.bundle_source import find_site_bundles, make_trust
from b2ct.cli.output import align, escape, print_json, stderr
from b2ct.errors import B2ctError, ExitCode, UsageError
from b2ct.render.pool_registration import render_pool_registration
from b2ct.render.registration import render_registration
from b2ct.site.central import DiracScheduler, DiracxScheduler, HtcondorScheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.registration.dirac import Ask
    from b2ct.apply.registration.register import Pending
    from b2ct.plan.artifact import Artifact
    from b2ct.plan.dirac_cfg import Change
    from b2ct.plan.registration import Registration
    from b2ct.site.model import Site


class Mode(Enum):
    """What the command does."""

    WRITE = "write"
    PUSH = "push"
    CHECK = "check"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Wish:
    """How the command was called."""

    path: Path
    """The site file."""
    mode: Mode
    out: Path
    given: Credentials
    dry_run: bool
    yes: bool
    force: bool
    as_json: bool


OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")]
PushOption = Annotated[bool, typer.Option("--push", help="Do it: shows every change and asks.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Compare; exit code 1 if anything is missing.")]
RemoveOption = Annotated[bool, typer.Option("--remove", help="Take out what register made; shows it and asks.")]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Certificate or proxy to ask DIRAC with (default: $X509_USER_PROXY, else the site file's)."
    ),
]
KeyOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key, without a passphrase.")]
CaPathOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Certificate authorities (default: the site file's).")
]
GroupOption = Annotated[
    str | None, typer.Option(help="Group of DIRAC to act for (default: that of the proxy, or a host's rights).")
]
ChangeOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before something changes.")]


@app.command()
def register(  # noqa: PLR0913 - who asks, and what to do
    site: SiteArgument = Path("site.yaml"),
    *,
    out: OutOption = Path("registration"),
    push: PushOption = False,
    check: CheckOption = False,
    remove: RemoveOption = False,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    ca_path: CaPathOption = None,
    group: GroupOption = None,
    dry_run: DryRunOption = False,
    yes: ChangeOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the central scheduler know the site: write what its admins need, or with --push do it.

    DIRAC: a piece of configuration and a checklist. HTCondor: the pool's configuration; --push asks it for a token.
    DiracX: tells whether it knows the site.
    """
    modes = [mode for mode, wanted in ((Mode.PUSH, push), (Mode.CHECK, check), (Mode.REMOVE, remove)) if wanted]
    if len(modes) > 1:
        raise UsageError("--push, --check and --remove are three different things", hint="give one of them")
    mode = modes[0] if modes else Mode.WRITE
    given = Credentials(certificate, key, ca_path, group)
    _register(open_site(site, quiet=as_json), Wish(site, mode, out, given, dry_run, yes, force, as_json))


def _register(model: Site, wish: Wish) -> None:
    match model.central:
        case DiracScheduler() as dirac if wish.mode is Mode.REMOVE:
            _change_dirac(dirac, lambda ask: plan_unregister(ask, dirac, model.site), wish)
        case DiracScheduler() as dirac:
            bundles = find_site_bundles(wish.path, model, None, make_trust(model, None, unsigned=False))
            certificate = load_machine_certificate(dirac, wish.path.parent)
            _register_with_dirac(plan_registration(model, dirac, wish.path, bundles, certificate), wish)
        case DiracxScheduler() as diracx:
            _ask_diracx(model, diracx, wish)
        case HtcondorScheduler() as pool:
            _join_pool(model, pool, wish)
        case None:
            raise UsageError("the site file names no central scheduler", hint="central: {kind: dirac, ...}")


def _register_with_dirac(registration: Registration, wish: Wish) -> None:
    if wish.mode is Mode.WRITE:
        _write(wish, render_registration(registration))
        if registration.host is None and not wish.as_json:
            hint = "central.certificate names the certificate of the virtual machines, for their entry in the Registry"
            stderr().print(f"warning: no host is registered: {hint}", style="yellow", markup=False)
        return
    _change_dirac(registration.dirac, lambda ask: plan_push(ask, registration), wish)


def _change_dirac(scheduler: DiracScheduler, plan: Callable[[Ask], Pending], wish: Wish) -> None:
    """Show what a plan changes; check it, or have it applied."""
    with find_identity(scheduler, wish.path.parent, wish.given) as identity:
        dirac = Dirac(identity, scheduler.setup or "")
        pending = plan(dirac)
        if not wish.as_json:
            _print_changes(pending.changes, missing=wish.mode is Mode.CHECK)
        if wish.mode is Mode.CHECK:
            _report_check(dirac, pending, wish)
            return
        version = None
        if pending.changes and not wish.dry_run:
            _ask(pending, wish)
            version = apply_pending(dirac, pending)
        mask = None if wish.mode is Mode.REMOVE or wish.dry_run else read_mask(dirac, pending)
    advice = mask.advice if mask else ""
    if wish.as_json:
        more = {"applied": version is not None, "version": version or pending.snapshot.version}
        print_json("register", {"mode": wish.mode.value, "changes": pending.changes, **more, "advice": advice})
        return
    _say_done(pending, wish, version)
    if advice:
        stderr().print(f"Next: {escape(advice)}", markup=False)


def _say_done(pending: Pending, wish: Wish, version: str | None) -> None:
    if not pending.changes:
        nothing = "DIRAC has nothing that register made for this site."
        text = nothing if wish.mode is Mode.REMOVE else "Everything is as it should be."
    elif wish.dry_run:
        text = "Nothing was changed: this was a dry run."
    else:
        text = f"Done: DIRAC's configuration has version {version} now."
    stderr().print(escape(text), markup=False)


def _report_check(dirac: Dirac, pending: Pending, wish: Wish) -> None:
    """Say whether DIRAC has all that it needs; exit code 1 if not."""
    mask = read_mask(dirac, pending)
    if wish.as_json:
        more = {"version": pending.snapshot.version, "site_mask": mask.status, "advice": mask.advice}
        print_json("register", {"mode": wish.mode.value, "changes": pending.changes, **more})
    else:
        typer.echo(f"site mask: {escape(mask.status) or 'unknown'}")
        if pending.changes:
            count = len(pending.changes)
            stderr().print(f"{count} option{'s' if count > 1 else ''} of DIRAC's configuration differ.")
        if mask.advice:
            stderr().print(f"Next: {escape(mask.advice)}", markup=False)
        if not pending.changes and not mask.advice:
            stderr().print("Everything is as it should be.")
    if pending.changes or mask.advice:
        raise typer.Exit(ExitCode.FAILED)


def _print_changes(changes: tuple[Change, ...], *, missing: bool) -> None:
    """Print each option that changes, or that is not as it has to be, on a line of its own."""
    for change in changes:
        if change.now is None:
            line = f"{'missing' if missing else '+'} {change.path} = {change.wanted}"
        elif change.wanted is None:
            line = f"{'too much' if missing else '-'} {change.path} = {change.now}"
        else:
            line = f"{'differs' if missing else '~'} {change.path} = {change.now} -> {change.wanted}"
        typer.echo(escape(line))


def _ask(pending: Pending, wish: Wish) -> None:
    """Ask before anything changes; raises UsageError where nobody can be asked."""
    if wish.yes:
        return
    count = len(pending.changes)
    what = f"{count} option{'s' if count > 1 else ''} of DIRAC's configuration at {escape(pending.snapshot.master)}"
    if not sys.stdin.isatty():
        raise UsageError(f"this changes {what}", hint="--yes does it without asking, --dry-run only shows it")
    if not typer.confirm(f"Change {what}?", err=True):
        raise B2ctError("nothing was changed")


def _write(wish: Wish, artifacts: tuple[Artifact, ...]) -> None:
    paths = [wish.out / artifact.path for artifact in artifacts]
    if not wish.dry_run:
        write_tree(wish.out, artifacts, force=wish.force)
    if wish.as_json:
        print_json("register", {"mode": wish.mode.value, "files": paths, "applied": not wish.dry_run})
        return
    typer.echo("\n".join(map(str, paths)))
    if wish.dry_run:
        stderr().print("Nothing was written: this was a dry run.")


def _ask_diracx(site: Site, diracx: DiracxScheduler, wish: Wish) -> None:
    if wish.mode in {Mode.PUSH, Mode.REMOVE}:
        message = "DiracX takes no changes: it shows the configuration of DIRAC 9"
        raise UsageError(message, hint="register with `central: {kind: dirac, version: '9', ...}`")
    report = check_diracx(diracx, [community.name for community in site.vo], wish.path.parent)
    if wish.as_json:
        print_json("register", {"mode": wish.mode.value, "diracx": report})
    else:
        typer.echo("\n".join(align([[escape(text) for text in check] for check in report.checks])))
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)


def _join_pool(site: Site, pool: HtcondorScheduler, wish: Wish) -> None:
    if wish.mode is Mode.WRITE:
        _write(wish, render_pool_registration(site, pool, LIFETIME_S))
        return
    if wish.mode is Mode.REMOVE:
        hint = "its admins take the site's configuration out, and its tokens end by themselves"
        raise UsageError("a pool of HTCondor keeps no list of sites", hint=hint)
    path = token_file(pool, wish.path.parent)
    missing = missing_identities(site, pool, wish.path.parent, now_utc())
    asked = missing if wish.mode is Mode.PUSH and not wish.dry_run else ()
    for identity in asked:
        request_token(pool, identity, path, now_utc(), lambda line: stderr().print(escape(line), markup=False))
    if wish.as_json:
        print_json("register", {"mode": wish.mode.value, "file": path, "missing": missing, "applied": bool(asked)})
    else:
        for identity in missing:
            typer.echo(f"{'token added' if asked else 'no token'}: {identity}")
        if not missing:
            stderr().print("There is a token for every community.")
    if missing and wish.mode is Mode.CHECK:
        raise typer.Exit(ExitCode.FAILED)
