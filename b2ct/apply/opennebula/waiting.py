"""Waits until images and networks are made, with one call for all of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.errors import Trouble, explain
from b2ct.apply.opennebula.patience import StoppedError
from b2ct.apply.opennebula.probe import read_members, read_pool
from b2ct.errors import RemoteError
from b2ct.plan.attributes import first_text
from b2ct.plan.cloud import BROKEN, BUSY
from b2ct.plan.cloud_model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from b2ct.apply.opennebula.patience import Line
    from b2ct.plan.cloud_model import Existing

CAUSES = "the file is another than its checksum says, the connection broke, or the datastore is full"


class NotMadeError(RemoteError):
    """The front-end could not make an image or a network, or took too long."""


def wait_until_made(
    line: Line, kind: Kind, numbers: Collection[int], ended: Callable[[int, NotMadeError | None], None]
) -> None:
    """Wait for images or networks; ``ended`` gets each one's number, and the error if it was not made.

    Raises:
        OneError, OneLostError: the front-end could not be asked.
        StoppedError: the work was stopped.
    """
    pending = set(numbers)
    started = time.monotonic()
    wait_s = line.patience.poll_s
    while pending:
        members = read_members(kind, read_pool(line, kind, min(pending), max(pending)), {})
        found = {item.id: item for item in members}
        for number in sorted(pending):
            error = None
            try:
                if not _is_made(line, kind, found.get(number), time.monotonic() - started):
                    continue
            except NotMadeError as why:
                error = why
            pending.discard(number)
            ended(number, error)
        if pending and line.stop.wait(wait_s):
            raise StoppedError("stopped")
        wait_s = min(1.5 * wait_s, line.patience.poll_most_s)


def let_go(line: Line, kind: Kind, number: int) -> None:
    """Wait a little until an object whose making is given up is at rest: removing it then leaves no files behind.

    Raises:
        OneError, OneLostError: the front-end could not be asked.
    """
    deadline = time.monotonic() + line.patience.settle_s
    while time.monotonic() < deadline:
        members = read_members(kind, read_pool(line, kind, number, number), {})
        if not members or members[0].state not in BUSY:
            return
        time.sleep(line.patience.poll_s)


def _is_made(line: Line, kind: Kind, item: Existing | None, waited_s: float) -> bool:
    """Whether an object is made; raises NotMadeError when it never will be, or not in time."""
    if item is None:
        raise NotMadeError(f"the {kind.label} was removed while it was made", hint="somebody else works on this cloud")
    if item.state == BROKEN:
        raise _why(item)
    if item.state not in BUSY:
        return True
    allowed_s = line.patience.network_s if kind is Kind.NETWORK else line.patience.for_image(item.size_mib)
    if waited_s < allowed_s:
        return False
    hint = "oned.log on the front-end says what it does; is the way to the source, or the datastore, slow?"
    raise NotMadeError(f"the {kind.label} is not made after {allowed_s:.0f} s (state {item.state})", hint=hint)


def _why(item: Existing) -> NotMadeError:
    """Return the error for an object in the state ERROR, by the reason that the front-end left in it."""
    reason = first_text(item.template, "ERROR") or ""
    if not reason:
        return NotMadeError("the front-end gives no reason", hint="oned.log on the front-end does")
    meaning = explain(reason)
    hint = meaning.hint
    if meaning.trouble is Trouble.OTHER and item.kind is Kind.IMAGE:
        # The driver's copy command fails in one way for all of these (src/datastore_mad/remotes/fs/cp).
        hint = f"oned.log on the front-end says more; mostly {CAUSES}"
    return NotMadeError(meaning.sentence.rstrip("."), hint=hint)
