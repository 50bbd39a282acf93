"""Asks an HTCondor pool for the tokens with which a site's virtual machines join it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from b2ct.apply.credentials.tokens import TOKEN, TokenError, read_pool_tokens
from b2ct.apply.files import write_file
from b2ct.errors import RemoteError, UsageError
from b2ct.plan.agent import trust_domain
from b2ct.render.htcondor_pool import AUTHORIZATIONS, pool_identity

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from b2ct.site.central import HtcondorScheduler
    from b2ct.site.model import Site

Say = Callable[[str], None]

PROGRAM = "condor_token_request"

LIFETIME_S = 90 * 86_400
"""Of a token: long enough that renewing it is no daily work, short enough that a lost one ends."""


def missing_identities(site: Site, pool: HtcondorScheduler, folder: Path, now: datetime) -> tuple[str, ...]:
    """Return the identities, one a community, that the site has no good token for.

    Raises:
        UsageError: the site file names no file for them.
        TokenError: the file holds something else.
    """
    path = token_file(pool, folder)
    domain = trust_domain(pool)
    wanted = [pool_identity(community.name, site.site, domain) for community in site.vo]
    found = read_pool_tokens(path.read_text(encoding="utf-8"), now) if path.is_file() else {}
    return tuple(identity for identity in wanted if identity not in found)


def token_file(pool: HtcondorScheduler, folder: Path) -> Path:
    """Return the file that keeps the tokens, one a line; ``folder`` is the site file's.

    Raises:
        UsageError: the site file names none.
    """
    kind, _, place = (pool.token or "").partition(":")
    if kind != "file":
        raise UsageError("the site file names no file for the pool's tokens", hint="central.token: file:PATH")
    return folder / place


def request_token(
    pool: HtcondorScheduler, identity: str, path: Path, now: datetime, say: Callable[[str], None]
) -> None:
    """Ask the pool for a token, wait until its admins approve, and add it to the file, which only its owner can read.

    What the program says besides (the number to approve) goes to ``say``; the token goes nowhere else.

    Raises:
        UsageError: the program is not installed.
        RemoteError: the pool refuses, or what it gives is no token, or allows more than was asked for.
    """
    if shutil.which(PROGRAM) is None:
        hint = "install htcondor, or let the pool's admins run what `b2ct register SITE` writes"
        raise UsageError(f"the program {PROGRAM} is not installed", hint=hint)
    levels = [word for level in AUTHORIZATIONS for word in ("-authz", level)]
    words = ["-pool", f"{pool.central_manager}:{pool.port}", "-identity", identity, "-lifetime", str(LIFETIME_S)]
    tokens, said = [], []
    with _run([PROGRAM, *words, *levels]) as (process, lines):
        for line in lines:
            if TOKEN.fullmatch(line):
                tokens.append(line)
            else:
                said.append(line)
                say(line)
    if process.returncode != 0 or len(tokens) != 1:
        raise RemoteError(f"the pool gave no token for {identity}: {said[-1] if said else 'it did not say why'}")
    try:
        named = set(read_pool_tokens(tokens[0], now))
    except TokenError as error:
        raise RemoteError(f"the pool gave another token than it was asked for: {error.message}") from error
    if named != {identity}:
        raise RemoteError(f"the pool gave a token for {', '.join(named)}, and not for {identity}")
    _add_token(path, tokens[0])


@contextmanager
def _run(argv: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[str]]]:
    """Run a program on a terminal of its own and give the lines that it writes; it is over when they are.

    To a pipe HTCondor's tools write only when they end, and nobody would see the number that is to be approved.
    """
    ours, theirs = os.openpty()
    with os.fdopen(ours, encoding="utf-8", errors="replace") as terminal:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)  # noqa: S603 - fixed
        finally:
            os.close(theirs)
        with process:
            try:
                yield process, _read_lines(terminal)
            except BaseException:
                process.kill()
                raise


def _read_lines(terminal: TextIO) -> Iterator[str]:
    with suppress(OSError):  # EIO: the last one who could write has gone (Linux, pty(7))
        yield from filter(None, map(str.strip, terminal))


def _add_token(path: Path, token: str) -> None:
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [*filter(None, before.splitlines()), token]
    write_file(path, "".join(f"{line}\n" for line in lines).encode(), mode=0o600, force=True)
