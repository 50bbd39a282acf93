from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from b2ct.apply.credentials.answer import Issued, read_answered, render_answer
from b2ct.apply.credentials.proxy import PROXY_CERT_INFO, CertificateError, read_host_certificate, sign_proxy
from b2ct.apply.credentials.request import RequestError, key_digest, read_request
from b2ct.apply.credentials.tokens import TokenError, read_pool_tokens, read_token
from b2ct.plan.credentials import Answered
from tests.rigs.dirac.certificates import make_authority

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPE = "condor:/ADVERTISE_STARTD condor:/ADVERTISE_MASTER"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def make_name(*parts: str) -> x509.Name:
    kinds = (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
    return x509.Name([x509.NameAttribute(kind, part) for kind, part in zip(kinds, parts, strict=False)])


def make_request(key: CertificateIssuerPrivateKeyTypes, *, damage: bool = False) -> str:
    subject = make_name("EU", "Evil", "CN=admin")
    data = bytearray(
        x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )
    if damage:
        data[-1] ^= 1
    return base64.b64encode(data).decode()


def make_host(key: rsa.RSAPrivateKey, *, days: int = 30, usage: x509.ObjectIdentifier | None = None) -> str:
    builder = (
        x509.CertificateBuilder()
        .subject_name(make_name("EU", "Rig", "vm.example.org"))
        .issuer_name(make_name("EU", "Rig", "CA"))
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - 40 * DAY)
        .not_valid_after(NOW + days * DAY)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def make_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_request_gives_its_key_and_nothing_else(key: rsa.RSAPrivateKey) -> None:
    assert read_request(make_request(key)).key == key_digest(key.public_key())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: "", "no certificate request"),
        (lambda _: "é", "no certificate request"),
        (lambda key: make_request(key)[:-8], "no certificate request"),
        (lambda key: make_request(key) + "\n", "no certificate request"),
        (lambda key: make_request(key, damage=True), "not signed with its key"),
        (lambda _: make_request(ec.generate_private_key(ec.SECP256R1())), "not one of RSA"),
        (lambda _: make_request(rsa.generate_private_key(65537, 1024)), "not one of RSA with 2048"),  # noqa: S505 - the point
    ],
)
def test_what_is_no_request_is_refused(key: rsa.RSAPrivateKey, make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(RequestError, match=words):
        read_request(make(key))


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_a_refusal(data: bytes) -> None:
    with pytest.raises(RequestError):
        read_request(base64.b64encode(data).decode())


def test_a_proxy_is_what_rfc_3820_says(key: rsa.RSAPrivateKey) -> None:
    host = read_host_certificate(make_host(key), make_pem(key), NOW)
    own = rsa.generate_private_key(65537, 2048)
    proxy = sign_proxy(host, own.public_key(), NOW, DAY)
    assert proxy.issuer == host.chain[0].subject
    *start, last = proxy.subject
    assert start == list(host.chain[0].subject)
    assert (last.oid, last.value) == (NameOID.COMMON_NAME, str(proxy.serial_number))
    assert proxy.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert proxy.not_valid_after_utc == NOW + DAY
    assert proxy.public_key() == own.public_key()
    info = proxy.extensions.get_extension_for_oid(PROXY_CERT_INFO)
    assert info.critical
    usage = proxy.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert not usage.value.key_cert_sign
    algorithm = proxy.signature_hash_algorithm
    assert algorithm is not None
    key.public_key().verify(proxy.signature, proxy.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
    assert sign_proxy(host, own.public_key(), NOW, DAY).serial_number != proxy.serial_number


def test_a_root_is_not_handed_out(key: rsa.RSAPrivateKey) -> None:
    root = make_authority("Rig CA")
    below = make_authority("Rig sub CA", root)
    given = make_host(key) + "".join(
        authority.certificate.public_bytes(Encoding.PEM).decode() for authority in (below, root)
    )
    assert read_host_certificate(given, make_pem(key), NOW).chain[1:] == (below.certificate,)


def test_a_proxy_ends_no_later_than_its_host(key: rsa.RSAPrivateKey) -> None:
    host = read_host_certificate(make_host(key, days=1), make_pem(key), NOW)
    assert sign_proxy(host, key.public_key(), NOW, 7 * DAY).not_valid_after_utc == host.expires


@pytest.mark.parametrize(
    ("days", "usage", "words"),
    [
        (-1, None, "is not valid now, but from 2026-11-23 03:04 to 2027-01-01 03:04 UTC"),
        (1, ExtendedKeyUsageOID.SERVER_AUTH, "is not for clients"),
        (1, ExtendedKeyUsageOID.CLIENT_AUTH, ""),
    ],
)
def test_a_host_certificate_has_to_be_of_use(
    key: rsa.RSAPrivateKey, days: int, usage: x509.ObjectIdentifier | None, words: str
) -> None:
    text = make_host(key, days=days, usage=usage)
    if not words:
        assert read_host_certificate(text, make_pem(key), NOW).expires == NOW + DAY
        return
    with pytest.raises(CertificateError, match=words):
        read_host_certificate(text, make_pem(key), NOW)


def test_an_answer_says_in_the_open_only_what_is_no_secret(key: rsa.RSAPrivateKey) -> None:
    answered = Answered("k", "s", 1, 2, 3)
    issued = Issued(NOW, certificate="PEM", secrets={"condor_token": "geheim"})
    text = render_answer(issued, answered, key.public_key(), 42, NOW)
    assert text.isascii()
    assert "\n" not in text
    document = json.loads(base64.b64decode(text))
    assert set(document) == {"format", "key", "source", "issued_s", "renew_s", "expires_s", "certificate", "sealed"}
    assert "geheim" not in str(document)
    assert b"geheim" not in base64.b64decode(document["sealed"])
    assert read_answered(text) == answered


@given(st.binary(max_size=200))
def test_no_bytes_are_an_answer(data: bytes) -> None:
    assert read_answered(base64.b64encode(data).decode()) is None


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"key": 1}, {"issued_s": "1"}, {"renew_s": None}, {"expires_s": True}, {"issued_s": 1.5}]
)
def test_an_answer_of_another_form_is_none(change: dict[str, object]) -> None:
    document = {"format": 1, "key": "k", "source": "s", "issued_s": 1, "renew_s": 2, "expires_s": 3}
    assert read_answered(base64.b64encode(json.dumps(document).encode()).decode()) == Answered("k", "s", 1, 2, 3)
    assert read_answered(base64.b64encode(json.dumps({**document, **change}).encode()).decode()) is None


