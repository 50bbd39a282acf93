"""Gets this machine's credentials from its site through OneGate, so that its user-data carries no lasting secret.

The machine makes a key that never leaves it, and publishes a certificate request as ``B2CT_REQUEST``. The site answers
in ``B2CT_ANSWER`` (``b2ct credentials``): base64 of a JSON document with a certificate, which is no secret, and tokens
that only this key opens.
"""

import base64
import binascii
import json
import os
import random
import re
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

try:
    from typing import Protocol
except ImportError:  # before Python 3.8
    Protocol = object  # type: ignore[assignment]

from b2ct_vmagent.authorities import link_authorities, split_chain, verify_chain
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.credential_files import (
    moment,
    pem_part,
    read_certificate_end,
    read_certificate_key,
    read_private_key,
    read_token_end,
    run_openssl,
)
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, remove_file, write_file
from b2ct_vmagent.log import log
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner, run_program
from b2ct_vmagent.settings import Settings

REQUEST, ANSWER = "B2CT_REQUEST", "B2CT_ANSWER"
FORMAT = 1
FOLDER = "/var/lib/b2ct-vm/credentials"
AUTHORITIES = "/run/b2ct-vm/certificates"
"""The CA certificates of ``ca_path``, and the certificate that signed ours: readable by pilots, and no secret."""

KEY_BITS = 2048
FIRST_POLL_S, LONGEST_POLL_S = 5.0, 60.0
"""While something is waited for; each pause is longer than the one before."""
LONGEST_REST_S = 3600.0
"""Between two looks while all is well: the site may have changed its own credentials."""
SHORT_S = 7 * 86400
"""What holds for less is a warning, where nobody renews it."""


class Delivered(NamedTuple):
    """Where the site's answer is kept; the names are those of the settings."""

    certificate: str
    key: str
    condor_token: str
    diracx_token: str


def pilot_ca_path(settings: Settings) -> str:
    """Return the folder of CA certificates for a DIRAC pilot.

    A host's certificate that comes through OneGate is a proxy. DIRAC's own client shows only the first certificate of
    a host's file (M2Utils.py, ``load_cert``) and OpenSSL adds the next one from this folder.
    """
    return AUTHORITIES if settings.credentials == "onegate" else settings.ca_path


class Gate(Protocol):
    """This machine's entry in the cloud."""

    def read(self) -> Dict[str, str]:
        """Return the attributes of the machine's user template."""

    def write(self, facts: Dict[str, str]) -> None:
        """Set attributes; raises AgentError."""


DELIVERED = Delivered(
    *(FOLDER + "/" + name for name in ("hostcert.pem", "hostkey.pem", "condor.token", "diracx.token"))
)


def settle_credentials(settings: Settings) -> Settings:
    """Return the settings with the places of delivered credentials, when they come through OneGate."""
    return settings._replace(**DELIVERED._asdict()) if settings.credentials == "onegate" else settings


def expected(settings: Settings) -> Tuple[str, ...]:
    """Return which credentials these settings need: ``certificate``, ``condor_token``, ``diracx_token``."""
    wanted = {
        "certificate": bool(settings.dirac_manager or settings.pilot_kind == "dirac"),
        "condor_token": settings.pilot_kind == "htcondor",
        "diracx_token": bool(settings.diracx_url),
    }
    return tuple(name for name, needed in wanted.items() if needed)


