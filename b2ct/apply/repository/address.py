"""Checks the address of a repository."""

from __future__ import annotations

from urllib.parse import urlsplit

from b2ct.errors import UsageError
from b2ct.plan.marketplace import INDEX


def check_address(url: str) -> str:
    """Return the address without the index's name and slashes at its end.

    Raises:
        UsageError: no repository can be there; a user's name or password is never shown.
    """
    hint = "such as https://one.example.org/b2ct, without user, password, ? and #"
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    if not port_fits:
        raise UsageError("the repository's address is none", hint=hint)
    if "@" in parts.netloc:
        raise UsageError(f"the address of a repository at {parts.hostname} has a user or password in it", hint=hint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{url}: not the address of a repository", hint=hint)
    return url.rstrip("/").removesuffix(f"/{INDEX}").rstrip("/")
