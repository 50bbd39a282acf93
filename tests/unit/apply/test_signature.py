"""Keys, signatures, and everything that they refuse."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import minisign
import pytest

from b2ct.apply.signature import (
    SignatureError,
    is_by,
    load_public_key,
    load_secret_key,
    make_public_key,
    sign_bytes,
    sign_file,
    verify_bytes,
    verify_file,
)
from b2ct.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

KEY = minisign.KeyPair.generate()
OTHER = minisign.KeyPair.generate()


def test_what_was_signed_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"data" * 100_000)
    signature = sign_file(KEY.secret_key, path, "image", 5)
    verify_file(KEY.public_key, path, signature, "image")
    verify_bytes(KEY.public_key, path.read_bytes(), signature, "image")
    assert b"trusted comment: timestamp:5\tfile:image\thashed\n" in signature


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.replace(b"timestamp:5", b"timestamp:6"), "its signature is wrong"),
        (lambda s: s.replace(b"file:x", b"file:y"), "its signature is wrong"),
        (lambda s: s[:-20], "is not one of minisign"),
        (lambda _: b"", "is not one of minisign"),
        (lambda _: sign_bytes(OTHER.secret_key, b"data", "x", 5), "its signature is by another key"),
        (lambda _: sign_bytes(KEY.secret_key, b"other", "x", 5), "its signature is wrong"),
        (lambda _: bytes(KEY.secret_key.sign(b"data", prehash=False)), "minisign's old format"),
    ],
)
def test_a_changed_signature_is_refused(change: object, words: str) -> None:
    assert callable(change)
    signature = change(sign_bytes(KEY.secret_key, b"data", "x", 5))
    with pytest.raises(SignatureError, match=f"^the thing: .*{words}"):
        verify_bytes(KEY.public_key, b"data", signature, "the thing")


def test_changed_data_is_refused() -> None:
    with pytest.raises(SignatureError):
        verify_bytes(KEY.public_key, b"datb", sign_bytes(KEY.secret_key, b"data", "x", 5), "x")


def test_whose_a_signature_is() -> None:
    signature = sign_bytes(KEY.secret_key, b"data", "x", 5)
    assert is_by(KEY.public_key, signature)
    assert not is_by(OTHER.public_key, signature)
    assert not is_by(KEY.public_key, b"rubbish")


def test_a_public_key_is_a_line_or_a_file(tmp_path: Path) -> None:
    line = KEY.public_key.to_base64().decode()
    path = tmp_path / "minisign.pub"
    path.write_bytes(bytes(KEY.public_key) + b"\n")
    assert make_public_key(line) == make_public_key(f" {line}\n") == load_public_key(path) == KEY.public_key


@pytest.mark.parametrize("text", ["", " \n", "RW", "é" * 56, "R" * 56, base64.b64encode(b"ED" + bytes(40)).decode()])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a public key of minisign"):
        make_public_key(text)


def test_a_secret_key_with_and_without_password(tmp_path: Path) -> None:
    pair = minisign.KeyPair.generate()
    path = tmp_path / "minisign.key"
    path.write_bytes(bytes(pair.secret_key))
    assert load_secret_key(path, "unneeded").get_public_key() == pair.public_key
    pair.secret_key.encrypt("right", opslimit=32768, memlimit=1 << 20)
    path.write_bytes(bytes(pair.secret_key))
    assert load_secret_key(path, "right").get_public_key() == pair.public_key
    with pytest.raises(UsageError, match="locked with a password"):
        load_secret_key(path)
    with pytest.raises(UsageError, match="the password does not open it"):
        load_secret_key(path, "wrong")


def test_what_is_no_secret_key_is_refused_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "minisign.key"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_secret_key(path)
    path.write_bytes(b"untrusted comment: x\nc2VjcmV0\n")
    with pytest.raises(UsageError, match="is not a secret key") as caught:
        load_secret_key(path)
    assert "c2VjcmV0" not in str(caught.value)
