"""Virtual networks of the pretended front-end: LOCK_CREATE first, then READY or ERROR."""

from __future__ import annotations

import ipaddress
import time
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.calls import call
from tests.rigs.opennebula.cloud import (
    ACTION,
    INTERNAL,
    NO_EXISTS,
    Caller,
    Cloud,
    RefusedError,
    child,
    ids,
    number,
    put,
    set_ids,
    sort_attributes,
)
from tests.rigs.opennebula.machines import DEFAULT_CLUSTER, join_cluster

READY, LOCK_CREATE, ERROR = 1, 2, 5
_AT_ONCE = {"BRIDGE_TYPE": "linux", "PHYDEV": "", "SECURITY_GROUPS": "0"}
_WHEN_READY = {"OUTER_VLAN_ID": "", "VLAN_ID": ""}
"""Attributes that oned adds to every network, as recorded."""


@call("vn.allocate", "s|i")
def _allocate(cloud: Cloud, caller: Caller, text: str, cluster_id: int = -1) -> int:
    cloud.authorize_create(caller, "vn")
    given = [part for part in cloud.parse(text) if not (part.tag == "AR" and not len(part))]
    values = {part.tag: part.text or "" for part in given}
    if not values.get("VN_MAD"):
        raise RefusedError(INTERNAL, "No VN_MAD in template for Virtual Network.")
    cloud.find("cluster", max(cluster_id, DEFAULT_CLUSTER))
    cloud.check_new_name("vn", values.get("NAME", ""), caller.uid)
    tree = cloud.prototype("vn", "vn.info__READY")
    cloud.own(tree, caller)
    set_ids(tree, "CLUSTERS", [])
    child(tree, "AR_POOL").clear()
    network_id = cloud.add("vn", tree)
    values.setdefault("BRIDGE", f"onebr{network_id}")
    for path in ("NAME", "BRIDGE", "VN_MAD"):
        put(tree, path, values[path])
    for path in ("PHYDEV", "VLAN_ID"):
        put(tree, path, values.get(path, ""))
    _set_state(tree, LOCK_CREATE, 0)
    template = child(tree, "TEMPLATE")
    template.extend(part for part in given if part.tag != "NAME")
    _complete(template, {"BRIDGE": values["BRIDGE"], **_AT_ONCE})
    join_cluster(cloud, "vn", network_id, cluster_id)
    cloud.later(cloud.vnet_delay_s, lambda: _finish(cloud, tree))
    return network_id


def _set_state(tree: ET.Element, state: int, previous: int) -> None:
    put(tree, "STATE", state)
    put(tree, "PREV_STATE", previous)


def _complete(template: ET.Element, defaults: dict[str, str]) -> None:
    for name, value in defaults.items():
        if template.find(name) is None:
            put(template, name, value)
    sort_attributes(template)


def _finish(cloud: Cloud, tree: ET.Element) -> None:
    """Make a network READY, or ERROR if a range of it is wrong."""
    template = child(tree, "TEMPLATE")
    ranges = template.findall("AR")
    template[:] = [part for part in template if part.tag != "AR"]
    _complete(template, _WHEN_READY)
    _set_state(tree, READY, READY)
    try:
        for part in ranges:
            _add_range(cloud, tree, part)
    except RefusedError as error:
        child(tree, "AR_POOL").clear()
        _set_state(tree, ERROR, ERROR)
        stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
        _complete(template, {"ERROR": f"{stamp} : {error.message}"})


def _add_range(cloud: Cloud, tree: ET.Element, given: ET.Element) -> None:
    """Append an address range, its last addresses worked out."""
    pool = child(tree, "AR_POOL")
    made = ET.SubElement(pool, "AR")
    values: dict[str, str] = {key.tag: key.text or "" for key in given}
    values["AR_ID"] = str(1 + max((number(part, "AR_ID") for part in pool.findall("AR")[:-1]), default=-1))
    size = int(values.get("SIZE") or 0)
    kind = values.setdefault("TYPE", "IP4")
    ends = {}
    if kind.startswith("IP4"):
        try:
            first = ipaddress.IPv4Address(values.get("IP", ""))
        except ValueError:
            raise RefusedError(INTERNAL, "Wrong or empty IP attribute") from None
        values.setdefault("MAC", _mac(0x0200_0000_0000 + int(first)))
        ends["IP_END"] = str(first + max(size - 1, 0))
    values.setdefault("MAC", _mac(0x0200_0000_0000 + number(tree) * 0x1_0000))
    ends = {"MAC_END": _mac(int(values["MAC"].replace(":", ""), 16) + max(size - 1, 0)), **ends}
    if cloud.version != "6.10":
        values |= {"NEXT_INDEX": "0", "SHARED": "NO"}
    for name in sorted(values):
        put(made, name, values[name])
    for name, value in ends.items():
        put(made, name, value)
    put(made, "USED_LEASES", 0)
    ET.SubElement(made, "LEASES")


