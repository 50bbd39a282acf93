"""Finds the certificates: that of the virtual machines, and that of whoever asks DIRAC."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from b2ct.apply.files import write_file
from b2ct.apply.registration.dirac import Identity
from b2ct.apply.secrets import load_secret
from b2ct.errors import UsageError

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


def read_dn(pem: str, origin: str) -> str:
    r"""Return the subject of a certificate as DIRAC writes it: ``/DC=org/CN=host``, other than ASCII as ``\xC3``.

    That is the form of OpenSSL's X509_NAME_oneline, which M2Crypto and so DIRAC use.

    Raises:
        UsageError: it is no certificate.
    """
    try:
        subject = x509.load_pem_x509_certificate(pem.encode()).subject
    except ValueError as error:
        raise UsageError(f"{origin} is no certificate in PEM form") from error
    return "".join(f"/{_short_name(one)}={_oneline(str(one.value))}" for one in subject)


def _short_name(attribute: x509.NameAttribute[str | bytes]) -> str:
    return SHORT_NAMES.get(attribute.oid, attribute.oid.dotted_string)


def _oneline(value: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02X}" for byte in value.encode())


def load_machine_dn(dirac: DiracScheduler, folder: Path) -> str | None:
    """Return the subject of the virtual machines' certificate, None if the site file names none.

    Raises:
        UsageError: it cannot be read, or is no certificate.
    """
    if dirac.certificate is None:
        return None
    return read_dn(load_secret(dirac.certificate, folder), f"the certificate {dirac.certificate}")


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
        UsageError: there is none, or a file is not there.
    """
    cas = given.ca_path or Path(dirac.ca_path)
    if not cas.exists():
        raise UsageError(f"{cas}: there are no certificate authorities here", hint="--ca-path FOLDER")
    if given.certificate:
        key = _readable(given.key) if given.key else None
        yield Identity(_readable(given.certificate), key, cas, given.group or "hosts")
        return
    if proxy := os.environ.get("X509_USER_PROXY"):
        yield Identity(_readable(Path(proxy)), None, cas, given.group or "")
        return
    if dirac.certificate is None or dirac.key is None:
        raise UsageError("with which certificate?", hint="--certificate and --key, or central.certificate and key")
    with tempfile.TemporaryDirectory(prefix="b2ct-") as name:
        files = []
        for reference, file in ((dirac.certificate, "cert.pem"), (dirac.key, "key.pem")):
            write_file(Path(name) / file, (load_secret(reference, folder) + "\n").encode(), mode=0o600)
            files.append(Path(name) / file)
        yield Identity(files[0], files[1], cas, given.group or "hosts")


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return path
