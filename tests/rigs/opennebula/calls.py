"""Which calls the pretended front-end knows: their parameters, and the ones that all kinds of objects share."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.cloud import (
    ACTION,
    KINDS,
    Caller,
    Cloud,
    RefusedError,
    child,
    number,
    put,
    sort_attributes,
    wrong_name,
)
from tests.rigs.opennebula.recordings import VERSIONS, load_recording

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = int | str


class FaultError(Exception):
    """The call is answered with an XML-RPC fault."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the types of its parameters, and how many of them are needed."""

    act: Callable[..., Answer]
    types: tuple[type, ...]
    needed: int
    locked: bool
    """The state is locked meanwhile; a call that waits for others locks it itself."""

    def checked(self, params: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the session and the parameters that the call takes; more are passed over, as xmlrpc-c does.

        Raises:
            FaultError: too few, or of a wrong type.
        """
        if len(params) <= self.needed:
            raise FaultError(-501, "Not enough parameters")
        names = {int: "integer", bool: "boolean", str: "string", list: "array"}
        for value, kind in zip(params, (str, *self.types), strict=False):
            if type(value) is not kind:
                raise FaultError(-501, f"Parameter that is supposed to be {names[kind]} is not")
        return params[: 1 + len(self.types)]


CALLS: dict[str, Call] = {}
"""Every call that is known, by its name without ``one.``."""

_TYPES = {"i": int, "b": bool, "s": str, "a": list}


def call(
    method: str, types: str = "", *, locked: bool = True
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Register a call; ``types`` is such as ``si|b``: what comes after the bar may be left out."""

    def register(act: Callable[..., Answer]) -> Callable[..., Answer]:
        needed, _, more = types.partition("|")
        CALLS[method] = Call(act, tuple(_TYPES[letter] for letter in needed + more), len(needed), locked)
        return act

    return register


def xml(tree: ET.Element) -> str:
    """Return an answer's XML."""
    return ET.tostring(tree, encoding="unicode", short_empty_elements=False)


def merge_attributes(template: ET.Element, new: list[ET.Element], *, append: bool) -> None:
    """Update a template: replace all of it, or with ``append`` the attributes of the same names."""
    names = {attribute.tag for attribute in new}
    kept = [attribute for attribute in template if append and attribute.tag not in names]
    template[:] = [*kept, *new]
    sort_attributes(template)


@call("system.version")
def _version(cloud: Cloud, _caller: Caller) -> str:
    return VERSIONS[cloud.version]


@call("system.config")
def _config(cloud: Cloud, _caller: Caller) -> str:
    return xml(load_recording(cloud.version, "system.config").tree)


def _register_shared() -> None:
    """Register the calls that are the same for many kinds of objects."""
    for kind in KINDS:
        more = {"template": "bb", "vm": "b", "secgroup": "b"}.get(kind, "b")
        call(f"{kind}.info", f"i|{more}")(_info(kind))
        if kind not in {"user", "group"}:
            call(f"{kind}pool.info", "|iiiis" if kind == "vm" else "|iii")(_pool(kind))
        if kind not in {"vm", "secgroup"}:
            call(f"{kind}.update", "is|i")(_update(kind))
    for kind in ("image", "template", "vn", "datastore"):
        call(f"{kind}.chmod", "iiiiiiiiii|b")(_chmod(kind))
        call(f"{kind}.chown", "iii")(_chown(kind))
        call(f"{kind}.rename", "is")(_rename(kind))


def _info(kind: str) -> Callable[..., Answer]:
    def act(cloud: Cloud, caller: Caller, object_id: int, *_: object) -> str:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "USE", kind, tree)
        return xml(tree)

    return act


def _pool(kind: str) -> Callable[..., Answer]:
    def act(cloud: Cloud, caller: Caller, who: int = -2, start: int = -1, end: int = -1, *more: object) -> str:
        if kind == "vm" and len(more) > 1 and more[1]:
            raise RefusedError(0x2000, "JSON query search is not supported by the SQL backend")
        pool = ET.Element(KINDS[kind].pool)
        for object_id, tree in sorted(cloud.objects[kind].items(), reverse=True):
            if not in_range(object_id, start, end) or not cloud.may(caller, "USE", kind, tree):
                continue
            if KINDS[kind].owned and not _wanted(tree, caller, who):
                continue
            if kind == "vm" and not _in_state(tree, int(str(more[0])) if more else -1):
                continue
            view = _POOL_VIEWS.get(kind)
            pool.append(view(tree) if view else tree)
        return xml(pool)

    return act


def in_range(object_id: int, start: int, end: int) -> bool:
    """Whether an id is asked for; -1 leaves a side open."""
    return object_id >= start and (end < 0 or object_id <= end)


def _wanted(tree: ET.Element, caller: Caller, who: int) -> bool:
    """Whether an owner is asked for: -4 primary group's, -3 mine, -2 all, -1 mine and my groups', else a user's."""
    uid, gid = number(tree, "UID"), number(tree, "GID")
    choices = {
        -4: gid == caller.gids[0],
        -3: uid == caller.uid,
        -2: True,
        -1: uid == caller.uid or gid in caller.gids,
    }
    return choices.get(who, uid == who)


