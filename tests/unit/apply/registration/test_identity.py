from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from b2ct.apply.registration.identity import Credentials, find_identity, load_machine_certificate, read_certificate
from b2ct.errors import UsageError
from b2ct.plan.registration import MachineCertificate
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


Key = ec.EllipticCurvePrivateKey


def certificate(*attributes: tuple[x509.ObjectIdentifier, str], key: Key | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    start = dt.datetime(2024, 6, 10, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def private(key: Key, passphrase: bytes = b"") -> str:
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, protection).decode()


def pair() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate((NameOID.COMMON_NAME, "vm"), key=key), private(key)


def test_a_subject_has_the_form_of_openssl() -> None:
    pem = certificate(
        (NameOID.DOMAIN_COMPONENT, "org"),
        (NameOID.ORGANIZATION_NAME, "Università, di/Torino"),
        (NameOID.COMMON_NAME, "host/vm.to.infn.it"),
        (NameOID.EMAIL_ADDRESS, "a@b.it"),
        (x509.ObjectIdentifier("1.2.3.4"), "x"),
    )
    wanted = r"/DC=org/O=Universit\xC3\xA0, di/Torino/CN=host/vm.to.infn.it/emailAddress=a@b.it/1.2.3.4=x"
    assert read_certificate(pem, "it") == MachineCertificate(wanted, wanted, dt.date(2024, 6, 11))


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(UsageError, match="the file is no certificate"):
        read_certificate("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "the file")


def test_the_machines_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERT", certificate((NameOID.COMMON_NAME, "vm")))
    assert load_machine_certificate(DiracScheduler.model_validate(DIRAC), tmp_path) is None
    named = DiracScheduler.model_validate({**DIRAC, "certificate": "env:CERT", "key": "env:KEY"})
    found = load_machine_certificate(named, tmp_path)
    assert (found and found.dn) == "/CN=vm", "its key may be elsewhere"
    monkeypatch.setenv("KEY", pair()[1])
    with pytest.raises(UsageError, match=r"central.key \(env:KEY\) is not the key of central.certificate \(env:CERT\)"):
        load_machine_certificate(named, tmp_path)


def test_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    dirac = DiracScheduler.model_validate(DIRAC)
    with pytest.raises(UsageError, match="with which certificate"), find_identity(dirac, tmp_path, Credentials()):
        pass
    nowhere = Credentials(ca_path=tmp_path / "none")
    with pytest.raises(UsageError, match="no certificate authorities"), find_identity(dirac, tmp_path, nowhere):
        pass
    proxy = tmp_path / "proxy"
    proxy.write_text("".join(pair()))
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
    cert, key = pair()
    monkeypatch.setenv("CERT", cert)
    monkeypatch.setenv("KEY", key)
    dirac = DiracScheduler.model_validate({**DIRAC, "certificate": "env:CERT", "key": "env:KEY"})
    with find_identity(dirac, tmp_path, Credentials()) as identity:
        assert identity.key is not None
        assert (identity.certificate.read_text(), identity.key.read_text()) == (cert, key)
        assert (identity.key.stat().st_mode & 0o777, identity.key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert identity.group == "hosts"
    assert not identity.certificate.exists()


def test_a_certificate_without_a_key_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    own = ec.generate_private_key(ec.SECP256R1())
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(certificate((NameOID.COMMON_NAME, "Ada"), key=own))
    texts = {
        "has a passphrase": private(own, b"secret"),
        "is not the key of": pair()[1],
        "holds no private key": "x",
    }
    cases = [(Credentials(cert, key), text, said) for said, text in texts.items()]
    cases += [
        (Credentials(cert), private(own), f"{cert} holds no private key, as a proxy does, and none is named"),
        (Credentials(key=key), private(own), "--key is that of a certificate, and none is named"),
        (Credentials(key, cert), private(own), "holds no certificate"),
    ]
    for given, text, said in cases:
        key.write_text(text)
        with (
            pytest.raises(UsageError, match=said) as raised,
            find_identity(DiracScheduler.model_validate(DIRAC), tmp_path, given),
        ):
            pass
        assert "configuration_servers" not in str(raised.value.hint)
    key.write_text(private(own))
    with find_identity(DiracScheduler.model_validate(DIRAC), tmp_path, Credentials(cert, key)) as identity:
        assert (identity.certificate, identity.key) == (cert, key)
