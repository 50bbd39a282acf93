"""Brings news to those who want to know, however unreliable the way: retries with growing pauses, in threads."""

import random
import threading
import time
from enum import Enum
from typing import Callable, Dict, NamedTuple, Optional

try:
    from typing import Protocol
except ImportError:  # before Python 3.8
    Protocol = object  # type: ignore[assignment]

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.log import log

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
PATIENCE_S = 600.0
"""For so long it is tried every now and then; after that only once in a heartbeat's period."""


class Outcome(NamedTuple):
    """Why a machine goes: a code from 100 to 700 and a sentence, the ``shutdown_message`` of Vac and Vcycle."""

    code: int
    text: str

    def __str__(self) -> str:
        """Return the form of the shutdown message: ``300 No more work available``."""
        return "{} {}".format(self.code, self.text)


class Phase(Enum):
    """Where a machine is in its life."""

    STARTING = "starting"
    """Something that a worker needs is missing."""
    READY = "ready"
    """All is there; nothing runs."""
    WORKING = "working"
    """Payloads run."""
    DRAINING = "draining"
    """What runs may end; nothing new begins."""
    HALTING = "halting"
    """It goes now."""


class Order(Enum):
    """What a central scheduler wants of this machine; later ones weigh more."""

    NONE = 0
    DRAIN = 1
    """Finish what runs, then halt."""
    HALT = 2
    """Halt at once."""


class News(NamedTuple):
    """All that is told about this machine."""

    ready: bool = False
    error: str = ""
    """What fails, on one line; empty when ready."""
    state: Phase = Phase.STARTING
    load: float = 0.0
    """Load average of the last minute."""
    jobs: int = 0
    """Payloads that run now."""
    done: int = 0
    """Payloads that have ended since boot."""
    cpu_s: float = 0.0
    """CPU time that the pilots have used since boot."""
    moved_bytes: int = 0
    """Sent and received since boot, by all interfaces but loopback."""
    free_memory_mib: int = 0
    free_disk_mib: int = 0
    """Where jobs write."""
    uptime_s: int = 0
    outcome: Optional[Outcome] = None
    """Set in the very last news before the machine goes."""

    def same_facts(self, other: "Optional[News]") -> bool:
        """Return whether nothing has happened that should be told before the next heartbeat."""
        return other is not None and _facts(self) == _facts(other)


def _facts(news: News) -> object:
    return news.ready, news.error, news.state, news.outcome


class ReportError(AgentError):
    """A report did not arrive; ``refused`` when trying again soon is of no use."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Reporter(Protocol):
    """Someone who wants to know; whatever the agent tells goes through this."""

    name: str
    central: bool
    """Whether it speaks for a central scheduler: its silence counts, and its orders are obeyed."""

    def report(self, news: News) -> Order:
        """Tell the news once, within half a minute, and return what is wanted; raises ReportError."""


class Delivery:
    """The way to one reporter: keeps the newest news until they have arrived, then tells them once in a period.

    ``offer``, ``take_order``, ``state`` and ``silent_s`` never wait for the other side.
    """

    def __init__(
        self,
        reporter: Reporter,
        period_s: float,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter = reporter
        self._period_s = period_s
        self._jitter = jitter
        self._clock = clock
        self._changed = threading.Condition()
        self._wanted: Optional[News] = None
        self._arrived: Optional[News] = None
        self._order = Order.NONE
        self._due_s = clock()
        self._heard_s = self._due_s
        self._failing_since_s: Optional[float] = None
        self._pause_s = FIRST_PAUSE_S
        self._detail = "nothing yet"

    def start(self) -> None:
        """Tell from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name=self.reporter.name, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                pause_s = self.pause_s()
                if pause_s is None or pause_s > 0:
                    self._changed.wait(pause_s)
                    continue
            self.push()

    def offer(self, news: News) -> None:
        """Take new news; what has happened is told at once, what has only gone on with the next heartbeat."""
        with self._changed:
            if not news.same_facts(self._wanted):
                self._due_s = self._clock()
                self._pause_s = FIRST_PAUSE_S
            self._wanted = news
            self._changed.notify_all()

    @property
    def arrived(self) -> bool:
        """Whether what has happened last is known to the other side."""
        return self._wanted is None or self._wanted.same_facts(self._arrived)

    def wait_arrived(self, timeout_s: float) -> bool:
        """Wait until what has happened last has arrived; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self.arrived, max(0.0, timeout_s))

    def pause_s(self) -> Optional[float]:
        """Return seconds until the next try; None when there is nothing to tell."""
        return None if self._wanted is None else max(0.0, self._due_s - self._clock())

    def push(self) -> bool:
        """Try once if it is time; whether anything was tried."""
        news = self._wanted
        if news is None or self._clock() < self._due_s:
            return False
        try:
            order = Order(self.reporter.report(news))
        except ReportError as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: a fault here must not silence it
            failed = ReportError("a fault of the agent: {!r}".format(error), refused=True)
        else:
            with self._changed:
                self._arrive(news, order)
            return True
        with self._changed:
            self._fail(failed)
        return True

    def _arrive(self, news: News, order: Order) -> None:
        now_s = self._clock()
        if self._failing_since_s is not None:
            log("info", "{} answers again".format(self.reporter.name))
        self._arrived, self._failing_since_s, self._pause_s = news, None, FIRST_PAUSE_S
        self._order = max(self._order, order, key=lambda one: one.value)
        self._detail, self._heard_s = "arrived", now_s
        if news.same_facts(self._wanted):
            self._due_s = now_s + self._period_s * (0.9 + self._jitter() / 5)
        self._changed.notify_all()

    def _fail(self, error: ReportError) -> None:
        """Set the next try: between half of the pause and all of it, so that a cloud's machines spread out."""
        now_s = self._clock()
        if self._failing_since_s is None or str(error) != self._detail:
            log("warning", "{}: {}".format(self.reporter.name, error))
        self._detail = str(error)
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        pause_s = self._pause_s
        if error.refused or now_s - self._failing_since_s > PATIENCE_S:
            pause_s = max(self._period_s, pause_s)
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        self._due_s = now_s + pause_s * (0.5 + self._jitter() / 2)

    def order(self) -> Order:
        """Return the weightiest order that has come."""
        return self._order

    def silent_s(self) -> float:
        """Return for how long nothing has been heard from the other side."""
        return self._clock() - self._heard_s

    def state(self) -> Dict[str, str]:
        """Return the entry of this reporter in status.json."""
        fine = self._wanted is not None and self._failing_since_s is None and self.arrived
        return {"state": "ok" if fine else "waiting", "detail": self._detail}
