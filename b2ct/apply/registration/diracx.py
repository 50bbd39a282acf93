"""Asks DiracX whether it knows a site, and whether the site's token is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from b2ct.apply.credentials.tokens import TokenError, refresh_access_token
from b2ct.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from b2ct.apply.credentials.tokens import Token
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


def check_diracx(diracx: DiracxScheduler, vos: Sequence[str], folder: Path) -> DiracxReport:
    """Return whether the site's token gives access, and whether DiracX knows the communities and the site.

    DiracX 0.7 leaves the sites out of the configuration that it shows (diracx.core.config.schema, ``ResourcesConfig``).
    Using a refresh token replaces it: the new one is written into its file. ``folder`` is the site file's.

    Raises:
        RemoteError: DiracX cannot be reached, or answers with no configuration.
        UsageError: the site file names no token, it cannot be read, or its place cannot take the new one.
    """
    if diracx.token is None:
        raise UsageError("DiracX answers only who has a token", hint="central.token: file:PATH")
    try:
        token = refresh_access_token(diracx.url, diracx.token, folder)
    except TokenError as error:
        return DiracxReport((("token", "failed", error.message), ("site", "skipped", "nobody could be asked")))
    configuration = _read_configuration(diracx.url, token)
    known = _section(configuration, "Registry")
    communities = tuple(
        (f"vo {vo}", "ok" if vo in known else "failed", "it is known" if vo in known else "DiracX does not know it")
        for vo in vos
    )
    return DiracxReport((_judge(token), *communities, _find_site(configuration, diracx.site_name)))


def _find_site(configuration: dict[str, Any], name: str) -> tuple[str, str, str]:
    grids = _section(_section(configuration, "Resources"), "Sites")
    if not grids:
        return ("site", "skipped", "this DiracX shows no sites; ask its DIRAC 9 (central.kind: dirac)")
    found = any(name in _section(grids, grid) for grid in grids)
    return ("site", "ok" if found else "failed", f"{name} is {'' if found else 'not '}in the configuration")


def _section(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _judge(token: Token) -> tuple[str, str, str]:
    """Return whether who has the token may register pilots."""
    rights = ", ".join(map(str, token.claims.get("dirac_properties", ())))
    if "GenericPilot" not in rights:
        return ("token", "failed", f"without GenericPilot it registers no pilots; it has: {rights or 'nothing'}")
    until = f"until {token.expires:%H:%M} UTC" if token.expires else "for good"
    return ("token", "ok", f"access {until}, with {rights}")


def _read_configuration(url: str, token: Token) -> dict[str, Any]:
    place = f"{url.rstrip('/').removesuffix('/api')}/api/config/"
    headers = {"Authorization": f"Bearer {token.text}"}
    try:
        answer = requests.get(place, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        document = answer.json() if answer.ok else None
    except requests.JSONDecodeError:
        document = None
    except requests.RequestException as error:
        reason = error.args[0] if error.args else error
        raise RemoteError(f"{place}: {getattr(reason, 'reason', reason)}", hint="does DiracX run?") from error
    if not isinstance(document, dict):
        raise RemoteError(f"{place}: no configuration (HTTP {answer.status_code})", hint="is central.url DiracX's?")
    return document
