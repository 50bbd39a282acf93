"""Orders from inside the machine: ``b2ct-agent drain`` and ``halt`` leave a note that the running agent takes."""

import contextlib
import json
import os
from typing import NamedTuple, Optional

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import Order

LONGEST_REASON = 200


class Note(NamedTuple):
    """What an administrator wants, and why."""

    order: Order
    reason: str


def write_note(paths: Paths, note: Note) -> None:
    """Leave a note; the weightiest order and the last reason of those that wait hold.

    Raises:
        AgentError: it cannot be written: only root may give orders.
    """
    if len(note.reason) > LONGEST_REASON or not note.reason.isprintable():
        raise AgentError("the reason has to be one line of at most {} characters".format(LONGEST_REASON))
    make_folder(paths.run)
    with contextlib.suppress(AgentError):
        waiting = _parse(paths)
        if waiting is not None:  # the agent has not seen the first order yet
            order = max(note.order, waiting.order, key=lambda one: one.value)
            note = Note(order, note.reason or waiting.reason)
    text = json.dumps({"order": note.order.name, "reason": note.reason})
    write_file(paths.order, text.encode("utf-8"), 0o600)


def take_note(paths: Paths) -> Optional[Note]:
    """Return the note, if there is one, and take it away, whatever it is.

    Raises:
        AgentError: it cannot be read, or is damaged.
    """
    try:
        return _parse(paths)
    finally:
        with contextlib.suppress(OSError):  # an order that is found twice changes nothing
            os.unlink(paths.order)


def _parse(paths: Paths) -> Optional[Note]:
    text = read_text(paths.order)
    if text is None:
        return None
    try:
        document = json.loads(text)
        return Note(Order[document["order"]], str(document["reason"]))
    except (ValueError, KeyError, TypeError):
        raise AgentError("{} was damaged".format(paths.order))
