"""Looks into files of credentials: certificates, keys, tokens."""

import base64
import hashlib
import json
import re
import ssl
from typing import Any, Dict, Optional, Sequence

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.programs import Runner

OPENSSL_S = 60.0
"""An idle new machine may have to wait for random numbers."""

LATEST_S = 253402300799.0
"""The end of the year 9999, the last that a certificate can name (RFC 5280 4.1.2.5)."""

_NO_OTHERS = ("env", "SSL_CERT_FILE=/nonexistent", "SSL_CERT_DIR=/nonexistent")
"""Keeps the system's own CAs out; OpenSSL 1.0, 1.1 and 3 have different options for that."""
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


def verify_certificate(path: str, trusted: Sequence[str], now_s: float, run: Runner) -> None:
    """Check a file's first certificate at ``now_s`` by the CAs that the options ``trusted`` name, and by no others.

    Raises:
        AgentError: it is not good, or there is no openssl.
    """
    form = ["-allow_proxy_certs", "-attime", str(int(now_s)), *trusted, path]
    done = run([*_NO_OTHERS, "openssl", "verify", *form], OPENSSL_S)
    if done.code == 127:
        raise AgentError("there is no openssl here; install the package openssl")
    # OpenSSL 1.0 forgives much: it then tells the error, and exits with 0
    if done.code != 0 or "{}: OK".format(path) not in done.output.splitlines():
        found = re.search("^error [0-9]+ at [0-9]+ depth lookup: ?(.+)$", done.output, re.MULTILINE)
        reason = found.group(1) if found else "exit code {}".format(done.code)
        raise AgentError("openssl does not verify it: {}".format(reason))


def read_claims(text: str) -> Dict[str, Any]:
    """Return the claims of a JSON web token (RFC 7519), whoever signed it; raises AgentError if it is none."""
    payload = text.split(".")[1] if _TOKEN.fullmatch(text) else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode("utf-8"))
    except (ValueError, RecursionError):
        raise AgentError("no token")
    if not isinstance(claims, dict):
        raise AgentError("no token")
    return claims


def read_token_end(text: str) -> Optional[float]:
    """Return when a JSON web token ends, seconds since 1970; None: never; raises AgentError if it is none."""
    return claimed_end(read_claims(text))


def claimed_end(claims: Dict[str, Any]) -> Optional[float]:
    """Return when a token with these claims ends, seconds since 1970; None: never; raises AgentError if damaged."""
    return None if claims.get("exp") is None else moment(claims["exp"])


def moment(number: object) -> float:
    """Return a JSON number as a time, seconds since 1970; raises AgentError when it is none up to the year 9999."""
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= LATEST_S:
        raise AgentError("it holds what is no time up to the year 9999")
    return float(number)


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
