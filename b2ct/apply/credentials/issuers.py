"""What the virtual machines of a site get, by the kind of its central scheduler."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from b2ct.apply.credentials.answer import Issued
from b2ct.apply.credentials.proxy import HostCertificate, now_utc, read_host_certificate, sign_proxy
from b2ct.apply.credentials.tokens import Token, TokenError, read_pool_tokens, refresh_access_token
from b2ct.apply.secrets import load_secret
from b2ct.errors import UsageError
from b2ct.plan.agent import trust_domain
from b2ct.render.htcondor_pool import pool_identity
from b2ct.site.central import DiracScheduler, DiracxScheduler, HtcondorScheduler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from b2ct.site.model import Site


class Issuer(Protocol):
    """Gives out what machines need; made anew for each round, so that changed files are seen."""

    @property
    def sources(self) -> Mapping[str, str]:
        """What tells apart the lasting credentials, by VO; without one, nothing can be issued to that VO."""

    def prepare(self, now: datetime) -> None:
        """Get ready for a round, also for one in which nothing is issued: what is not used for long may expire.

        Raises:
            TokenError, RemoteError, UsageError: nothing can be issued now.
        """

    def issue(self, vo: str, public_key: RSAPublicKey, now: datetime) -> Issued:
        """Return what one machine gets; raises TokenError when it cannot get anything."""


@dataclass(frozen=True, slots=True)
class ProxyIssuer:
    """DIRAC: proxies of the site's host certificate."""

    host: HostCertificate
    lifetime: timedelta
    sources: Mapping[str, str]

    def prepare(self, now: datetime) -> None:
        """Nothing has to be done."""

    def issue(self, vo: str, public_key: RSAPublicKey, now: datetime) -> Issued:  # noqa: ARG002 - one name for all
        """Sign a proxy."""
        proxy = sign_proxy(self.host, public_key, now, self.lifetime)
        chain = "".join(one.public_bytes(Encoding.PEM).decode() for one in (proxy, *self.host.chain))
        return Issued(proxy.not_valid_after_utc, certificate=chain)


@dataclass(frozen=True, slots=True)
class PoolIssuer:
    """HTCondor: the token of each VO."""

    tokens: Mapping[str, Token]
    lifetime: timedelta
    sources: Mapping[str, str]

    def prepare(self, now: datetime) -> None:
        """Nothing has to be done."""

    def issue(self, vo: str, public_key: RSAPublicKey, now: datetime) -> Issued:  # noqa: ARG002 - it is sealed later
        """Give the VO's token."""
        token = self.tokens[vo]
        expires = min(token.expires or now + self.lifetime, now + self.lifetime)
        return Issued(expires, secrets={"condor_token": token.text})


@dataclass(slots=True)
class AccessTokenIssuer:
    """DiracX: short-lived access tokens; one serves all machines until half of its time is over."""

    url: str
    reference: str
    folder: Path
    sources: Mapping[str, str]
    token: Token | None = None
    half: datetime | None = field(default=None)

    def prepare(self, now: datetime) -> None:
        """Get a new access token where it is time."""
        if self.half is not None and now < self.half:
            return
        token = refresh_access_token(self.url, self.reference, self.folder)
        if token.expires is None or token.expires <= now:
            raise TokenError("DiracX gave an access token that has expired", hint="is this machine's clock right?")
        self.token, self.half = token, now + (token.expires - now) / 2

    def issue(self, vo: str, public_key: RSAPublicKey, now: datetime) -> Issued:  # noqa: ARG002 - it is sealed later
        """Give the access token."""
        if self.token is None or self.token.expires is None:
            raise TokenError("there is no access token")
        if self.token.claims.get("vo") != vo:
            raise TokenError(f"the token of central.token is for {self.token.claims.get('vo')}")
        return Issued(self.token.expires, secrets={"diracx_token": self.token.text})


def make_issuer(site: Site, folder: Path, lifetime: timedelta, before: Issuer | None = None) -> Issuer:
    """Return what gives out the site's credentials; ``before`` is the last round's, which may still hold some.

    Raises:
        UsageError: the site file names none, or they cannot be read.
        CertificateError, TokenError: they cannot be used.
    """
    central, vos = site.central, [community.name for community in site.vo]
    match central:
        case DiracScheduler(certificate=str(certificate), key=str(key)):
            host = read_host_certificate(load_secret(certificate, folder), load_secret(key, folder), now_utc())
            return ProxyIssuer(host, lifetime, dict.fromkeys(vos, host.source))
        case HtcondorScheduler(token=str(reference)):
            found = read_pool_tokens(load_secret(reference, folder), now_utc())
            if not found:
                raise TokenError(
                    "the tokens of central.token have expired", hint="b2ct register --push asks for new ones"
                )
            tokens = {vo: token for vo in vos if (token := _vo_token(site, central, vo, found))}
            return PoolIssuer(tokens, lifetime, {vo: _digest(token.text) for vo, token in tokens.items()})
        case DiracxScheduler(token=str(reference)):
            if isinstance(before, AccessTokenIssuer):
                return before
            return AccessTokenIssuer(central.url, reference, folder, dict.fromkeys(vos, _digest(central.url)))
    names = {"dirac": "central.certificate and central.key", "diracx": "central.token", "htcondor": "central.token"}
    missing = names[central.kind] if central else "central"
    raise UsageError(f"the site file names no credentials for virtual machines: set {missing}")


def _vo_token(site: Site, central: HtcondorScheduler, vo: str, found: Mapping[str, Token]) -> Token | None:
    """Return the token that names a VO's machines; the only one of a site with one VO may name anybody."""
    token = found.get(pool_identity(vo, site.site, trust_domain(central)))
    return next(iter(found.values())) if token is None and len(found) == len(site.vo) == 1 else token


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