class Credentials:
    """Asks for credentials, keeps what comes, and asks again in time; nothing that it writes down is lost by a restart.

    What cannot be used is left aside with the reason in ``detail``; what was delivered before stays.
    """

    def __init__(self, paths: Paths, settings: Settings, gate: Gate, run: Runner = run_program) -> None:
        self._files = Delivered(*(paths.at(path) for path in DELIVERED))
        self._folder = paths.at(FOLDER)
        self._state = os.path.join(self._folder, "request.json")
        self._vmid = settings.vmid
        self._expected = expected(settings)
        self._ca_path = paths.at(settings.ca_path)
        self._authorities = paths.at(AUTHORITIES)
        self._linked = False
        self._gate = gate
        self._run = run
        self._seen = ""
        """The last answer that was looked at."""
        self._renew_s = 0.0
        """When the site will answer anew; 0 before the first good answer."""
        self._lacks = ""
        self._pause_s = FIRST_POLL_S
        self.detail = "not asked yet"

    def start(self) -> None:
        """Ask from now on, in a thread that ends with the process."""
        threading.Thread(target=self._loop, name="credentials", daemon=True).start()

    def _loop(self) -> None:
        while True:
            time.sleep(self.step(time.time()))

    def step(self, now_s: float) -> float:
        """Make one step at the time ``now_s`` (since 1970); return the seconds until the next. Nothing is raised."""
        before = self.detail
        try:
            self.detail = self._step(now_s)
        except (AgentError, OSError) as error:
            self.detail = str(error)
            self._renew_s = 0.0
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: a fault here must not end it
            self.detail = "a fault of the agent: {}".format(type(error).__name__)  # its words could hold a secret
            self._renew_s = 0.0
        if self.detail != before:
            log("info" if self._renew_s else "warning", "credentials: {}".format(self.detail))
        if self._renew_s > now_s:
            self._pause_s = FIRST_POLL_S
            return min(LONGEST_REST_S, self._renew_s - now_s) + FIRST_POLL_S * random.random()  # noqa: S311 - spreads load
        self._pause_s = min(LONGEST_POLL_S, self._pause_s * 1.5)
        return self._pause_s * (0.5 + random.random() / 2)  # noqa: S311 - the same

    def _step(self, now_s: float) -> str:
        """Ask, look, keep; return what is so."""
        if not self._linked and "certificate" in self._expected:
            self._linked = self._link_authorities()
        request, key = self._request()
        told = self._gate.read()
        if told.get(REQUEST) != request:
            self._gate.write({REQUEST: request})
            return "asked the site"
        text = told.get(ANSWER, "")
        if not text:
            self._renew_s = 0.0
            return "the site has not answered yet"
        if text != self._seen or not self._renew_s:
            document = _read_answer(text)
            if document["key"] != key:
                self._renew_s = 0.0
                return "the site has not answered this machine's new request yet"
            missing = self._keep(document, now_s)
            self._seen, self._renew_s = text, moment(document["renew_s"])
            self._lacks = " without {}".format(", ".join(missing)) if missing else ""
        if now_s >= self._renew_s:
            return "the site's answer{} is to be renewed".format(self._lacks)
        return "answered by the site{}".format(self._lacks)

    def _request(self) -> Tuple[str, str]:
        """Return the request, and the digest of its key; both are made when there are none for this machine."""
        try:
            document = json.loads(read_text(self._state) or "{}")
            if document.get("vmid") == self._vmid and os.path.exists(self._files.key):
                return str(document["request"]), str(document["key"])
        except (ValueError, KeyError, AttributeError):
            log("warning", "{} is damaged; the site is asked anew".format(self._state))
        return self._make_request()

    def _make_request(self) -> Tuple[str, str]:
        """Make a key and a request; what another key was delivered for, such as that of a copied disk, goes."""
        self._seen, self._renew_s = "", 0.0
        make_folder(self._folder)
        os.chmod(self._folder, 0o700)
        for path in (self._state, *self._files):
            remove_file(path)
        fresh = self._files.key + ".new"
        write_file(fresh, b"", 0o600)  # what is there keeps its mode
        size = "rsa_keygen_bits:{}".format(KEY_BITS)
        self._openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", size, "-out", fresh)
        subject = "/CN=b2ct-vm-{}".format(re.sub("[^0-9]", "", self._vmid))
        made = self._openssl("req", "-new", "-sha256", "-key", fresh, "-subj", subject)
        request, key = pem_part(made, "CERTIFICATE REQUEST"), read_private_key(fresh, self._run)
        os.replace(fresh, self._files.key)
        document = {"vmid": self._vmid, "key": key, "request": request}
        write_file(self._state, json.dumps(document).encode("utf-8"), 0o600)
        return request, key

    def _keep(self, document: Dict[str, Any], now_s: float) -> List[str]:
        """Check an answer, write what was expected of it, and return what it lacks."""
        sealed = self._unseal(document["sealed"]) if "sealed" in document else {}
        brought = {name: (document if name == "certificate" else sealed).get(name) for name in self._expected}
        files = {name: text for name, text in brought.items() if isinstance(text, str)}
        for name, text in files.items():
            self._check(name, text, str(document["key"]), now_s)
        for name, text in files.items():
            write_file(getattr(self._files, name), (text.rstrip("\n") + "\n").encode("utf-8"), 0o600)
        if "certificate" in files:
            self._linked = self._link_authorities()
        return [name for name in self._expected if name not in files]

    def _link_authorities(self) -> bool:
        return link_authorities(self._files.certificate, self._ca_path, self._authorities, self._run)

    def _check(self, name: str, text: str, key: str, now_s: float) -> None:
        """Raise AgentError unless a credential is what its name says, for this machine, and holds now."""
        try:
            end_s = self._certificate_end(text, key, now_s) if name == "certificate" else read_token_end(text)
        except AgentError as error:
            raise AgentError("the {} in the site's answer: {}".format(name, error))
        if end_s is not None and end_s <= now_s:
            raise AgentError("the {} in the site's answer has expired".format(name))

    def _certificate_end(self, text: str, key: str, now_s: float) -> float:
        chain = split_chain(text)
        fresh = self._files.certificate + ".new"
        try:
            write_file(fresh, text.encode("utf-8"), 0o600)
            if read_certificate_key(fresh, self._run) != key:
                raise AgentError("it is for another key")
            end_s = read_certificate_end(fresh, self._run)
        finally:
            remove_file(fresh)
        verify_chain(chain, self._ca_path, self._folder, now_s, self._run)
        return end_s

    def _unseal(self, text: object) -> Dict[str, Any]:
        """Open what is sealed for this machine's key."""
        sealed, opened = os.path.join(self._folder, "sealed.new"), os.path.join(self._folder, "opened.new")
        try:
            write_file(sealed, base64.b64decode(str(text), validate=True), 0o600)
            write_file(opened, b"", 0o600)
            form = ["-binary", "-inform", "DER", "-in", sealed, "-inkey", self._files.key, "-out", opened]
            self._openssl("smime", "-decrypt", *form)
            document = json.loads(read_text(opened) or "")
        except (AgentError, ValueError, RecursionError):
            raise AgentError("what is sealed in the site's answer cannot be opened")
        finally:
            remove_file(sealed)
            remove_file(opened)
        if not isinstance(document, dict) or str(document.get("vm")) != self._vmid:
            raise AgentError("what is sealed in the site's answer is for another machine")
        return document

    def _openssl(self, *arguments: str) -> str:
        return run_openssl(self._run, arguments)


