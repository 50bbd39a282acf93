"""The answer to a machine's request: what everybody may read, and what only the machine's key opens."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options
from cryptography.x509.oid import NameOID

from b2ct.plan.credentials import Answered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

FORMAT = 1
"""Grows when a key of the document changes its meaning or goes away."""

LONGEST_ANSWER = 65536
"""Characters; a proxy with its chain and a token take some 8,000."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What one machine gets."""

    expires: datetime
    certificate: str = ""
    """Certificates in PEM, the machine's own first; empty for none. They are no secret."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Tokens by the agent's name for them: ``condor_token``, ``diracx_token``."""


def render_answer(issued: Issued, answered: Answered, public_key: RSAPublicKey, vm_id: int, now: datetime) -> str:
    """Return the value of ``B2CT_ANSWER``: base64 of a JSON document, on one line."""
    document: dict[str, object] = {"format": FORMAT, **asdict(answered)}
    if issued.certificate:
        document["certificate"] = issued.certificate
    if issued.secrets:
        secret = json.dumps({"vm": vm_id, **issued.secrets}).encode()
        document["sealed"] = base64.b64encode(seal(secret, public_key, now)).decode()
    return base64.b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


def read_answered(text: str) -> Answered | None:
    """Return what an answer says in the open; None if it is none, for its machine can write what it likes."""
    try:
        document = json.loads(base64.b64decode(text[:LONGEST_ANSWER], validate=True))
        words = [document[name] for name in ("key", "source")]
        times = [document[name] for name in ("issued_s", "renew_s", "expires_s")]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        return None
    if document.get("format") != FORMAT or not all(isinstance(word, str) for word in words):
        return None
    if not all(type(moment_s) is int for moment_s in times):
        return None
    return Answered(*words, *times)


def seal(secret: bytes, public_key: RSAPublicKey, now: datetime) -> bytes:
    """Return ``secret`` so that only the private key opens it: CMS EnvelopedData (RFC 5652 6), DER."""
    envelope = PKCS7EnvelopeBuilder().set_data(secret).add_recipient(_address(public_key, now))
    return envelope.encrypt(Encoding.DER, [PKCS7Options.Binary])


def _address(public_key: RSAPublicKey, now: datetime) -> x509.Certificate:
    """Return a certificate that is only there to name a key: CMS names a recipient by one, and nobody sees it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b2ct")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
