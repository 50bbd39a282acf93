"""Tells the cloud about this VM through OpenNebula's OneGate."""

import json
import re
from typing import Dict
from urllib.parse import urlsplit

from b2ct_vmagent import __version__
from b2ct_vmagent.reports import News, Order, ReportError
from b2ct_vmagent.web import WebError, ask

TIMEOUT_S = 10.0


def one_quote(value: str) -> str:
    r"""Return a value for OpenNebula template text, as 6.10 and 7.4 read it.

    The only escape is ``\"``. What cannot be written is replaced: line ends and control characters by blanks,
    backslashes by slashes (a last one would swallow the quote), the end of XML's CDATA by blanks within.
    """
    printable = "".join(char if char.isprintable() else " " for char in value.replace("\\", "/"))
    return '"' + printable.replace("]]>", "]] >").replace('"', '\\"') + '"'


def make_facts(news: News) -> Dict[str, str]:
    """Return the attributes that a VM has in OpenNebula: what people and other tools see of it there."""
    return {
        "READY": "YES" if news.ready and news.outcome is None else "NO",
        "B2CT_AGENT": __version__,
        "B2CT_ERROR": news.error,
        "B2CT_STATE": news.state.value,
        "B2CT_LOAD": "{:.2f}".format(news.load),
        "B2CT_JOBS": str(news.jobs),
        "B2CT_SHUTDOWN_MESSAGE": "" if news.outcome is None else str(news.outcome),
    }


def render_facts(facts: Dict[str, str]) -> str:
    """Return the body of a PUT: an attribute a line, each replaces the one of that name in USER_TEMPLATE."""
    return "\n".join("{}={}".format(name, one_quote(value)) for name, value in facts.items())


class OneGate:
    """One VM's way to OneGate; the token goes nowhere but into the request's header."""

    name = "onegate"
    central = False

    def __init__(self, endpoint: str, vmid: str, token: str) -> None:
        self._url = endpoint + "/vm"
        self._place = urlsplit(endpoint).netloc
        self._headers = {"X-ONEGATE-TOKEN": token, "X-ONEGATE-VMID": vmid, "Content-Type": "text/plain"}

    def report(self, news: News) -> Order:
        """Put the news into the VM's USER_TEMPLATE; OneGate gives no orders.

        Raises:
            ReportError: OneGate cannot be reached, or refuses.
        """
        self.write(make_facts(news))
        return Order.NONE

    def write(self, facts: Dict[str, str]) -> None:
        """Set attributes of the VM's USER_TEMPLATE; raises as ``report`` does."""
        self._ask("PUT", render_facts(facts).encode("utf-8"))

    def read(self) -> Dict[str, str]:
        """Return the attributes of the VM's USER_TEMPLATE that are text; raises as ``report`` does."""
        try:
            told = json.loads(self._ask("GET", b"").decode("utf-8"))["VM"]["USER_TEMPLATE"] or {}
            return {str(name): value for name, value in told.items() if isinstance(value, str)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ReportError("{}: not an answer of OneGate".format(self._place), refused=False)

    def _ask(self, method: str, body: bytes) -> bytes:
        try:
            answer = ask(method, self._url, body, self._headers, TIMEOUT_S)
        except WebError as error:
            raise ReportError(str(error), refused=False)
        if answer.status != 200:
            said = re.sub(r"\s+", " ", answer.body.decode("utf-8", "replace"))[:200]
            refused = 300 <= answer.status < 500
            raise ReportError("{}: HTTP {} {}".format(self._place, answer.status, said).strip(), refused=refused)
        return answer.body