def _in_state(tree: ET.Element, state: int) -> bool:
    """Whether a VM's state is asked for: -2 any, -1 any but DONE."""
    now = number(tree, "STATE")
    return {-2: True, -1: now != 6}.get(state, now == state)


_VM_IN_POOL = (
    *("ID", "UID", "GID", "UNAME", "GNAME", "NAME", "LAST_POLL", "STATE", "LCM_STATE"),
    *("RESCHED", "STIME", "ETIME", "DEPLOY_ID"),
)
_HISTORY_IN_POOL = ("OID", "SEQ", "HOSTNAME", "HID", "CID", "DS_ID", "VM_MAD", "TM_MAD", "ACTION")


def _vm_in_pool(tree: ET.Element) -> ET.Element:
    """Return the short form of a VM; VM pools leave most of it out."""
    short = ET.Element("VM")
    short.extend(child(tree, tag) for tag in _VM_IN_POOL)
    template = ET.SubElement(short, "TEMPLATE")
    parts = {
        "DISK": "DISK_ID DATASTORE DATASTORE_ID IMAGE IMAGE_ID SIZE TYPE CLONE CLONE_TARGET LN_TARGET "
        "DISK_SNAPSHOT_TOTAL_SIZE",
        "NIC": "IP MAC NETWORK NETWORK_ID NIC_ID SECURITY_GROUPS",
        "GRAPHICS": "LISTEN PORT TYPE",
    }
    template.extend(part for tag in ("CPU", "MEMORY", "VCPU") for part in tree.findall(f"TEMPLATE/{tag}"))
    for tag, keys in parts.items():
        for whole in tree.findall(f"TEMPLATE/{tag}"):
            part = ET.SubElement(template, tag)
            part.extend(key for name in keys.split() for key in whole.findall(name))
    ET.SubElement(short, "MONITORING")
    ET.SubElement(short, "USER_TEMPLATE")  # what a site wrote there is not shown in pools
    records = ET.SubElement(short, "HISTORY_RECORDS")
    for whole in tree.findall("HISTORY_RECORDS/HISTORY")[-1:]:
        record = ET.SubElement(records, "HISTORY")
        record.extend(child(whole, tag) for tag in _HISTORY_IN_POOL)
    return short


def _vn_in_pool(tree: ET.Element) -> ET.Element:
    """Return a network as pools show it: without the ends and leases of its ranges."""
    tree = copy.deepcopy(tree)
    for part in tree.findall("AR_POOL/AR"):
        for tag in ("MAC_END", "IP_END", "USED_LEASES", "LEASES"):
            part[:] = [key for key in part if key.tag != tag]
    return tree


def _host_in_pool(tree: ET.Element) -> ET.Element:
    """Return a host as pools show it: its monitoring left out."""
    tree = copy.deepcopy(tree)
    child(tree, "MONITORING").clear()
    return tree


_POOL_VIEWS = {"vm": _vm_in_pool, "vn": _vn_in_pool, "host": _host_in_pool}


def _update(kind: str) -> Callable[..., Answer]:
    def act(cloud: Cloud, caller: Caller, object_id: int, text: str, how: int = 0) -> int:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "MANAGE", kind, tree)
        new = cloud.parse(text, prefix="Cannot update template. ")
        merge_attributes(child(tree, "TEMPLATE"), new, append=how == 1)
        if tree.find("MODTIME") is not None:
            put(tree, "MODTIME", int(time.time()))
        return object_id

    return act


def _chmod(kind: str) -> Callable[..., Answer]:
    def act(cloud: Cloud, caller: Caller, object_id: int, *bits: int) -> int:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "MANAGE", kind, tree)
        for right, bit in zip(child(tree, "PERMISSIONS"), bits[:9], strict=True):
            if bit >= 0:
                right.text = str(bit)
        return object_id

    return act


def _chown(kind: str) -> Callable[..., Answer]:
    def act(cloud: Cloud, caller: Caller, object_id: int, uid: int, gid: int) -> int:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "ADMIN" if uid >= 0 else "MANAGE", kind, tree)
        uid = number(tree, "UID") if uid < 0 else number(cloud.find("user", uid))
        gid = number(tree, "GID") if gid < 0 else number(cloud.find("group", gid))
        cloud.authorize(caller, "USE", "group", cloud.find("group", gid))
        name = tree.findtext("NAME") or ""
        taken = cloud.named(kind, name, uid)
        if taken is not None and taken is not tree:
            message = f"Cannot change ownership. NAME is already taken by {KINDS[kind].auth} {number(taken)}."
            raise RefusedError(ACTION, message)
        cloud.set_owner(tree, uid, gid)
        return object_id

    return act


def _rename(kind: str) -> Callable[..., Answer]:
    label = KINDS[kind].label

    def act(cloud: Cloud, caller: Caller, object_id: int, name: str) -> int:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "MANAGE", kind, tree)
        problem = wrong_name(name)
        if problem:
            raise RefusedError(ACTION, f"Cannot rename {label}. {problem}")
        taken = cloud.named(kind, name, number(tree, "UID"))
        if taken is not None and taken is not tree:
            message = f"{label} cannot be renamed to {name} because it collides with {label} {number(taken)}"
            raise RefusedError(ACTION, message)
        put(tree, "NAME", name)
        return object_id

    return act


_register_shared()
