"""Quotas of the pretended front-end: their XML, what is used of them, and what exceeds them."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.cloud import AUTHORIZATION, Caller, Cloud, RefusedError, child, ids, number, put
from tests.rigs.opennebula.recordings import load_recording

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = {"DATASTORE": ("IMAGES", "SIZE"), "NETWORK": ("LEASES",), "IMAGE": ("RVMS",)}
DONE = 6

Usage = dict[tuple[str, int | None], Counter[str]]
"""What is used: (DATASTORE, its id) and so on; (VM, None) for the one VM quota."""


def set_quotas(cloud: Cloud, tree: ET.Element, limits: list[ET.Element]) -> None:
    """Write the limits of a quota template into a user or group."""
    for limit in limits:
        kind = limit.tag
        entry = _entry(cloud, tree, kind, None if kind == "VM" else number(limit))
        for key in limit:
            if key.tag != "ID":
                put(entry, key.tag, key.text)


def show_quotas(cloud: Cloud, tree: ET.Element) -> ET.Element:
    """Return a user or group with what it uses now."""
    tree = copy.deepcopy(tree)
    field = "UID" if tree.tag == "USER" else "GID"
    if number(tree) == 0:
        return tree
    used = _usage(cloud, field, number(tree))
    entries = {(entry.tag, None if entry.tag == "VM" else number(entry)) for quota in _quotas(tree) for entry in quota}
    for kind, object_id in sorted(entries | used.keys(), key=str):
        entry = _entry(cloud, tree, kind, object_id)
        counts = used.get((kind, object_id), Counter())
        for key in entry:
            if key.tag.endswith("_USED"):
                key.text = str(counts[key.tag.removesuffix("_USED")])
    return tree


def check_image_quotas(cloud: Cloud, caller: Caller, datastore_id: int, size_mib: int) -> None:
    """Refuse an image that exceeds a quota of its owner or its group."""
    _check(cloud, caller, "DATASTORE", datastore_id, {"IMAGES": 1, "SIZE": size_mib})


def check_vm_quotas(cloud: Cloud, caller: Caller, wanted: Mapping[str, int]) -> None:
    """Refuse a VM that exceeds a quota of its owner or its group."""
    _check(cloud, caller, "VM", None, wanted)


def _check(cloud: Cloud, caller: Caller, kind: str, object_id: int | None, wanted: Mapping[str, int]) -> None:
    if caller.is_admin:
        return
    for holder, field, holder_id in (("user", "UID", caller.uid), ("group", "GID", caller.gids[0])):
        tree = cloud.find(holder, holder_id)
        used = _usage(cloud, field, holder_id).get((kind, object_id), Counter())
        for entry in child(tree, f"{kind}_QUOTA"):
            if object_id is not None and number(entry) != object_id:
                continue
            for name, more in wanted.items():
                limit = number(entry, name)
                if limit >= 0 and used[name] + more > limit:
                    where = kind if object_id is None else f"{kind} with ID: {object_id}"
                    reason = f"{holder} [{holder_id}] limit of {limit} reached for {name} quota in {where}."
                    raise RefusedError(AUTHORIZATION, f"User [{caller.uid}] : {reason}")


def _quotas(tree: ET.Element) -> list[ET.Element]:
    return [child(tree, f"{kind}_QUOTA") for kind in ("DATASTORE", "NETWORK", "VM", "IMAGE")]


def _entry(cloud: Cloud, tree: ET.Element, kind: str, object_id: int | None) -> ET.Element:
    """Return the entry of a quota, made without limits if it is new."""
    quota = child(tree, f"{kind}_QUOTA")
    for entry in quota:
        if object_id is None or number(entry) == object_id:
            return entry
    if kind == "VM":
        recorded = load_recording(cloud.version, "user.info__alice-with-quota").tree
        entry = child(recorded, "VM_QUOTA/VM")
        for key in entry:
            key.text = "0" if key.tag.endswith("_USED") else "-1"
        quota.append(entry)
        return entry
    entry = ET.SubElement(quota, kind)
    put(entry, "ID", object_id)
    for name in _KEYS[kind]:
        put(entry, name, -1)
        put(entry, f"{name}_USED", 0)
    return entry


def _usage(cloud: Cloud, field: str, holder_id: int) -> Usage:
    """Count what a user (UID) or group (GID) uses."""
    used: Usage = {}

    def add(kind: str, object_id: int | None, **more: int) -> None:
        used.setdefault((kind, object_id), Counter()).update(more)

    for image in cloud.objects["image"].values():
        if number(image, field) == holder_id:
            add("DATASTORE", number(image, "DATASTORE_ID"), IMAGES=1, SIZE=number(image, "SIZE"))
    for vm in cloud.objects["vm"].values():
        if number(vm, field) != holder_id or number(vm, "STATE") == DONE:
            continue
        disks = vm.findall("TEMPLATE/DISK")
        size = sum(number(disk, "SIZE") for disk in disks)
        cpu, memory = int(float(vm.findtext("TEMPLATE/CPU") or 0)), number(vm, "TEMPLATE/MEMORY")
        add("VM", None, VMS=1, CPU=cpu, MEMORY=memory, SYSTEM_DISK_SIZE=size)
        add("VM", None, RUNNING_VMS=1, RUNNING_CPU=cpu, RUNNING_MEMORY=memory)
        for disk in disks:
            if disk.find("IMAGE_ID") is not None:
                add("IMAGE", number(disk, "IMAGE_ID"), RVMS=1)
        for nic in vm.findall("TEMPLATE/NIC"):
            add("NETWORK", number(nic, "NETWORK_ID"), LEASES=1)
    return used


def members(cloud: Cloud, group_id: int) -> list[int]:
    """Return the users of a group."""
    return [uid for uid, user in cloud.objects["user"].items() if group_id in ids(user, "GROUPS")]
