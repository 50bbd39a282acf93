"""Reads the certificate requests by which virtual machines ask for credentials."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LONGEST_REQUEST = 4096
"""Characters; one for a key of 4096 bits takes some 2,200."""

KEY_BITS = range(2048, 4097)


class RequestError(B2ctError):
    """What a machine asks with is no request."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that proves that who made it holds the private key."""

    public_key: RSAPublicKey

    @property
    def key(self) -> str:
        """SHA-256 of the public key (SubjectPublicKeyInfo, DER), hexadecimal."""
        return key_digest(self.public_key)


def key_digest(public_key: RSAPublicKey) -> str:
    """Return SHA-256 of a public key (SubjectPublicKeyInfo, DER), hexadecimal."""
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def read_request(text: str) -> Request:
    """Return what a machine's ``B2CT_REQUEST`` holds; only the key of it is used, nothing else that it says.

    Raises:
        RequestError: it is no PKCS#10 request for an RSA key of 2048 to 4096 bits, or its signature is wrong.
    """
    if len(text) > LONGEST_REQUEST:
        raise RequestError(f"its request is longer than {LONGEST_REQUEST} characters")
    try:
        request = x509.load_der_x509_csr(base64.b64decode(text, validate=True))
        public_key = request.public_key()
        signed = request.is_signature_valid
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm):
        raise RequestError("its request is no certificate request") from None
    if not isinstance(public_key, rsa.RSAPublicKey) or public_key.key_size not in KEY_BITS:
        raise RequestError("its key is not one of RSA with 2048 to 4096 bits")
    if not signed:
        raise RequestError("its request is not signed with its key")
    return Request(public_key)
