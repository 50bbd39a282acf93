from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from b2ct.apply.registration.identity import Credentials, find_identity, load_machine_dn, read_dn
from b2ct.errors import UsageError
from b2ct.site.central import DiracScheduler

if TYPE_CHECKING:
    from pathlib import Path

DIRAC = {
    "kind": "dirac",
    "ca_path": "/",
    "setup": "Rig",
    "configuration_servers": ["dips://cs.example.org:9135/Configuration/Server"],
    "site_name": "CLOUD.Torino.it",
}


def certificate(*attributes: tuple[x509.ObjectIdentifier, str]) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    start = dt.datetime(2024, 6, 10, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_a_subject_has_the_form_of_openssl() -> None:
    pem = certificate(
        (NameOID.DOMAIN_COMPONENT, "org"),
        (NameOID.ORGANIZATION_NAME, "Università, di/Torino"),
        (NameOID.COMMON_NAME, "host/vm.to.infn.it"),
        (NameOID.EMAIL_ADDRESS, "a@b.it"),
        (x509.ObjectIdentifier("1.2.3.4"), "x"),
    )
    wanted = r"/DC=org/O=Universit\xC3\xA0, di/Torino/CN=host/vm.to.infn.it/emailAddress=a@b.it/1.2.3.4=x"
    assert read_dn(pem, "it") == wanted


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(UsageError, match="the file is no certificate"):
        read_dn("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "the file")


def test_the_machines_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERT", certificate((NameOID.COMMON_NAME, "vm")))
    assert load_machine_dn(DiracScheduler.model_validate(DIRAC), tmp_path) is None
    named = DiracScheduler.model_validate({**DIRAC, "certificate": "env:CERT", "key": "env:KEY"})
    assert load_machine_dn(named, tmp_path) == "/CN=vm"


def test_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    dirac = DiracScheduler.model_validate(DIRAC)
    with pytest.raises(UsageError, match="with which certificate"), find_identity(dirac, tmp_path, Credentials()):
        pass
    nowhere = Credentials(ca_path=tmp_path / "none")
    with pytest.raises(UsageError, match="no certificate authorities"), find_identity(dirac, tmp_path, nowhere):
        pass
    proxy = tmp_path / "proxy"
    proxy.write_text("x")
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    with find_identity(dirac, tmp_path, Credentials()) as identity:
        assert (identity.certificate, identity.key, identity.group) == (proxy, None, "")
    with find_identity(dirac, tmp_path, Credentials(proxy, proxy, tmp_path, "admins")) as identity:
        assert (identity.certificate, identity.key, identity.group) == (proxy, proxy, "admins")
        assert identity.ca_path == tmp_path
    missing = Credentials(tmp_path / "none")
    with pytest.raises(UsageError, match="No such file"), find_identity(dirac, tmp_path, missing):
        pass


def test_secrets_of_the_site_file_are_in_private_files_and_only_as_long_as_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    monkeypatch.setenv("CERT", "certificate")
    monkeypatch.setenv("KEY", "private")
    dirac = DiracScheduler.model_validate({**DIRAC, "certificate": "env:CERT", "key": "env:KEY"})
    with find_identity(dirac, tmp_path, Credentials()) as identity:
        assert identity.key is not None
        assert identity.key.read_text() == "private\n"
        assert (identity.key.stat().st_mode & 0o777, identity.key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert identity.group == "hosts"
    assert not identity.certificate.exists()
