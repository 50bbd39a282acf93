"""Finds the secrets that a site file refers to, and turns passwords into hashes."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

import yaml
from passlib.hash import sha512_crypt

from b2ct.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.site.model import Site

CRYPT_HASH = re.compile(r"^\$(6|y)\$[./A-Za-z0-9=,$]+$")
"""A crypt(3) hash that EL hosts take: SHA-512 (``$6$``), yescrypt (``$y$``, EL9 and later)."""

YESCRYPT_SINCE = 9
"""First EL generation whose libcrypt knows yescrypt (libxcrypt 4.3 or later)."""


def load_password_hashes(site: Site, folder: Path) -> dict[str, str]:
    """Return the crypt(3) hash of each password that the site refers to, by user name and ``root``.

    ``folder`` is the site file's. A password that is a hash already stays as it is.

    Raises:
        UsageError: a secret cannot be found.
    """
    references = {user.name: user.password for user in site.users} | {"root": site.root.password}
    return {
        name: hash_password(load_secret(reference, folder), name, site)
        for name, reference in references.items()
        if reference is not None
    }


def load_secret(reference: str, folder: Path) -> str:
    """Return the secret that ``file:PATH``, ``env:NAME`` or ``vault:PATH#KEY`` stands for.

    Raises:
        UsageError: it is not there, or empty.
    """
    kind, _, place = reference.partition(":")
    match kind:
        case "env":
            secret = os.environ.get(place, "")
        case "file":
            secret = _read(folder / place, reference)
        case _:
            path, _, key = place.partition("#")
            secret = _load_from_vault(folder / path, key, reference)
    if not secret.strip():
        raise UsageError(f"the secret {reference} is empty or not set")
    return secret.rstrip("\r\n")


def _read(path: Path, reference: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"the secret {reference} cannot be read: {reason}") from error


def _load_from_vault(path: Path, key: str, reference: str) -> str:
    """Return one key of an Ansible vault file; the vault's password is found as Ansible finds it."""
    from ansible.errors import AnsibleError  # noqa: PLC0415 - a second to import, and few sites need it
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.parsing.vault import VaultLib, get_file_vault_secret  # noqa: PLC0415

    password_file = os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE")
    if not password_file:
        raise UsageError(
            f"the secret {reference} is in an Ansible vault, and its password is not known",
            hint="set ANSIBLE_VAULT_PASSWORD_FILE to the file that holds it",
        )
    encrypted = _read(path, reference)
    try:
        secret = get_file_vault_secret(filename=password_file, loader=DataLoader())
        secret.load()
        values = yaml.safe_load(VaultLib([("default", secret)]).decrypt(encrypted))
    except AnsibleError as error:
        raise UsageError(f"the secret {reference} cannot be decrypted: {error.message}") from error
    except yaml.YAMLError:  # whose words quote the decrypted text
        raise UsageError(f"the secret {reference}: what the vault holds is not YAML") from None
    if not isinstance(values, dict) or not isinstance(values.get(key), str):
        raise UsageError(f"the secret {reference}: the vault has no text under the key {key}")
    return str(values[key])


def hash_password(password: str, user: str, site: Site) -> str:
    """Return the SHA-512 crypt hash of a password, or the password itself when it is a hash.

    The salt is made from the names of site and user, so that the same input gives the same install media.

    Raises:
        UsageError: the hash is of a kind that the hosts do not know.
    """
    if CRYPT_HASH.match(password):
        if password.startswith("$y$") and site.media.generation < YESCRYPT_SINCE:
            hint = "use a SHA-512 hash ($6$), or the password itself"
            raise UsageError(
                f"the password of {user} is a yescrypt hash, unknown to EL{site.media.generation}", hint=hint
            )
        return password
    if re.match(r"\$[0-9a-z]{1,6}\$", password):
        hint = "SHA-512 ($6$) and, from EL9 on, yescrypt ($y$) are"
        raise UsageError(f"the password of {user} looks like a hash, but is of no kind that is supported", hint=hint)
    salt = hashlib.sha256(f"b2ct\0{site.site}\0{site.domain}\0{user}".encode()).hexdigest()[:16]
    try:
        return str(sha512_crypt.using(salt=salt).hash(password))
    except ValueError:  # passlib's words for a NUL, or more than 4,096 characters
        raise UsageError(f"the password of {user} holds a NUL or is too long") from None
