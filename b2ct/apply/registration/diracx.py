"""Asks DiracX whether it knows a site, and whether the site's token is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from b2ct.apply.credentials.tokens import TokenError, refresh_access_token
from b2ct.errors import RemoteError

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.site.central import DiracxScheduler

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class DiracxReport:
    """What DiracX says."""

    checks: tuple[tuple[str, str, str], ...]
    """Name, ``ok``, ``failed`` or ``skipped``, and what was found."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(state != "failed" for _, state, _ in self.checks)


def check_diracx(diracx: DiracxScheduler, folder: Path) -> DiracxReport:
    """Return whether the site is in DiracX's configuration, and whether its token gives access.

    Using a refresh token replaces it: the new one is written into its file. ``folder`` is the site file's.

    Raises:
        RemoteError: DiracX cannot be reached, or answers with no configuration.
        UsageError: the token cannot be read, or its place cannot take the new one.
    """
    sites = _sites(_read_configuration(diracx.url))
    if diracx.site_name in sites:
        found = ("site", "ok", f"{diracx.site_name} is in the configuration")
    else:
        found = ("site", "failed", f"{diracx.site_name} is none of the {len(sites)} sites in the configuration")
    return DiracxReport((found, _check_token(diracx, folder)))


def _check_token(diracx: DiracxScheduler, folder: Path) -> tuple[str, str, str]:
    if diracx.token is None:
        return ("token", "skipped", "the site file names none (central.token)")
    try:
        token = refresh_access_token(diracx.url, diracx.token, folder)
    except TokenError as error:
        return ("token", "failed", error.message)
    except RemoteError as error:
        return ("token", "failed", f"{error.message}; {error.hint}")
    rights = ", ".join(map(str, token.claims.get("dirac_properties", ())))
    until = f"{token.expires:%H:%M} UTC" if token.expires else "for good"
    if "GenericPilot" not in rights:
        return ("token", "failed", f"it is good, and without GenericPilot it registers no pilots (it has: {rights})")
    return ("token", "ok", f"access until {until}, with {rights}")


def _read_configuration(url: str) -> dict[str, Any]:
    place = f"{url.rstrip('/').removesuffix('/api')}/api/config/"
    try:
        answer = requests.get(place, timeout=TIMEOUT_S, allow_redirects=False)
        document = answer.json() if answer.ok else None
    except requests.JSONDecodeError:
        document = None
    except requests.RequestException as error:
        reason = error.args[0] if error.args else error
        raise RemoteError(f"{place}: {getattr(reason, 'reason', reason)}", hint="does DiracX run?") from error
    if not isinstance(document, dict):
        hint = "is central.url the address of DiracX? In its first seconds it answers with 503"
        raise RemoteError(f"{place}: no configuration (HTTP {answer.status_code})", hint=hint)
    return document


def _sites(configuration: dict[str, Any]) -> frozenset[str]:
    """Return the names of all sites in a configuration, which has DIRAC's form."""
    grids = (configuration.get("Resources") or {}).get("Sites") or {}
    return frozenset(site for grid in grids.values() if isinstance(grid, dict) for site in grid)
