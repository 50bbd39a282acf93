"""Reads the tokens that a site has, and gets short-lived ones for them."""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import re
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from b2ct.apply.files import write_file
from b2ct.apply.secrets import load_secret
from b2ct.errors import B2ctError, RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""A JSON web token (RFC 7519 3), as HTCondor's and DiracX's are."""

ADVERTISING = frozenset({"condor:/ADVERTISE_STARTD", "condor:/ADVERTISE_MASTER", "condor:/READ"})
"""All that a worker needs of a pool (HTCondor manual, "Security", authorization levels)."""

DIRACX_CLIENT = "myDIRACClientID"
"""The public client that DiracX knows (diracx.core.settings, ``dirac_client_id``)."""

TIMEOUT_S = 30.0
LARGEST_ANSWER_BYTES = 65536


class TokenError(B2ctError):
    """A token is none, or cannot be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and what it says of itself; nobody checks its signature here."""

    text: str
    claims: dict[str, Any]

    @property
    def expires(self) -> datetime | None:
        """When it ends; None when it does not."""
        moment = self.claims.get("exp")
        return datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else None

    @property
    def subject(self) -> str:
        """Whom it names."""
        return str(self.claims.get("sub", ""))


def read_token(text: str, where: str) -> Token:
    """Return a JSON web token; ``where`` is what errors call it.

    Raises:
        TokenError: it is none.
    """
    text = text.strip()
    payload = text.split(".")[1] if TOKEN.fullmatch(text) else ""
    try:
        claims = _json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        claims = {}
    if not claims:
        raise TokenError(f"{where} holds no token")
    return Token(text, claims)


def read_pool_tokens(text: str, now: datetime) -> dict[str, Token]:
    """Return HTCondor's tokens, one a line, by the identities that they name; the last of an identity counts.

    Those that have expired are left out: renewed ones stand beside them.

    Raises:
        TokenError: a line holds none, or one that allows more than to advertise.
    """
    tokens = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        token = read_token(line, "central.token")
        scope = {*str(token.claims.get("scope", "")).split()}
        if not scope or not scope <= ADVERTISING:
            hint = "condor_token_create -authz ADVERTISE_STARTD -authz ADVERTISE_MASTER -authz READ"
            raise TokenError(f"the token of {token.subject} allows more than to advertise", hint=hint)
        if token.expires is None or token.expires > now:
            tokens[token.subject] = token
    return tokens


def refresh_access_token(url: str, reference: str, folder: Path) -> Token:
    """Return a short-lived access token of DiracX for the refresh token that ``reference`` stands for.

    DiracX gives a new refresh token each time and locks the user out when an old one comes again (RFC 6749 10.4), so
    the new one takes the old one's place in its file, before anything else happens. ``folder`` is the site file's.

    Raises:
        UsageError: the reference leads to nothing, or to a place that cannot be written.
        TokenError: there is no token.
        RemoteError: DiracX refused it, or did not answer.
    """
    kind, _, place = reference.partition(":")
    if kind != "file":
        token = read_token(load_secret(reference, folder), "central.token")
        if not token.claims.get("legacy_exchange"):
            hint = "token: file:PATH; DiracX replaces a refresh token whenever it is used"
            raise UsageError(f"the secret {reference} cannot be renewed where it is", hint=hint)
        return _post_refresh(url, token.text)[0]
    path = folder / place
    with _locked(path):
        token = read_token(load_secret(reference, folder), "central.token")
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path} cannot be written", hint="DiracX replaces a refresh token whenever it is used")
        access, refresh = _post_refresh(url, token.text)
        if refresh:
            write_file(path.resolve(), f"{refresh.text}\n".encode(), mode=0o600, force=True)
    return access


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other runs from using the same refresh token."""
    try:
        handle = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _post_refresh(url: str, refresh_token: str) -> tuple[Token, Token | None]:
    """Return the access token, and the refresh token that is good next time; None when the old one still is."""
    place = url.rstrip("/").removesuffix("/api") + "/api/auth/token"
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": DIRACX_CLIENT}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    context = ssl.create_default_context() if place.startswith("https:") else None
    http = urllib3.PoolManager(retries=False, timeout=TIMEOUT_S, ssl_context=context)
    try:
        with http.request("POST", place, body=urlencode(form), headers=headers, preload_content=False) as answer:
            status, body = answer.status, answer.read(LARGEST_ANSWER_BYTES)
    except HTTPError as error:
        raise RemoteError(f"{place}: {_reason(error)}", hint="does DiracX run, and is it reached from here?") from None
    finally:
        http.clear()
    document = _json(body)
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        said = str(document.get("detail", ""))[:200]
        hint = "log in again (`dirac login`) and put the new refresh token into the file of central.token"
        raise RemoteError(f"DiracX refuses the refresh token (HTTP {status}): {said}", hint=hint)
    if status != HTTPStatus.OK:
        raise RemoteError(f"{place}: HTTP {status}", hint="is central.url the address of DiracX?")
    access = read_token(str(document.get("access_token", "")), f"the answer of {place}")
    refresh = document.get("refresh_token")
    return access, read_token(str(refresh), f"the answer of {place}") if refresh else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _reason(error: HTTPError) -> str:
    cause = error.__cause__ or error.__context__ or error
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
