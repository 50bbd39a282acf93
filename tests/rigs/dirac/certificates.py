"""Certificates as a grid has them: one CA, hosts and people, and some that must not work."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

ORGANIZATION = "B2CT-Rig"
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can issue."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def name_of(common_name: str) -> str:
    """A distinguished name as DIRAC writes it."""
    return f"/C=EU/O={ORGANIZATION}/CN={common_name}"


def make_authority(common_name: str, superior: Authority | None = None) -> Authority:
    """A CA, good for ten years; it signs itself, or ``superior`` signs it."""
    key = _make_key()
    issuer = _common_name(superior.certificate) if superior else common_name
    usage = x509.KeyUsage(**dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True})
    builder = _start(common_name, key, issuer, 3650 * DAY).add_extension(usage, critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Authority(builder.sign(superior.key if superior else key, hashes.SHA256()), key)


def write_authority(authority: Authority, folder: Path) -> None:
    """Write a CA into ``folder`` as the IGTF distributes them: under its name's hash, with its signing policy."""
    folder.mkdir(parents=True, exist_ok=True)
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cas.pem").write_bytes(pem)
    name = run_tool(["openssl", "x509", "-hash", "-noout", "-in", folder / "cas.pem"]).strip()
    (folder / f"{name}.0").write_bytes(pem)
    policy = f"access_id_CA X509 '{name_of(_common_name(authority.certificate))}'\npos_rights globus CA:sign\n"
    policy += f"cond_subjects globus '\"/C=EU/O={ORGANIZATION}/*\"'\n"
    (folder / f"{name}.signing_policy").write_text(policy)


def issue(authority: Authority, common_name: str, place: Path, *, days: int = 365, addresses: str = "") -> Identity:
    """Write ``place.pem`` and ``place.key``; with negative ``days`` the certificate ended so long ago.

    ``addresses`` are IP addresses, with blanks between, that the certificate holds besides a host's name.
    """
    key = _make_key()
    usage = x509.KeyUsage(**dict.fromkeys(_USAGES, False) | {"digital_signature": True, "key_encipherment": True})
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = _start(common_name, key, _common_name(authority.certificate), days * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True).add_extension(purposes, critical=False)
    if " " not in common_name:
        names = [x509.DNSName(common_name), *(x509.IPAddress(ip_address(text)) for text in addresses.split())]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    found = Identity(place.with_name(place.name + ".pem"), place.with_name(place.name + ".key"))
    found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    found.key.touch(mode=0o600)
    found.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _start(common_name: str, key: rsa.RSAPrivateKey, issuer: str, lasts: dt.timedelta) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_make_name(common_name))
        .issuer_name(_make_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lasts) - DAY)
        .not_valid_after(now + lasts)
    )


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _make_name(common_name: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "EU", NameOID.ORGANIZATION_NAME: ORGANIZATION, NameOID.COMMON_NAME: common_name}
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts.items()])