def _mac(value: int) -> str:
    return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))


def _ready(cloud: Cloud, caller: Caller, network_id: int, method: str) -> ET.Element:
    """Return a network that the caller may change now."""
    tree = cloud.find("vn", network_id)
    cloud.authorize(caller, "ADMIN" if method != "one.vn.delete" else "MANAGE", "vn", tree)
    if number(tree, "STATE") == LOCK_CREATE:
        # the missing blank is oned's
        message = f"Could not execute {method}Virtual Network is in wrong state: LOCK_CREATE"
        raise RefusedError(ACTION, message)
    return tree


@call("vn.add_ar", "is")
def _add_ar(cloud: Cloud, caller: Caller, network_id: int, text: str) -> int:
    tree = _ready(cloud, caller, network_id, "one.vn.add_ar")
    pool = child(tree, "AR_POOL")
    before = list(pool)
    try:
        for part in cloud.parse(text):
            _add_range(cloud, tree, part)
    except RefusedError:
        pool[:] = before
        raise
    return network_id


@call("vn.update_ar", "is")
def _update_ar(cloud: Cloud, caller: Caller, network_id: int, text: str) -> int:
    tree = _ready(cloud, caller, network_id, "one.vn.update_ar")
    for given in cloud.parse(text):
        wanted = given.findtext("AR_ID")
        for made in tree.findall("AR_POOL/AR"):
            if made.findtext("AR_ID") == wanted:
                for key in given:
                    if key.tag == "SIZE" or made.find(key.tag) is None:
                        put(made, key.tag, key.text)
                break
        else:
            raise RefusedError(NO_EXISTS, f"Address Range {wanted} does not exist", network_id)
    return network_id


@call("vn.delete", "i|b")
def _delete(cloud: Cloud, caller: Caller, network_id: int, *_: object) -> int:
    tree = _ready(cloud, caller, network_id, "one.vn.delete")
    if number(tree, "USED_LEASES"):
        message = "Cannot delete virtual network. Can not remove a virtual network with leases in use"
        raise RefusedError(ACTION, message)
    for cluster in cloud.objects["cluster"].values():
        set_ids(cluster, "VNETS", set(ids(cluster, "VNETS")) - {network_id})
    del cloud.objects["vn"][network_id]
    return network_id


def lease(tree: ET.Element, vm_id: int) -> tuple[ET.Element, str, str]:
    """Give a VM the next free address of a network; return its range, IP and MAC."""
    for made in tree.findall("AR_POOL/AR"):
        taken = {entry.findtext("MAC") for entry in made.findall("LEASES/LEASE")}
        first = int((made.findtext("MAC") or "").replace(":", ""), 16)
        size, start = number(made, "SIZE"), number(made, "NEXT_INDEX")  # 7.4 does not use a freed address at once
        for offset in (*range(start, size), *range(start)):
            mac = _mac(first + offset)
            if mac in taken:
                continue
            ip = str(ipaddress.IPv4Address(made.findtext("IP") or "0.0.0.0") + offset)  # noqa: S104 - no address at all
            entry = ET.SubElement(child(made, "LEASES"), "LEASE")
            for tag, value in (("IP", ip), ("MAC", mac), ("VM", vm_id)):
                put(entry, tag, value)
            if made.find("NEXT_INDEX") is not None:
                put(made, "NEXT_INDEX", (offset + 1) % size)
            _count_leases(tree)
            return made, ip, mac
    raise RefusedError(INTERNAL, "Cannot get IP/MAC lease from virtual network.")


def release(tree: ET.Element, vm_id: int) -> None:
    """Take a VM's addresses back."""
    for leases in tree.findall("AR_POOL/AR/LEASES"):
        leases[:] = [entry for entry in leases if number(entry, "VM") != vm_id]
    set_ids(tree, "UPDATED_VMS", set(ids(tree, "UPDATED_VMS")) - {vm_id})
    _count_leases(tree)


def _count_leases(tree: ET.Element) -> None:
    for made in tree.findall("AR_POOL/AR"):
        put(made, "USED_LEASES", len(made.findall("LEASES/LEASE")))
    put(tree, "USED_LEASES", len(tree.findall("AR_POOL/AR/LEASES/LEASE")))
