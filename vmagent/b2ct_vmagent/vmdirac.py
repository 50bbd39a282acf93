"""Tells DIRAC's VirtualMachineManager about this machine, and takes its orders.

DIRAC 8, WorkloadManagementSystem/Service/VirtualMachineManagerHandler.py and DB/VirtualMachineDB.py (8.0.86); DIRAC 9
has no such service.
"""

import socket
import time
from typing import Any, Dict, NamedTuple

from b2ct_vmagent.diset import Diset, DisetError
from b2ct_vmagent.reports import News, Order, ReportError

REPORT_S = 25.0
"""For one report, however many calls it takes."""
LARGEST_ANSWER_BYTES = 1 << 20
LONGEST_TEXT = 255
LONGEST_ADDRESS = 32
"""Characters that the manager's table has room for."""
LONGEST_SAID = 200
UNAUTHORIZED = 1111
"""ENOAUTH of DIRAC."""

_ORDERS = {"Running": Order.NONE, "Stopping": Order.DRAIN, "Halted": Order.HALT}
_STATES = {"stop": Order.DRAIN, "halt": Order.HALT}
"""What a refused heartbeat says besides its error; the stock agent goes by it too."""


class Instance(NamedTuple):
    """This machine, as DIRAC is to know it."""

    uid: str
    """Globally unique: of two rows with one uid, DIRAC sees the first alone."""
    name: str
    image: str
    endpoint: str
    """See ``make_endpoint``."""
    pod: str
    """The RunningPod, under which DIRAC counts machines."""
    given: bool = False
    """DIRAC itself started this machine and knows its uid."""


def make_endpoint(site: str, ce: str) -> str:
    """Return ``Site::CE`` in a form that never names a cloud of DIRAC's own configuration.

    DIRAC would try to stop the machine through such a cloud: a failure there makes each end of a machine an error, and
    a stalled machine of an OpenNebula cloud even keeps the manager from starting. An empty CE names the site's cloud
    when it has just one.
    """
    return "{}::{} (b2ct)".format(site, ce)[:LONGEST_TEXT]


class VmDirac:
    """One machine's way to the manager: declares it once, then sends a heartbeat with each report."""

    name = "vmdirac"
    central = True

    def __init__(self, manager: Diset, instance: Instance) -> None:
        self._manager = manager._replace(largest_bytes=LARGEST_ANSWER_BYTES)
        self._instance = instance
        self._declared = False

    def report(self, news: News) -> Order:
        """Tell the news; return what DIRAC wants of this machine.

        Raises:
            ReportError: the manager cannot be reached, or refuses.
        """
        due_s = time.monotonic() + REPORT_S
        if news.outcome is not None:
            self._halt(float(news.load), due_s)
            return Order.NONE
        if not self._declared:
            order = self._declare(due_s)
            if order is not Order.NONE:
                return order
        return self._beat(news, due_s)

    def _declare(self, due_s: float) -> Order:
        """Have the machine declared running; it says OK also when it is not, so that its status decides."""
        one = self._instance
        running = (one.uid, own_address())
        answer = self._ask(due_s, "declareInstanceRunning", *running)
        if _is_unknown(answer) and not one.given:
            words = (one.uid, one.image[:LONGEST_TEXT], one.name[:LONGEST_TEXT], one.endpoint, one.pod)
            _value(self._ask(due_s, "insertInstance", *words))
            answer = self._ask(due_s, "declareInstanceRunning", *running)
        status = _status(_value(answer))
        if status not in _ORDERS:
            raise ReportError("DIRAC has this machine as {!r}".format(status), refused=True)
        self._declared = True
        return _ORDERS[status]

    def _beat(self, news: News, due_s: float) -> Order:
        # a load that is no float is refused; an uptime of 0 is replaced by a guess
        words = (float(news.load), int(news.jobs), 0, int(news.moved_bytes), max(1, int(news.uptime_s)))
        answer = self._ask(due_s, "instanceIDHeartBeat", self._instance.uid, *words)
        if not answer["OK"] and answer.get("State") in _STATES:
            return _STATES[answer["State"]]
        if _is_unknown(answer):
            self._declared = False
            raise ReportError("DIRAC has forgotten this machine", refused=self._instance.given)
        return Order.DRAIN if _value(answer) == "stop" else Order.NONE

    def _halt(self, load: float, due_s: float) -> None:
        """Have the machine declared halted; an error after that is stored, from a cloud that is asked too, is none."""
        answer = self._ask(due_s, "declareInstanceHalting", self._instance.uid, load)
        if answer["OK"] or _is_unknown(answer):
            return
        stored = self._ask(due_s, "getAllInfoForUniqueID", self._instance.uid)
        if not (stored["OK"] and _status(stored.get("Value")) == "Halted"):
            _value(answer)

    def _ask(self, due_s: float, method: str, *words: object) -> Dict[str, Any]:
        left_s = max(0.1, due_s - time.monotonic())
        try:
            return self._manager._replace(timeout_s=left_s).call(method, *words)
        except DisetError as error:
            raise ReportError(str(error), refused=error.refused)


def own_address() -> str:
    """Return the address that this machine reaches others from; empty when there is none, or it is too long."""
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, 9))  # sends nothing: the kernel chooses a way
                address = str(probe.getsockname()[0])
        except OSError:
            continue
        return address if len(address) <= LONGEST_ADDRESS else ""
    return ""


def _is_unknown(answer: Dict[str, Any]) -> bool:
    return not answer["OK"] and str(answer.get("Message")).startswith("Unknown UniqueID")


def _value(answer: Dict[str, Any]) -> object:
    if answer["OK"]:
        return answer.get("Value")
    said = " ".join(str(answer.get("Message")).split())[:LONGEST_SAID]
    if answer.get("Errno") == UNAUTHORIZED:
        said = "DIRAC does not let this certificate: it has to be a host's with VmRpcOperation ({})".format(said)
    raise ReportError(said, refused=True)


def _status(value: object) -> str:
    """Return the status in what is known of an instance."""
    try:
        return str(value["Instance"]["Status"])  # type: ignore[index]  # whatever else it is, is told
    except (TypeError, KeyError, IndexError):
        return "no instance"
