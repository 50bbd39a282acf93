"""Secrets are found where the site file says, and only hashes of passwords leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from passlib.hash import sha512_crypt

from b2ct.apply.secrets import hash_password, load_password_hashes, load_secret
from b2ct.errors import UsageError
from b2ct.site.model import Site
from tests.unit.site.sites import SITE, changed

if TYPE_CHECKING:
    from pathlib import Path

HASH = (
    "$6$rounds=5000$usesomesillystri$"
    "D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36eYbH6Lg8FjwO2v2PKfaAZkKUQYcKRVVQSVTbDFFGTjRJmr1"
)


def site(**media: str) -> Site:
    return Site.model_validate(changed("media", {"distro": "almalinux", "version": "9", **media}))


def test_a_password_becomes_its_hash_and_the_same_one_each_time() -> None:
    done = hash_password("correct horse", "admin", site())
    assert sha512_crypt.verify("correct horse", done)
    assert done == hash_password("correct horse", "admin", site())
    assert done != hash_password("correct horse", "other", site())


def test_a_hash_stays_as_it_is() -> None:
    assert hash_password(HASH, "admin", site()) == HASH


def test_a_hash_that_the_hosts_do_not_know_is_refused() -> None:
    yescrypt = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
    assert hash_password(yescrypt, "admin", site()) == yescrypt
    with pytest.raises(UsageError, match="yescrypt"):
        hash_password(yescrypt, "admin", site(version="8"))
    with pytest.raises(UsageError, match="looks like a hash"):
        hash_password("$1$salt$hash", "admin", site())


@pytest.mark.parametrize("password", ["with\0NUL", "x" * 5000])
def test_a_password_that_cannot_be_hashed_is_refused(password: str) -> None:
    with pytest.raises(UsageError, match="NUL or is too long"):
        hash_password(password, "admin", site())


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from file\n")
    monkeypatch.setenv("B2CT_TEST", "from env")
    assert load_secret("file:pw", tmp_path) == "from file"
    assert load_secret("env:B2CT_TEST", tmp_path) == "from env"


def test_secrets_come_from_an_ansible_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = VaultSecret(b"vault password")
    (tmp_path / "password").write_bytes(secret.bytes)
    (tmp_path / "vault.yml").write_bytes(VaultLib([("default", secret)]).encrypt(b"admin: from vault\n", secret))
    with pytest.raises(UsageError, match="password is not known"):
        load_secret("vault:vault.yml#admin", tmp_path)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    assert load_secret("vault:vault.yml#admin", tmp_path) == "from vault"
    with pytest.raises(UsageError, match="no text under the key other"):
        load_secret("vault:vault.yml#other", tmp_path)
    (tmp_path / "vault.yml").write_bytes(VaultLib([("default", secret)]).encrypt(b"admin: [S3CRET", secret))
    with pytest.raises(UsageError, match="not YAML") as caught:
        load_secret("vault:vault.yml#admin", tmp_path)
    assert "S3CRET" not in str(caught.value)
    assert caught.value.__suppress_context__
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(UsageError, match="cannot be decrypted"):
        load_secret("vault:vault.yml#admin", tmp_path)


@pytest.mark.parametrize("reference", ["file:none", "env:B2CT_NOT_SET", "file:."])
def test_a_secret_that_is_not_there_is_named(reference: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reference):
        load_secret(reference, tmp_path)


def test_only_users_with_passwords_have_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B2CT_TEST", "secret")
    users = [*SITE["users"], {"name": "operator", "password": "env:B2CT_TEST"}]
    assert list(load_password_hashes(Site.model_validate(changed("users", users)), tmp_path)) == ["operator"]
