"""Brings news to those who want to know, however unreliable the way: retries with growing pauses, never blocks long."""

import random
from typing import Callable, Dict, Optional

try:
    from typing import Protocol
except ImportError:  # before Python 3.8
    Protocol = object  # type: ignore[assignment]

from b2ct_vmagent.errors import AgentError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
PATIENCE_S = 600.0
"""For so long it is tried every now and then; after that only as often as the checks are made."""


class ReportError(AgentError):
    """A report did not arrive; ``refused`` when trying again soon is of no use."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Reporter(Protocol):
    """Someone who wants to know; whatever the agent tells goes through this."""

    name: str

    def report(self, facts: Dict[str, str]) -> None:
        """Tell it the facts once; raises ReportError."""


class Delivery:
    """The way to one reporter: keeps the newest facts until they have arrived."""

    def __init__(self, reporter: Reporter, period_s: float, jitter: Callable[[], float] = random.random) -> None:
        self.reporter = reporter
        self._period_s = period_s
        self._jitter = jitter
        self._wanted: Optional[Dict[str, str]] = None
        self._arrived: Optional[Dict[str, str]] = None
        self._due_s = 0.0
        self._failing_since_s: Optional[float] = None
        self._pause_s = FIRST_PAUSE_S
        self._detail = "nothing yet"

    def offer(self, facts: Dict[str, str]) -> None:
        """Take new facts; what has arrived already is not told again."""
        if facts != self._wanted:
            self._wanted = facts
            self._due_s = 0.0

    @property
    def arrived(self) -> bool:
        """Whether the newest facts have arrived."""
        return self._wanted == self._arrived

    def pause_s(self, now_s: float) -> Optional[float]:
        """Return seconds until the next try; None when there is nothing to tell."""
        return None if self.arrived else max(0.0, self._due_s - now_s)

    def push(self, now_s: float) -> bool:
        """Try once if it is time; whether anything was tried."""
        if self._wanted is None or self.arrived or now_s < self._due_s:
            return False
        try:
            self.reporter.report(self._wanted)
        except ReportError as error:
            self._fail(now_s, error)
        else:
            self._arrived, self._failing_since_s, self._pause_s = self._wanted, None, FIRST_PAUSE_S
            self._detail = "arrived"
        return True

    def _fail(self, now_s: float, error: ReportError) -> None:
        """Set the next try: between half of the pause and all of it, so that a cloud's VMs spread out."""
        self._detail = str(error)
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        pause_s = self._pause_s
        if error.refused or now_s - self._failing_since_s > PATIENCE_S:
            pause_s = self._period_s
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
        self._due_s = now_s + pause_s * (0.5 + self._jitter() / 2)

    def state(self) -> Dict[str, str]:
        """Return the entry of this reporter in status.json."""
        return {"state": "ok" if self.arrived else "waiting", "detail": self._detail}
