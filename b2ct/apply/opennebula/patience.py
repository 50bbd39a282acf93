"""Calls a front-end that may be restarting: waits for it, and never does twice what must happen once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from b2ct.apply.opennebula.errors import (
    OneBadAnswerError,
    OneError,
    OneLostError,
    OneNoSuchObjectError,
    OneTimeoutError,
    OneUnreachableError,
    Trouble,
)
from b2ct.errors import B2ctError

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.opennebula.client import OneClient, Parameter

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, seconds."""

    restart_s: float = 90
    """For a front-end that does not answer: oned takes some ten seconds to restart."""
    image_s: float = 600
    """For an image to be copied, whatever its size."""
    image_mib_per_s: float = 2
    """The slowest copy that is still waited for."""
    network_s: float = 120
    """For a network to be made."""
    settle_s: float = 5
    """For the copy of an image to end by itself, once it is given up."""
    poll_s: float = 0.2
    """Before something is asked again; it doubles each time."""
    poll_most_s: float = 3
    """The longest of these waits."""

    def for_image(self, size_mib: int) -> float:
        """Return how long an image of that size may take, seconds."""
        return self.image_s + size_mib / self.image_mib_per_s


class StoppedError(B2ctError):
    """Somebody stopped the work."""


@dataclass(frozen=True, slots=True)
class Line:
    """A client with patience; several threads may use one, and ``stop`` ends their waits."""

    client: OneClient
    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)

    def pauses(self, timeout_s: float) -> Pauses:
        """Return waits that grow, and end after ``timeout_s``."""
        return Pauses(self, time.monotonic() + timeout_s, self.patience.poll_s)

    def read(self, method: str, *params: Parameter) -> Any:  # noqa: ANN401 - as OneClient.call
        """Make a call that can be made twice: it changes nothing, or sets what it sets again.

        Raises:
            OneError: the front-end refused it.
            OneLostError: it did not answer for ``restart_s``.
            StoppedError: the work was stopped.
        """
        pauses = self.pauses(self.patience.restart_s)
        while True:
            try:
                return self.client.call(method, *params)
            except (OneUnreachableError, OneTimeoutError) as error:
                pauses.pause(error)

    def make(self, call: Callable[[], Found], look: Callable[[], Found | None]) -> Found:
        """Make something once: when the answer to ``call`` is lost, ``look`` tells whether it is there.

        After a time-out the call may still be at work, so it is looked for and not made again. After a connection that
        broke it is made again if it is not there.

        Raises:
            OneError: the front-end refused it.
            OneLostError: nobody knows whether it was done.
            StoppedError: the work was stopped.
        """
        pauses = self.pauses(self.patience.restart_s)
        lost = False
        while True:
            try:
                return call()
            except OneLostError as error:
                if isinstance(error, OneBadAnswerError) and not error.sent:
                    raise
                lost = lost or error.sent
                found = self._look_again(look, error, pauses) if error.sent else None
                if found is not None:
                    return found
                pauses.pause(error)
            except OneError as error:
                found = look() if lost and error.trouble is Trouble.NAME_TAKEN else None
                if found is None:
                    raise
                return found

    def delete(self, method: str, *params: Parameter) -> None:
        """Delete something; that it is gone already is no error after a lost answer."""
        pauses = self.pauses(self.patience.restart_s)
        lost = False
        while True:
            try:
                self.client.call(method, *params)
            except OneNoSuchObjectError:
                if not lost:
                    raise
            except (OneUnreachableError, OneTimeoutError) as error:
                lost = True
                pauses.pause(error)
                continue
            return

    def _look_again(self, look: Callable[[], Found | None], error: OneLostError, pauses: Pauses) -> Found | None:
        """Look whether a call took effect; after a time-out until it is there, or patience ends."""
        while (found := look()) is None and isinstance(error, OneTimeoutError):
            pauses.pause(error)
        return found


@dataclass(slots=True)
class Pauses:
    """Waits that grow until a deadline."""

    line: Line
    deadline: float
    wait_s: float

    def pause(self, error: B2ctError) -> None:
        """Wait; raises ``error`` when the deadline would be over, and StoppedError when the work was stopped."""
        if time.monotonic() + self.wait_s > self.deadline:
            raise error
        if self.line.stop.wait(self.wait_s):
            raise StoppedError("stopped")
        self.wait_s = min(2 * self.wait_s, self.line.patience.poll_most_s)
