"""Speaks with DIRAC's central services: reads their configuration, commits a new one, asks for the site mask."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from b2ct_vmagent.dencode import as_bytes
from b2ct_vmagent.diset import Diset, DisetError

from b2ct.errors import B2ctError, RemoteError
from b2ct.plan.dirac_cfg import get_option, read_cfg, service_urls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diraccfg import CFG

TIMEOUT_S = 30.0
"""For one call; a commit of a large installation takes seconds."""

UNAUTHORIZED = 1111
"""DIRAC's errno ENOAUTH (DIRAC, Core/Utilities/DErrno.py)."""

LARGEST_CFG_BYTES = 64 << 20
"""A configuration of a large installation has a few MiB."""

_CONFIGURATION = ("DIRAC", "Configuration")


class UnauthorizedError(RemoteError):
    """DIRAC does not let this certificate do that."""


class ChangedMeanwhileError(B2ctError):
    """Somebody else has changed the configuration since it was read."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks DIRAC."""

    certificate: Path
    """PEM; may hold the key too, as a proxy does."""
    key: Path | None
    ca_path: Path
    group: str = "hosts"
    """``hosts`` for the certificate of a host, else the group that a person acts for; empty: the proxy names it."""


class Ask(Protocol):
    """Calls a method of a service of DIRAC."""

    def __call__(self, url: str, method: str, *arguments: object) -> Any:  # noqa: ANN401 - DIRAC's values
        """Return the value; raises RemoteError."""


@dataclass(frozen=True, slots=True)
class Dirac:
    """DIRAC's services, as one identity reaches them."""

    identity: Identity
    setup: str = ""

    def __call__(self, url: str, method: str, *arguments: object) -> Any:  # noqa: ANN401 - DIRAC's values
        """Call a method and return its value.

        Raises:
            UnauthorizedError: the certificate may not.
            RemoteError: no answer, or an error as answer; ``hint`` says more.
        """
        one = self.identity
        key = str(one.key) if one.key else ""
        diset = Diset(url, str(one.certificate), key, str(one.ca_path), self.setup, "", one.group, TIMEOUT_S)
        try:
            answer = diset.call(method, *arguments)
        except DisetError as error:
            raise RemoteError(str(error)) from error
        if answer["OK"]:
            return answer.get("Value")
        message = str(answer.get("Message", "no reason was given"))
        if answer.get("Errno") == UNAUTHORIZED or "Unauthorized query" in message:
            who = "a host" if one.group == "hosts" else f"a member of {one.group or 'its default group'}"
            raise UnauthorizedError(
                f"{url}: {method} is not for {one.certificate} as {who}",
                hint="has it an entry in DIRAC's Registry? --group names the group of a person, --certificate another",
            )
        raise RemoteError(f"{url}: {method}: {message}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """DIRAC's configuration as it was read."""

    url: str
    """The server that was asked."""
    version: str
    cfg: CFG

    @property
    def master(self) -> str:
        """The only server that takes changes; the one that was asked when the configuration does not say."""
        return get_option(self.cfg, _CONFIGURATION, "MasterServer") or self.url


def read_snapshot(ask: Ask, servers: Sequence[str]) -> Snapshot:
    """Return the configuration as the master has it, found by way of the first server that answers.

    Raises:
        UnauthorizedError: the certificate may not read it.
        RemoteError: no server answers, or what it answers is no configuration.
    """
    errors = []
    for url in servers:
        try:
            found = _read(ask, url)
        except UnauthorizedError:
            raise
        except RemoteError as error:
            errors.append(error.message)
        else:
            return found if found.master == url else _read(ask, found.master)
    raise RemoteError("; ".join(dict.fromkeys(errors)), hint="central.configuration_servers names the servers")


def _read(ask: Ask, url: str) -> Snapshot:
    data = ask(url, "getCompressedData")
    expand = zlib.decompressobj()
    try:
        text = expand.decompress(as_bytes(data), LARGEST_CFG_BYTES).decode()
    except (zlib.error, ValueError, TypeError) as error:
        raise RemoteError(f"{url}: its answer is no configuration: {error}") from error
    if not expand.eof:
        raise RemoteError(f"{url}: its configuration is cut short, or larger than {LARGEST_CFG_BYTES >> 20} MiB")
    cfg = read_cfg(text, url)
    version = get_option(cfg, _CONFIGURATION, "Version")
    if version is None:
        raise RemoteError(f"{url}: its configuration has no version")
    return Snapshot(url, version, cfg)


def commit(ask: Ask, before: Snapshot, text: str) -> None:
    """Commit a changed configuration whole; ``text`` carries the version that was read.

    A server takes only what is made from its current version. One with ``EnableAutoMerge`` joins changes that do not
    touch each other; the version is asked for right before, so that this happens to what changes in that moment only.

    Raises:
        UnauthorizedError: the certificate may not.
        ChangedMeanwhileError: somebody else was faster; nothing was changed.
        RemoteError: the server did not take it, or whether it did is not known.
    """
    hint = "nothing was changed; the same command again starts from what is there now"
    version = ask(before.master, "getVersion")
    if version != before.version:
        message = f"DIRAC's configuration changed meanwhile, from version {before.version} to {version}"
        raise ChangedMeanwhileError(message, hint=hint)
    try:
        ask(before.master, "commitNewData", zlib.compress(text.encode(), 9))
    except UnauthorizedError as error:
        message = f"{error.message}: only CSAdministrator may change DIRAC's configuration"
        more = "send DIRAC's admins what `b2ct register SITE` writes, or name another with --certificate and --group"
        raise UnauthorizedError(message, hint=more) from error
    except RemoteError as error:
        if "versions differ" in error.message or "AutoMerge" in error.message:
            raise ChangedMeanwhileError("DIRAC's configuration changed meanwhile", hint=hint) from error
        error.hint = error.hint or "b2ct register SITE --check tells whether it came through"
        raise


def ask_site_mask(ask: Ask, snapshot: Snapshot, site_name: str, setup: str | None) -> str:
    """Return the site's status in the mask, ``Active`` or ``Banned``; empty when it has none.

    Raises:
        RemoteError: the configuration names no WMSAdministrator, or none answers.
    """
    urls = service_urls(snapshot.cfg, "WorkloadManagement", "WMSAdministrator", setup)
    errors = ["DIRAC's configuration names no WMSAdministrator"] if not urls else []
    for url in urls:
        try:
            status = ask(url, "getSiteMaskStatus", [site_name])
        except RemoteError as error:
            errors.append(error.message)
        else:
            return str(status.get(site_name, "")) if isinstance(status, dict) else ""
    raise RemoteError("; ".join(errors))