def check_credentials(paths: Paths, settings: Settings, run: Runner, now_s: Optional[float] = None) -> Check:
    """Check that what the settings need is there and holds, and that the key belongs to the certificate.

    ``settings`` are those of ``settle_credentials``.
    """
    now_s = time.time() if now_s is None else now_s
    names = expected(settings)
    if not names:
        return Check("credentials", State.SKIPPED, "nothing needs any")
    if settings.credentials == "onegate" and not all(
        os.path.exists(paths.at(getattr(settings, name))) for name in names
    ):
        return Check("credentials", State.FAILED, "the site has not answered yet; does `b2ct credentials` run there?")
    try:
        ends = [_check_file(name, paths.at(getattr(settings, name)), paths.at(settings.key), run) for name in names]
    except AgentError as error:
        return Check("credentials", State.FAILED, str(error))
    left_s = min([end_s for end_s in ends if end_s is not None], default=float("inf")) - now_s
    if left_s <= 0:
        return Check("credentials", State.FAILED, "{}: expired".format(", ".join(names)))
    short = settings.credentials == "file" and left_s < SHORT_S
    return Check("credentials", State.WARNING if short else State.OK, "{}: {}".format(", ".join(names), _left(left_s)))


def _check_file(name: str, path: str, key: str, run: Runner) -> Optional[float]:
    """Return when a credential ends; raises AgentError unless it is one."""
    text = read_text(path)
    if text is None:
        raise AgentError("{} is missing".format(path))
    try:
        if name != "certificate":
            return read_token_end(text.strip())
        end_s, digest_ = read_certificate_end(path, run), read_certificate_key(path, run)
    except AgentError as error:
        raise AgentError("{}: {}".format(path, error))
    if read_text(key) is None:
        raise AgentError("{} is missing".format(key))
    if read_private_key(key, run) != digest_:
        raise AgentError("{} does not belong to {}".format(key, path))
    return end_s


def _left(seconds: float) -> str:
    if seconds == float("inf"):
        return "never expires"
    if seconds >= 2 * 86400:
        return "{:.0f} days left".format(seconds // 86400)
    return "{:.1f} hours left".format(seconds / 3600)


def _read_answer(text: str) -> Dict[str, Any]:
    """Return the document of an answer; raises AgentError when it is none."""
    try:
        document = json.loads(base64.b64decode(text, validate=True).decode("utf-8"))
        good = document["format"] == FORMAT and isinstance(document["key"], str)
        moment(document["renew_s"])
    except (AgentError, binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        good = False
    if not good:
        raise AgentError("the site's answer cannot be read")
    return document  # type: ignore[no-any-return]  # what was checked just now
