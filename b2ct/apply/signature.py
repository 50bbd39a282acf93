"""Signs files and checks signatures in minisign's format (https://jedisct1.github.io/minisign/)."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import minisign

from b2ct.errors import B2ctError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".minisig"
"""What minisign appends to a file's name for that of its signature."""

SIGNATURE_LIMIT_BYTES = 16 * 1024
"""No signature is longer: minisign's comments have at most 8 KiB (COMMENTMAXBYTES, TRUSTEDCOMMENTMAXBYTES)."""

_KEY_LIMIT_BYTES = 16 * 1024


class SignatureError(B2ctError):
    """What was signed is not what is there, or somebody else signed it."""


def make_public_key(text: str) -> minisign.PublicKey:
    """Return the key in ``text``: the base64 line, ``RW...``, or the whole of ``minisign.pub``.

    Raises:
        UsageError: it is none.
    """
    lines = text.strip().splitlines()
    try:
        return minisign.PublicKey.from_base64(lines[-1].strip() if lines else "")
    except minisign.Error as error:
        hint = "a public key is the second line of minisign.pub: 56 letters that begin with RW"
        raise UsageError("not a public key of minisign", hint=hint) from error


def load_public_key(path: Path) -> minisign.PublicKey:
    """Return the key in the file ``minisign.pub``; raises UsageError if there is none."""
    return make_public_key(_read_key(path).decode("utf-8", "replace"))


def load_secret_key(path: Path, password: str | None = None) -> minisign.SecretKey:
    """Return the key that ``minisign -G`` wrote, opened with its password; takes seconds and 1 GiB with one.

    Raises:
        UsageError: it cannot be read, is no such key, or the password is not the key's.
    """
    data = _read_key(path)
    try:
        key = minisign.SecretKey.from_bytes(data)
        locked = key.is_encrypted()
        if locked and password is None:
            raise UsageError(f"{path} is locked with a password, and none is given")
        if locked:
            key.decrypt(password)
    except minisign.ParseError as error:
        raise UsageError(f"{path} is not a secret key of minisign", hint="minisign -G makes one") from error
    except minisign.Error as error:
        raise UsageError(f"{path}: the password does not open it") from error
    return key


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_LIMIT_BYTES)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}", hint="minisign -G makes one") from error


def sign_bytes(key: minisign.SecretKey, data: bytes, name: str, timestamp: int) -> bytes:
    """Return the signature file for ``data``; its trusted comment says name and time (seconds since 1970)."""
    return _sign(key, io.BytesIO(data), name, timestamp)


def sign_file(key: minisign.SecretKey, path: Path, name: str, timestamp: int) -> bytes:
    """Return the signature file for the file at ``path``, which is read once, in pieces."""
    with path.open("rb") as file:
        return _sign(key, file, name, timestamp)


def _sign(key: minisign.SecretKey, file: BinaryIO, name: str, timestamp: int) -> bytes:
    comment = f"timestamp:{timestamp}\tfile:{name}\thashed"  # as minisign 0.11 writes it
    return bytes(key.sign(file, prehash=True, trusted_comment=comment)) + b"\n"


def verify_bytes(key: minisign.PublicKey, data: bytes, signature: bytes, shown: str) -> None:
    """Raise SignatureError, which calls the data ``shown``, unless ``signature`` is the key's for ``data``."""
    with _verdict(shown):
        key.verify(io.BytesIO(data), _parse(signature))


def verify_file(key: minisign.PublicKey, path: Path, signature: bytes, shown: str) -> None:
    """Raise SignatureError unless ``signature`` is the key's for the file at ``path``."""
    with _verdict(shown), path.open("rb") as file:
        key.verify(file, _parse(signature))


def is_by(key: minisign.PublicKey, signature: bytes) -> bool:
    """Return whether a signature says that it is by ``key`` (which only verifying shows)."""
    try:
        return bytes(_parse(signature)._key_id) == bytes(key._keynum_pk.key_id)  # noqa: SLF001 - no public name for it
    except (minisign.Error, SignatureError):
        return False


def _parse(signature: bytes) -> minisign.Signature:
    """Return a signature; the old format, for which a whole image would have to be in memory, is refused."""
    parsed = minisign.Signature.from_bytes(signature)
    if not parsed.is_prehashed():
        raise SignatureError("the signature is in minisign's old format", hint="sign again, without -l")
    return parsed


@contextmanager
def _verdict(shown: str) -> Iterator[None]:
    """Turn the library's errors into ours."""
    hint = "do not use it; it was changed on its way, or the key is another one: ask whoever publishes it"
    try:
        yield
    except minisign.ParseError as error:
        raise SignatureError(f"{shown}: its signature is not one of minisign", hint=hint) from error
    except minisign.VerifyError as error:
        reason = "by another key" if "key identifiers" in str(error) else "wrong"
        raise SignatureError(f"{shown}: its signature is {reason}", hint=hint) from error
    except SignatureError as error:
        raise SignatureError(f"{shown}: {error.message}", hint=error.hint) from error
