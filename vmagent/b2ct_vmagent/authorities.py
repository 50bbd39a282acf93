"""Which certificates are trusted: those of ``ca_path`` judge a chain, and a pilot gets both in one folder."""

import os
import re
from typing import List, Sequence

from b2ct_vmagent.credential_files import run_openssl, verify_certificate
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, remove_file, write_file
from b2ct_vmagent.programs import Runner

_CERTIFICATE = r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n"
_CERTIFICATES = re.compile("(?:{}){{1,8}}".format(_CERTIFICATE))


def split_chain(text: str) -> List[str]:
    """Return the certificates of a text in PEM; raises AgentError unless it holds one to eight, and nothing else."""
    if not _CERTIFICATES.fullmatch(text):
        raise AgentError("not certificates in PEM")
    return re.findall(_CERTIFICATE, text)


def verify_chain(chain: Sequence[str], ca_path: str, folder: str, now_s: float, run: Runner) -> None:
    """Check that a chain's certificates hold at ``now_s`` by CAs of ``ca_path``, and that the second signed the first.

    Pilots are to trust what follows the first, so nothing may be among it that no CA of this machine has signed. Files
    that are needed for the moment go into ``folder``.

    Raises:
        AgentError: it is not so, or ``ca_path`` is neither a folder nor a file.
    """
    if not os.path.exists(ca_path):
        raise AgentError("there are no CA certificates to check it by: ca_path {} is missing".format(ca_path))
    trusted = ["-CApath" if os.path.isdir(ca_path) else "-CAfile", ca_path]
    one, whole = os.path.join(folder, "one.new"), os.path.join(folder, "chain.new")
    try:
        write_file(whole, "".join(chain).encode("ascii"), 0o600)
        for number, certificate in enumerate(chain):
            write_file(one, certificate.encode("ascii"), 0o600)
            if number and _names_itself(one, run):
                raise AgentError("the chain holds a certificate that signed itself")
            if number == 1:  # of a file, openssl verifies the first
                verify_certificate(whole, ["-partial_chain", "-CAfile", one], now_s, run)
            verify_certificate(one, [*trusted, "-untrusted", whole], now_s, run)
    finally:
        remove_file(one)
        remove_file(whole)


def _names_itself(path: str, run: Runner) -> bool:
    names = run_openssl(run, ["x509", "-in", path, "-noout", "-subject_hash", "-issuer_hash"]).split()
    return len(set(names)) != 2


def link_authorities(certificate: str, ca_path: str, folder: str, run: Runner) -> bool:
    """Make ``folder`` hold what ``ca_path`` holds, and what follows the first certificate in a file that was checked.

    False when there is no such file yet, or no folder to take from; raises AgentError when it cannot be written.
    """
    text = read_text(certificate)
    if not text or not os.path.isdir(ca_path):
        return False
    make_folder(folder)
    wanted = set(os.listdir(ca_path))
    for name in os.listdir(folder):
        if name not in wanted or not os.path.islink(os.path.join(folder, name)):
            remove_file(os.path.join(folder, name))
    for name in wanted - set(os.listdir(folder)):
        os.symlink(os.path.join(ca_path, name), os.path.join(folder, name))
    for issuer in split_chain(text)[1:]:
        _add(issuer, folder, run)
    return True


def _add(issuer: str, folder: str, run: Runner) -> None:
    """Write a certificate under its name's hash, where OpenSSL looks for it, behind others of that name."""
    fresh = os.path.join(folder, "issuer.pem")
    write_file(fresh, issuer.encode("ascii"), 0o644)
    name = run_openssl(run, ["x509", "-in", fresh, "-noout", "-subject_hash"]).strip()
    for place in (os.path.join(folder, "{}.{}".format(name, number)) for number in range(10)):
        if not os.path.lexists(place):
            os.replace(fresh, place)
            return
    raise AgentError("{}: there are ten certificates {} already".format(folder, name))
