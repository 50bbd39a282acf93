"""Registers a site with DIRAC, says what is missing, and takes the site out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.registration.dirac import Snapshot, ask_site_mask, commit, read_snapshot
from b2ct.errors import RemoteError, SiteFileError
from b2ct.plan.registration import make_registration
from b2ct.plan.registration_merge import Merged, merge, unmerge
from b2ct.site.load import locate_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from diraccfg import CFG

    from b2ct.apply.registration.dirac import Ask
    from b2ct.plan.bundle import Bundle
    from b2ct.plan.dirac_cfg import Change
    from b2ct.plan.registration import MachineCertificate, Registration
    from b2ct.site.central import DiracScheduler
    from b2ct.site.model import Site

ACTIVE = "Active"


@dataclass(frozen=True, slots=True)
class Pending:
    """What a command would change in DIRAC's configuration."""

    snapshot: Snapshot
    dirac: DiracScheduler
    merged: Merged
    make: Callable[[CFG], Merged]
    """Makes of any configuration what it has to become."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every option that would change."""
        return self.merged.changes


@dataclass(frozen=True, slots=True)
class MaskAnswer:
    """What DIRAC says about the site in its mask."""

    status: str
    """``Active``, ``Banned``; empty: it is not in it, or nobody can be asked."""
    advice: str
    """What to do; empty when the site gets jobs."""


def plan_registration(
    site: Site,
    dirac: DiracScheduler,
    path: Path,
    bundles: Sequence[Bundle],
    certificate: MachineCertificate | None,
) -> Registration:
    """Return what has to be registered; ``path`` is the site file.

    Raises:
        SiteFileError: a bundle of the site's ``vms`` is not at hand.
    """
    registration, findings = make_registration(site, dirac, bundles, certificate)
    if findings:
        raise SiteFileError(locate_findings(findings, path))
    return registration


def plan_push(ask: Ask, registration: Registration) -> Pending:
    """Read DIRAC's configuration and return what registering the site changes in it.

    Raises:
        RemoteError: it cannot be read.
        CfgError: a value cannot be written in it.
    """
    return _plan(ask, registration.dirac, lambda cfg: merge(cfg, registration))


def plan_unregister(ask: Ask, dirac: DiracScheduler, site: str) -> Pending:
    """Read DIRAC's configuration and return what taking a site out changes in it; raises RemoteError."""
    return _plan(ask, dirac, lambda cfg: unmerge(cfg, site))


def _plan(ask: Ask, dirac: DiracScheduler, make: Callable[[CFG], Merged]) -> Pending:
    snapshot = read_snapshot(ask, dirac.configuration_servers)
    return Pending(snapshot, dirac, make(snapshot.cfg), make)


def apply_pending(ask: Ask, pending: Pending) -> str:
    """Commit the changes, read the configuration again, and return its version.

    Raises:
        ChangedMeanwhileError: somebody else was faster; nothing was changed.
        UnauthorizedError: the certificate may not.
        RemoteError: DIRAC did not take it, or has something else now.
    """
    commit(ask, pending.snapshot, pending.merged.text)
    after = read_snapshot(ask, (pending.snapshot.master,))
    again = pending.make(after.cfg)
    if again.changes:
        message = f"DIRAC took the change, and {again.changes[0].path} is not as it has to be now"
        raise RemoteError(message, hint="somebody else may have changed it; run the same command again")
    return after.version


def read_mask(ask: Ask, pending: Pending) -> MaskAnswer:
    """Return whether DIRAC sends jobs to the site, and what to do where it does not."""
    dirac = pending.dirac
    advice = f"an Operator of DIRAC has to: dirac-admin-allow-site {dirac.site_name} ready"
    try:
        status = ask_site_mask(ask, pending.snapshot, dirac.site_name, dirac.setup)
    except RemoteError as error:
        return MaskAnswer("", f"the site mask could not be read ({error.message}); {advice}")
    return MaskAnswer(status, "" if status == ACTIVE else advice)
