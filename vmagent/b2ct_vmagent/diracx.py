"""Tells DiracX about this machine's pilots: registers each one, then keeps its status.

Form of the requests: the OpenAPI description of DiracX 0.7 (``/api/openapi.json``, "pilots"). A pilot's identity may
change one pilot in a request, and DiracX has neither a heartbeat nor an order for a machine.
"""

import hashlib
import json
import os
import re
import ssl
import time
from typing import Dict, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import read_text
from b2ct_vmagent.reports import News, Order, Phase, ReportError
from b2ct_vmagent.web import Answer, WebError, ask

REPORT_S = 25.0
"""For one report, however many pilots there are."""
LONGEST_REASON = 255
LONGEST_STAMP = 32
FAILED_CODES = 500
"""From here on, the code of an outcome says that something was wrong (Vac's shutdown messages)."""


class PilotRow(NamedTuple):
    """A pilot as DiracX knows it, but for its status."""

    stamp: str
    """At most 32 characters."""
    vo: str
    site: str
    """DIRAC's name of the site."""
    ce: str
    """The computing element that it counts for; empty when there is none."""
    reference: str
    """What the site calls it, at most 255 characters: the machine's globally unique id and the pilot's number."""


def make_rows(uid: str, pilots: int, vo: str, site: str, ce: str) -> Tuple[PilotRow, ...]:
    """Return the pilots of a machine by its globally unique id; stamps are those of ``make_stamp``."""
    return tuple(
        PilotRow(make_stamp(uid, number), vo, site, ce, "cloud://{}/{}".format(uid, number)[:255])
        for number in range(pilots)
    )


def make_stamp(uid: str, number: int) -> str:
    """Return the stamp of one pilot of a machine: 32 hexadecimal digits, as those of DIRAC's own pilots."""
    return hashlib.sha256("{}/{}".format(uid, number).encode("utf-8")).hexdigest()[:LONGEST_STAMP]


class DiracX:
    """The way to DiracX; the token is read anew for each report, for it is renewed while the agent runs."""

    name = "diracx"
    central = True

    def __init__(self, url: str, token: str, ca_path: str, rows: Sequence[PilotRow]) -> None:
        self._url = re.sub(r"/api$", "", url.rstrip("/"))
        self._token = token
        self._ca_path = ca_path
        self._rows = rows
        self._told: Dict[str, Tuple[str, str]] = {}

    def report(self, news: News) -> Order:
        """Tell every pilot's status where it changed; when nothing did, one pilot's again, as a sign of life.

        Raises:
            ReportError: DiracX cannot be reached, or refuses.
        """
        due_s = time.monotonic() + REPORT_S
        state = make_state(news)
        rows = [row for row in self._rows if self._told.get(row.stamp) != state] or self._rows[:1]
        for row in rows:
            self._tell(row, state, due_s)
            self._told[row.stamp] = state
        return Order.NONE

    def _tell(self, row: PilotRow, state: Tuple[str, str], due_s: float) -> None:
        """Tell one pilot's status; a pilot that DiracX does not know (any more) is registered first."""
        if row.stamp not in self._told:
            self._register(row, due_s)
        if not self._change(row, state, due_s):
            self._register(row, due_s)
            if not self._change(row, state, due_s):
                raise self._error("does not know the pilot that it has just registered", refused=True)

    def _register(self, row: PilotRow, due_s: float) -> None:
        document = {
            "pilot_stamp": row.stamp,
            "vo": row.vo,
            "grid_type": "CLOUD",
            "grid_site": row.site,
            "destination_site": row.ce or row.site,
            "pilot_reference": row.reference,
            "pilot_status": "Submitted",
        }
        answer = self._ask("POST", "/api/pilots/", document, due_s)
        # 409: somebody has registered it already, such as this agent before it was restarted
        if answer.status not in {201, 409}:
            raise self._refusal(answer)

    def _change(self, row: PilotRow, state: Tuple[str, str], due_s: float) -> bool:
        """Change a pilot's status; return False when DiracX does not know it."""
        status, reason = state
        document = {row.stamp: {"Status": status, "StatusReason": reason}}
        answer = self._ask("PATCH", "/api/pilots/metadata", document, due_s)
        if answer.status == 404:
            return False
        if answer.status != 204:
            raise self._refusal(answer)
        return True

    def _ask(self, method: str, path: str, document: object, due_s: float) -> Answer:
        timeout_s = due_s - time.monotonic()
        if timeout_s <= 0:
            raise self._error("not all pilots were told in {:.0f} s".format(REPORT_S), refused=False)
        try:
            headers = {"Authorization": "Bearer " + self._load_token(), "Content-Type": "application/json"}
            body = json.dumps(document).encode("utf-8")
            return ask(method, self._url + path, body, headers, timeout_s, self._trust())
        except WebError as error:
            raise ReportError(str(error), refused=False)

    def _load_token(self) -> str:
        try:
            token = (read_text(self._token) or "").strip()
        except AgentError as error:
            raise ReportError(str(error), refused=True)
        if not token:
            raise ReportError("{}: there is no token yet".format(self._token), refused=False)
        if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
            raise ReportError("{}: holds no token".format(self._token), refused=True)
        return token

    def _trust(self) -> Optional[ssl.SSLContext]:
        """Return whose certificates are trusted: the system's CAs and the grid's; None without TLS."""
        if not self._url.startswith("https:"):
            return None
        context = ssl.create_default_context()
        if os.path.isdir(self._ca_path):
            context.load_verify_locations(capath=self._ca_path)
            # many CAs of the grid are older than the rules that Python 3.13 turns on
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        return context

    def _refusal(self, answer: Answer) -> ReportError:
        said = _detail(answer)
        if answer.status == 401:
            return self._error("refuses the token in {}: {}".format(self._token, said), refused=True)
        if answer.status == 403:
            return self._error("does not allow it: {}".format(said), refused=True)
        refused = answer.status < 500
        if answer.status < 400:
            said = "this is no answer of DiracX; is diracx_url right? {}".format(said)
        return self._error("HTTP {} {}".format(answer.status, said).rstrip(), refused=refused)

    def _error(self, message: str, *, refused: bool) -> ReportError:
        return ReportError("DiracX at {} {}".format(urlsplit(self._url).netloc, message), refused=refused)


def make_state(news: News) -> Tuple[str, str]:
    """Return a pilot's status (DIRAC's PilotStatus) and the reason, by what the machine does."""
    if news.outcome is not None:
        return ("Failed" if news.outcome.code >= FAILED_CODES else "Done"), _reason(str(news.outcome))
    if news.state is Phase.STARTING:
        return "Submitted", _reason(news.error or news.state.value)
    return "Running", _reason(news.state.value)


def _reason(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:LONGEST_REASON]


def _detail(answer: Answer) -> str:
    """Return what a refusal says, on one line."""
    text = answer.body[:4096].decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("detail"), str):
        text = document["detail"]
    return _reason(re.sub(r"\s+", " ", text))[:200]
