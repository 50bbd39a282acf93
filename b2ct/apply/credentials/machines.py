"""Reads the virtual machines of a cloud as far as credentials are concerned, and writes their answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from b2ct.apply.credentials.answer import read_answered
from b2ct.apply.credentials.request import RequestError, read_request
from b2ct.apply.opennebula.errors import OneNoSuchObjectError
from b2ct.apply.opennebula.objects import MERGE
from b2ct.apply.opennebula.probe import ALL, CALLS_AT_ONCE
from b2ct.plan.attributes import Attribute
from b2ct.plan.credentials import ANSWER, REQUEST, Machine
from b2ct.render.opennebula import render_template

if TYPE_CHECKING:
    from b2ct.apply.credentials.request import Request
    from b2ct.apply.opennebula.client import OneClient

ACTIVE, RUNNING = 3, 3
"""``VmState`` and ``LcmState`` in include/VirtualMachine.h: a machine that runs."""


def read_machines(client: OneClient) -> list[tuple[Machine, Request | None]]:
    """Return the running machines that the client's user may see, and what each asks for.

    Raises:
        OneError, OneLostError: the front-end refused, or could not be reached.
    """
    pool = client.call("vmpool.info", ALL, -1, -1, ACTIVE)
    numbers = [one.ID for one in pool.VM if one.LCM_STATE == RUNNING]
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        found = threads.map(lambda number: _read_machine(client, number), numbers)
        return [machine for machine in found if machine is not None]


def write_answer(client: OneClient, vm_id: int, answer: str) -> None:
    """Put an answer into a machine's user template; its other attributes stay.

    Raises:
        OneError, OneLostError: the front-end refused, or could not be reached.
    """
    client.call("vm.update", vm_id, render_template((Attribute(ANSWER, answer),)), MERGE)


def _read_machine(client: OneClient, number: int) -> tuple[Machine, Request | None] | None:
    """Return one machine; None when it has gone meanwhile."""
    try:
        bound = client.call("vm.info", number, False)  # noqa: FBT003 - the call's parameter "decrypt"
    except OneNoSuchObjectError:
        return None
    told, template = bound.USER_TEMPLATE or {}, bound.TEMPLATE or {}
    request, problem = None, ""
    asked = _text(told, REQUEST)
    if asked:
        try:
            request = read_request(asked)
        except RequestError as error:
            problem = error.message
    context = template.get("CONTEXT")
    template_id = _text(template, "TEMPLATE_ID")
    machine = Machine(
        id=bound.ID,
        name=bound.NAME,
        owner=bound.UNAME,
        group=bound.GNAME,
        template_id=int(template_id) if template_id.isdigit() else None,
        context=(Attribute("CONTEXT", _pairs(context)),) if isinstance(context, dict) else (),
        key=request.key if request else "",
        problem=problem,
        answered=read_answered(_text(told, ANSWER)),
    )
    return machine, request


def _text(values: Any, name: str) -> str:  # noqa: ANN401 - pyone gives dictionaries of what XML holds
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _pairs(values: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), value) for key, value in values.items() if isinstance(value, str))
