"""Finds a site's front-end and the credentials for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.secrets import load_secret
from b2ct.errors import UsageError
from b2ct.site.types import Role

if TYPE_CHECKING:
    from b2ct.site.model import Site

PORT = 2633
"""Port of OpenNebula's XML-RPC API."""

TIMEOUT_S = 30.0
"""Longest wait for a connection, and for an answer."""


def connect(site: Site, folder: Path) -> OneClient:
    """Return a client for the site's front-end; ``folder`` is the site file's.

    Raises:
        UsageError: the front-end's address or the credentials are not known.
    """
    ca = folder / site.opennebula.ca if site.opennebula.ca else None
    return OneClient(find_endpoint(site), find_session(site, folder), timeout_s=TIMEOUT_S, ca=ca)


def find_endpoint(site: Site) -> str:
    """Return the URL of the XML-RPC API: the site file's, else the first front-end's management address or name.

    Raises:
        UsageError: the site has no front-end.
    """
    if site.opennebula.endpoint:
        return site.opennebula.endpoint
    front_end = next((host for host in site.hosts if host.role is Role.FRONTEND), None)
    if front_end is None:
        raise UsageError("no host of the site file has the role frontend", hint="set opennebula.endpoint")
    fixed = {link.network: link.address for link in front_end.links if link.address not in {None, "dhcp"}}
    return f"http://{fixed.get(site.management) or f'{front_end.name}.{site.domain}'}:{PORT}/RPC2"


def find_session(site: Site, folder: Path) -> str:
    """Return ``user:password``: from the site file's reference, else as OpenNebula's own tools find it.

    Raises:
        UsageError: there is none.
    """
    if site.opennebula.password:
        return f"{site.opennebula.user}:{load_secret(site.opennebula.password, folder)}"
    path = Path(os.environ.get("ONE_AUTH") or "~/.one/one_auth")
    try:
        path = path.expanduser()
        session = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, RuntimeError):  # RuntimeError: a user without a home
        hint = "set opennebula.password in the site file, or ONE_AUTH to a file that holds user:password"
        message = f"no password for OpenNebula's user {site.opennebula.user}: {path} cannot be read"
        raise UsageError(message, hint=hint) from None
    if ":" not in session or len(session.splitlines()) != 1:
        raise UsageError(f"{path} has to hold one line, user:password")
    return session


def has_onegate(client: OneClient) -> bool:
    """Return whether the front-end tells virtual machines where OneGate is (``ONEGATE_ENDPOINT`` in oned.conf).

    Only oneadmin's group may ask. Where it is not set, a VM template with TOKEN cannot be instantiated.

    Raises:
        OneError, OneLostError: the front-end refused, or could not be reached.
    """
    return bool(getattr(client.call("system.config"), "ONEGATE_ENDPOINT", ""))
