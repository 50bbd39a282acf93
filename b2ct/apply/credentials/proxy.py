"""Signs short-lived proxies of the site's host certificate (RFC 3820) over the keys of virtual machines."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

PROXY_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
"""RFC 3820 3.8."""

INHERIT_ALL = bytes.fromhex("300f020100300a06082b06010505071501")
"""ProxyCertInfo, DER: pCPathLenConstraint 0 (no proxy may be signed with this one), id-ppl-inheritAll (as above)."""

BACKDATED = timedelta(minutes=5)
"""Clocks differ."""


class CertificateError(B2ctError):
    """The site's certificate or its key cannot be used."""


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """The lasting certificate of the site and its key, which stay on this machine."""

    chain: tuple[x509.Certificate, ...]
    """Its own first, then those of intermediate authorities, without roots: who checks it has to know those himself."""
    private_key: RSAPrivateKey

    @property
    def expires(self) -> datetime:
        """When it ends."""
        return self.chain[0].not_valid_after_utc

    @property
    def source(self) -> str:
        """Tells it apart from the one that takes its place."""
        return hashlib.sha256(self.chain[0].public_bytes(serialization.Encoding.DER)).hexdigest()


def read_host_certificate(certificate: str, key: str, now: datetime) -> HostCertificate:
    """Return the host certificate in two PEM texts.

    Raises:
        CertificateError: they are no certificate and its unencrypted RSA key, it is not for clients, or not valid now.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        raise CertificateError("central.certificate holds no certificates", hint="PEM is needed") from None
    try:
        private_key = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError("central.key holds no unencrypted private key", hint="PEM is needed") from None
    host = chain[0]
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise CertificateError("central.key is not a key of RSA")
    if private_key.public_key() != host.public_key():
        raise CertificateError("central.key does not belong to central.certificate")
    if not host.not_valid_before_utc <= now < host.not_valid_after_utc:
        first, last = (f"{at:%Y-%m-%d %H:%M}" for at in (host.not_valid_before_utc, host.not_valid_after_utc))
        raise CertificateError(f"central.certificate is not valid now, but from {first} to {last} UTC")
    if not _is_for_clients(host):
        raise CertificateError("central.certificate is not for clients", hint="ask the CA for one with clientAuth")
    return HostCertificate((host, *(one for one in chain[1:] if one.subject != one.issuer)), private_key)


def sign_proxy(host: HostCertificate, public_key: RSAPublicKey, now: datetime, lifetime: timedelta) -> x509.Certificate:
    """Return a proxy certificate that acts for the host in everything, and ends no later than the host's own."""
    serial = x509.random_serial_number() >> 96  # RFC 3820 3.4 asks for uniqueness below one issuer; 63 bits give it
    issuer = host.chain[0].subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*issuer.rdns, x509.RelativeDistinguishedName(_common_name(serial))]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(max(now - BACKDATED, host.chain[0].not_valid_before_utc))
        .not_valid_after(min(now + lifetime, host.expires))
        .add_extension(x509.UnrecognizedExtension(PROXY_CERT_INFO, INHERIT_ALL), critical=True)
        .add_extension(_key_usage(), critical=True)
    )
    return builder.sign(host.private_key, hashes.SHA256())


def now_utc() -> datetime:
    """Return the time, in whole seconds as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


def _common_name(serial: int) -> list[x509.NameAttribute[str]]:
    return [x509.NameAttribute(NameOID.COMMON_NAME, str(serial))]


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """Whether the certificate's extended key usage, where it has one, allows that it is shown to a server."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
