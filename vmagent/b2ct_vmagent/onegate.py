"""Tells the cloud about this VM through OpenNebula's OneGate."""

import http.client
import re
from typing import Dict
from urllib.parse import urlsplit

from b2ct_vmagent import __version__
from b2ct_vmagent.reports import News, Order, ReportError

TIMEOUT_S = 10.0
LARGEST_ANSWER_BYTES = 4096


def one_quote(value: str) -> str:
    r"""Return a value for OpenNebula template text, as 6.10 and 7.4 read it.

    The only escape is ``\"``. What cannot be written is replaced: line ends and control characters by blanks,
    backslashes by slashes (a last one would swallow the quote), the end of XML's CDATA by blanks within.
    """
    printable = "".join(char if char.isprintable() else " " for char in value.replace("\\", "/"))
    return '"' + printable.replace("]]>", "]] >").replace('"', '\\"') + '"'


def make_facts(news: News) -> Dict[str, str]:
    """Return the attributes that a VM has in OpenNebula: what people and other tools see of it there."""
    facts = {
        "READY": "YES" if news.ready and news.outcome is None else "NO",
        "B2CT_AGENT": __version__,
        "B2CT_ERROR": news.error,
        "B2CT_STATE": news.state.value,
        "B2CT_LOAD": "{:.2f}".format(news.load),
        "B2CT_JOBS": str(news.jobs),
    }
    if news.outcome is not None:
        facts["B2CT_SHUTDOWN_MESSAGE"] = str(news.outcome)
    return facts


def render_facts(facts: Dict[str, str]) -> str:
    """Return the body of a PUT: an attribute a line, each replaces the one of that name in USER_TEMPLATE."""
    return "\n".join("{}={}".format(name, one_quote(value)) for name, value in facts.items())


class OneGate:
    """One VM's way to OneGate; the token goes nowhere but into the request's header."""

    name = "onegate"
    central = False

    def __init__(self, endpoint: str, vmid: str, token: str) -> None:
        self._url = urlsplit(endpoint)
        self._headers = {"X-ONEGATE-TOKEN": token, "X-ONEGATE-VMID": vmid, "Content-Type": "text/plain"}

    def report(self, news: News) -> Order:
        """Put the news into the VM's USER_TEMPLATE; OneGate gives no orders.

        Raises:
            ReportError: OneGate cannot be reached, or refuses.
        """
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        try:
            connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
            try:
                connection.request(
                    "PUT", self._url.path + "/vm", render_facts(make_facts(news)).encode("utf-8"), self._headers
                )
                with connection.getresponse() as answer:
                    text = answer.read(LARGEST_ANSWER_BYTES).decode("utf-8", "replace")
            finally:
                connection.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ReportError("{}: {}".format(self._url.netloc, error or type(error).__name__), refused=False)
        if answer.status != http.client.OK:
            said = re.sub(r"\s+", " ", text)[:200]
            refused = 300 <= answer.status < 500
            raise ReportError("{}: HTTP {} {}".format(self._url.netloc, answer.status, said).strip(), refused=refused)
        return Order.NONE
