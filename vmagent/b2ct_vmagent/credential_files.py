"""Looks into files of credentials: certificates, keys, tokens."""

import base64
import hashlib
import json
import re
import ssl
from typing import Optional, Sequence

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.programs import Runner

OPENSSL_S = 60.0
"""An idle new machine may have to wait for random numbers."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def run_openssl(run: Runner, arguments: Sequence[str]) -> str:
    """Return what openssl wrote, which may be a secret; raises AgentError, which shows only what failed."""
    done = run(["openssl", *arguments], OPENSSL_S)
    if done.code == 127:
        raise AgentError("there is no openssl here; install the package openssl")
    if done.code != 0:
        raise AgentError("openssl {} failed with exit code {}".format(arguments[0], done.code))
    return done.output


def read_certificate_key(path: str, run: Runner) -> str:
    """Return the digest of the public key of a file's first certificate; raises AgentError if it holds none."""
    return digest(pem_part(run_openssl(run, ["x509", "-in", path, "-noout", "-pubkey"]), "PUBLIC KEY"))


def read_private_key(path: str, run: Runner) -> str:
    """Return the digest of the public key that belongs to an unencrypted private key; raises AgentError."""
    return digest(pem_part(run_openssl(run, ["pkey", "-in", path, "-pubout", "-passin", "pass:"]), "PUBLIC KEY"))


def read_certificate_end(path: str, run: Runner) -> float:
    """Return when a file's first certificate ends, seconds since 1970; raises AgentError if it holds none."""
    found = re.search(r"^notAfter=(.+)$", run_openssl(run, ["x509", "-in", path, "-noout", "-enddate"]), re.MULTILINE)
    try:
        return float(ssl.cert_time_to_seconds(found.group(1) if found else ""))
    except ValueError:
        raise AgentError("{}: its end cannot be read".format(path))


def read_token_end(text: str) -> Optional[float]:
    """Return when a JSON web token ends, seconds since 1970; None: never; raises AgentError if it is none."""
    payload = text.split(".")[1] if _TOKEN.fullmatch(text) else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("utf-8"))
        end_s = claims.get("exp")
        return None if end_s is None else float(end_s)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise AgentError("no token")


def pem_part(text: str, label: str) -> str:
    """Return the base64 of the first PEM block of that label, on one line; raises AgentError if there is none."""
    found = re.search("-----BEGIN {0}-----\n([A-Za-z0-9+/=\n]+)-----END {0}-----".format(label), text)
    if not found:
        raise AgentError("there is no {} in PEM".format(label.lower()))
    return found.group(1).replace("\n", "")


def digest(part: str) -> str:
    """Return SHA-256 of what a PEM block holds, hexadecimal; raises AgentError when it is damaged."""
    try:
        return hashlib.sha256(base64.b64decode(part)).hexdigest()
    except ValueError:
        raise AgentError("damaged PEM")