def make_token(**claims: object) -> str:
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*words, "c2ln"])


def test_tokens_of_a_pool_are_told_apart_by_whom_they_name() -> None:
    first = make_token(sub="vm-belle-torino@pool", scope=SCOPE, exp=NOW.timestamp() + 60)
    second = make_token(sub="vm-t2k-torino@pool", scope=f"{SCOPE} condor:/READ")
    tokens = read_pool_tokens(f"{first}\n\n {second} \n", NOW)
    assert {name: token.text for name, token in tokens.items()} == {
        "vm-belle-torino@pool": first,
        "vm-t2k-torino@pool": second,
    }
    assert tokens["vm-belle-torino@pool"].expires == NOW + timedelta(seconds=60)
    assert tokens["vm-t2k-torino@pool"].expires is None


@pytest.mark.parametrize("scope", [f"{SCOPE} condor:/DAEMON", "", "read"])
def test_tokens_that_may_more_are_not_for_machines(scope: str) -> None:
    with pytest.raises(TokenError, match="of x allows more than to advertise"):
        read_pool_tokens(make_token(sub="x", scope=scope), NOW)


def test_a_renewed_token_stands_beside_the_old_one() -> None:
    old, new = (make_token(sub="x", scope=SCOPE, exp=NOW.timestamp() + seconds) for seconds in (0, 60))
    assert read_pool_tokens(old, NOW) == {}
    assert read_pool_tokens(f"{old}\n{new}\n", NOW)["x"].text == new
    assert read_pool_tokens(f"{new}\n{old}\n", NOW)["x"].text == new


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "a.W10.c", "a b.c.d", "a.eyJ.c", "..", "a.é.c"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(TokenError, match="the file holds no token") as caught:
        read_token(text, "the file")
    assert not text or text not in str(caught.value)
