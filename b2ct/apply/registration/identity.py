"""Finds the certificates: that of the virtual machines, and that of whoever asks DIRAC."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from b2ct.apply.files import write_file
from b2ct.apply.registration.dirac import Identity
from b2ct.apply.secrets import load_secret
from b2ct.errors import UsageError
from b2ct.plan.registration import MachineCertificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.site.central import DiracScheduler

SHORT_NAMES = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.USER_ID: "UID",
    NameOID.GIVEN_NAME: "GN",
    NameOID.SURNAME: "SN",
    NameOID.TITLE: "title",
}
"""OpenSSL's short names (crypto/objects/objects.txt); other attributes are shown by their numbers."""

_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
"""A private key in a file that may hold certificates too (RFC 7468)."""


def read_certificate(pem: str, origin: str) -> MachineCertificate:
    """Return what DIRAC has to know about a certificate; raises UsageError when it is none."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        return MachineCertificate(_dn(found.subject), _dn(found.issuer), found.not_valid_after_utc.date())
    except ValueError as error:
        raise UsageError(f"{origin} is no certificate in PEM form") from error


def _dn(name: x509.Name) -> str:
    r"""Return a name as DIRAC writes it: ``/DC=org/CN=host``, other than ASCII as ``\xC3``.

    That is the form of OpenSSL's X509_NAME_oneline, which M2Crypto and so DIRAC use.
    """
    return "".join(f"/{_short_name(one)}={_oneline(str(one.value))}" for one in name)


def _short_name(attribute: x509.NameAttribute[str | bytes]) -> str:
    return SHORT_NAMES.get(attribute.oid, attribute.oid.dotted_string)


def _oneline(value: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02X}" for byte in value.encode())


def load_machine_certificate(dirac: DiracScheduler, folder: Path) -> MachineCertificate | None:
    """Return the virtual machines' certificate, None if the site file names none.

    Its key may be on another machine, which does not matter here; one that is there has to belong to it.

    Raises:
        UsageError: it cannot be read, is no certificate, or the key is not its own.
    """
    if dirac.certificate is None:
        return None
    pem = load_secret(dirac.certificate, folder)
    certificate = read_certificate(pem, f"the certificate {dirac.certificate}")
    key = ""
    if dirac.key is not None:
        with suppress(UsageError):
            key = load_secret(dirac.key, folder)
    if key:
        check_pair(pem, f"central.certificate ({dirac.certificate})", key, f"central.key ({dirac.key})")
    return certificate


def check_pair(certificate: str, certificate_origin: str, key: str, key_origin: str) -> None:
    """Check that a key, PEM, can be used without a passphrase and is that of a certificate, PEM.

    Raises:
        UsageError: it is not, or one of them is something else.
    """
    try:
        public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{certificate_origin} holds no certificate in PEM form") from error
    found = _PRIVATE_KEY.search(key)
    try:
        private_key = load_pem_private_key(found[0].encode() if found else b"", None)
    except TypeError:
        hint = "a proxy has none: --certificate PROXY, or `openssl rsa -in FILE -out NEW` takes it off"
        raise UsageError(f"{key_origin} has a passphrase, and nobody can be asked for it", hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{key_origin} holds no private key in PEM form") from None
    if private_key.public_key() != public_key:
        raise UsageError(f"{key_origin} is not the key of {certificate_origin}, but of another certificate")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the command line says about who asks DIRAC; None: it says nothing."""

    certificate: Path | None = None
    key: Path | None = None
    ca_path: Path | None = None
    group: str | None = None


@contextmanager
def find_identity(dirac: DiracScheduler, folder: Path, given: Credentials) -> Iterator[Identity]:
    """Give who asks DIRAC: the command line's certificate, else ``$X509_USER_PROXY``, else the virtual machines'.

    What the site file keeps in the environment or a vault is in a private folder as long as the context lasts.

    Raises:
        UsageError: there is none, a file is not there, or the key cannot be used or is another's.
    """
    cas = given.ca_path or Path(dirac.ca_path)
    if not cas.exists():
        raise UsageError(f"{cas}: there are no certificate authorities here", hint="--ca-path FOLDER")
    if given.certificate:
        _check_files(given.certificate, given.key)
        yield Identity(given.certificate, given.key, cas, given.group or "hosts")
        return
    if given.key:
        raise UsageError("--key is that of a certificate, and none is named", hint="--certificate FILE --key FILE")
    if proxy := os.environ.get("X509_USER_PROXY"):
        _check_files(Path(proxy), None)
        yield Identity(Path(proxy), None, cas, given.group or "")
        return
    if dirac.certificate is None or dirac.key is None:
        raise UsageError("with which certificate?", hint="--certificate and --key, or central.certificate and key")
    texts = [load_secret(reference, folder) for reference in (dirac.certificate, dirac.key)]
    origins = f"central.certificate ({dirac.certificate})", f"central.key ({dirac.key})"
    check_pair(texts[0], origins[0], texts[1], origins[1])
    with tempfile.TemporaryDirectory(prefix="b2ct-") as name:
        files = [Path(name) / "cert.pem", Path(name) / "key.pem"]
        for file, text in zip(files, texts, strict=True):
            write_file(file, f"{text}\n".encode(), mode=0o600)
        yield Identity(files[0], files[1], cas, given.group or "hosts")


def _check_files(certificate: Path, key: Path | None) -> None:
    """Check a certificate and its key, which is in the same file when none is named; raises UsageError."""
    text = _read(certificate)
    if key is None and not _PRIVATE_KEY.search(text):
        raise UsageError(f"{certificate} holds no private key, as a proxy does, and none is named", hint="--key FILE")
    check_pair(text, str(certificate), _read(key) if key else text, str(key or certificate))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
