"""VM templates of the pretended front-end, and the VMs that are made of them."""

from __future__ import annotations

import copy
import re
import time
from typing import TYPE_CHECKING

from tests.rigs.opennebula.calls import call, merge_attributes
from tests.rigs.opennebula.cloud import (
    ACTION,
    ALLOCATE,
    AUTHORIZATION,
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
from tests.rigs.opennebula.images import READY, USED, refresh_use
from tests.rigs.opennebula.networks import lease, release
from tests.rigs.opennebula.quotas import check_vm_quotas
from tests.rigs.opennebula.recordings import load_recording

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

PENDING, HOLD, ACTIVE, DONE = 1, 2, 3, 6
LCM_RUNNING = 3
HOST = 1
"""The host that every VM runs on, as in the recordings."""


@call("template.allocate", "s")
def _allocate(cloud: Cloud, caller: Caller, text: str) -> int:
    cloud.authorize_create(caller, "template")
    given = cloud.parse(text)
    name = next((part.text or "" for part in given if part.tag == "NAME"), "").rstrip()
    cloud.check_new_name("template", name, caller.uid)
    return _add(cloud, caller, name, [part for part in given if part.tag != "NAME"])


def _add(cloud: Cloud, caller: Caller, name: str, attributes: list[ET.Element]) -> int:
    tree = cloud.prototype("template", "template.info")
    cloud.own(tree, caller)
    put(tree, "NAME", name)
    put(tree, "REGTIME", int(time.time()))
    merge_attributes(child(tree, "TEMPLATE"), attributes, append=False)
    return cloud.add("template", tree)


@call("template.delete", "i|b")
def _delete(cloud: Cloud, caller: Caller, template_id: int, *_: object) -> int:
    cloud.authorize(caller, "MANAGE", "template", cloud.find("template", template_id))
    del cloud.objects["template"][template_id]
    return template_id


@call("template.clone", "is|b")
def _clone(cloud: Cloud, caller: Caller, template_id: int, name: str, *_: object) -> int:
    source = cloud.find("template", template_id)
    cloud.authorize(caller, "USE", "template", source)
    cloud.authorize_create(caller, "template")
    cloud.check_new_name("template", name, caller.uid)
    return _add(cloud, caller, name, copy.deepcopy(list(child(source, "TEMPLATE"))))


@call("template.instantiate", "i|sbsb")
def _instantiate(  # noqa: PLR0913, PLR0917 - as the call has it
    cloud: Cloud,
    caller: Caller,
    template_id: int,
    name: str = "",
    hold: bool = False,  # noqa: FBT001, FBT002 - as the call has it
    extra: str = "",
    *_: object,
) -> int:
    source = cloud.find("template", template_id)
    cloud.authorize(caller, "USE", "template", source)
    cloud.authorize_create(caller, "vm")
    wanted = copy.deepcopy(child(source, "TEMPLATE"))
    more = cloud.parse(extra) if extra else []
    _refuse_restricted(cloud, caller, more)
    merge_attributes(wanted, more, append=True)
    images = _images(cloud, caller, wanted)
    size = sum(number(image, "SIZE") for image in images.values())
    cpu, memory = int(float(wanted.findtext("CPU") or 1)), int(wanted.findtext("MEMORY") or 0)
    check_vm_quotas(cloud, caller, {"VMS": 1, "CPU": cpu, "MEMORY": memory, "SYSTEM_DISK_SIZE": size})
    recorded = "vm.info__HOLD" if hold else "vm.info__PENDING-or-later"
    tree = load_recording(cloud.version, recorded).tree
    cloud.own(tree, caller)
    vm_id = cloud.add("vm", tree)
    facts = {
        "NAME": name or f"{source.findtext('NAME')}-{vm_id}",
        "STIME": int(time.time()),
        "STATE": HOLD if hold else PENDING,
        "PREV_STATE": HOLD if hold else PENDING,
        "TEMPLATE/TEMPLATE_ID": template_id,
        "TEMPLATE/VMID": vm_id,
        "TEMPLATE/CREATED_BY": caller.uid,
    }
    for path, value in facts.items():
        put(tree, path, value)
    try:
        _fill_template(cloud, tree, wanted, images)
    except RefusedError:
        _forget(cloud, vm_id)
        del cloud.objects["vm"][vm_id]
        raise
    if not hold:
        cloud.later(cloud.vm_delay_s, lambda: _run(cloud, tree))
    return vm_id


def _refuse_restricted(cloud: Cloud, caller: Caller, attributes: list[ET.Element]) -> None:
    """Refuse attributes that oned.conf leaves to admins."""
    if caller.is_admin:
        return
    config = load_recording(cloud.version, "system.config").tree
    restricted = {part.text or "" for part in config.findall("VM_RESTRICTED_ATTR")}
    for part in attributes:
        if part.tag in restricted or any(f"{part.tag}/{key.tag}" in restricted for key in part):
            message = f"User [{caller.uid}] : User Template includes a restricted attribute {part.tag}."
            raise RefusedError(AUTHORIZATION, message)


def _images(cloud: Cloud, caller: Caller, wanted: ET.Element) -> dict[int, ET.Element]:
    """Return the image of each disk that has one, by the disk's number."""
    found = {}
    for place, disk in enumerate(wanted.findall("DISK")):
        prefix = f"Error allocating a new virtual machine template. DISK {place}: "
        if disk.find("IMAGE_ID") is not None:
            image_id = number(disk, "IMAGE_ID")
            image = cloud.objects["image"].get(image_id)
            if image is None:
                raise RefusedError(ALLOCATE, f"{prefix}Image with ID: {image_id} does not exist")
        elif disk.find("IMAGE") is not None:
            name, owner = disk.findtext("IMAGE") or "", disk.findtext("IMAGE_UNAME")
            user = cloud.named("user", owner, -1) if owner else None
            image = cloud.named("image", name, number(user) if user is not None else caller.uid)
            if image is None:
                raise RefusedError(ALLOCATE, f"{prefix}User {caller.uid} does not own an image with name: {name}")
        else:
            continue
        cloud.authorize(caller, "USE", "image", image)
        if number(image, "STATE") not in {READY, USED}:
            raise RefusedError(ALLOCATE, f"{prefix}Image {number(image)} is not in the right state")
        found[place] = image
    return found


def _fill_template(cloud: Cloud, tree: ET.Element, wanted: ET.Element, images: dict[int, ET.Element]) -> None:
    """Write what was asked for into a VM's TEMPLATE; whatever a VM does not know goes to its USER_TEMPLATE."""
    vm_id, template = number(tree), child(tree, "TEMPLATE")
    disk_form, nic_form = copy.deepcopy(child(template, "DISK")), copy.deepcopy(child(template, "NIC"))
    own = {"CPU", "VCPU", "MEMORY", "CONTEXT", "OS", "GRAPHICS"}
    template[:] = [part for part in template if part.tag not in {"DISK", "NIC", "GRAPHICS"}]
    for part in wanted:
        if part.tag in {"CONTEXT", "OS"}:
            given = {key.tag for key in part}
            place = child(template, part.tag)
            place[:] = [key for key in place if key.tag not in given] + list(part)
            sort_attributes(place)
        elif part.tag == "GRAPHICS":
            template.append(part)
        elif part.tag in own:
            put(template, part.tag, part.text)
    put(template, "CONTEXT/VMID", vm_id)
    for key in child(template, "CONTEXT"):
        key.text = _filled_in(cloud, tree, key.text or "")
    for order, disk in enumerate(wanted.findall("DISK")):
        template.append(_disk(copy.deepcopy(disk_form), disk, images.get(order), order))
    for order, nic in enumerate(wanted.findall("NIC")):
        template.append(_nic(cloud, copy.deepcopy(nic_form), nic, vm_id, order))
    sort_attributes(template)
    user_template = child(tree, "USER_TEMPLATE")
    user_template[:] = [part for part in wanted if part.tag not in own | {"DISK", "NIC", "NAME"}]
    for image in images.values():
        set_ids(image, "VMS", [*ids(image, "VMS"), vm_id])
        refresh_use(image)


def _filled_in(cloud: Cloud, tree: ET.Element, text: str) -> str:
    """Replace ``$USER[NAME]`` and ``$NAME`` in a value of the context, as oned does."""
    user = cloud.find("user", number(tree, "UID"))
    text = re.sub(r"\$USER\[(\w+)\]", lambda found: user.findtext(f"TEMPLATE/{found[1]}") or "", text)
    return re.sub(r"\$NAME\b", lambda _found: tree.findtext("NAME") or "", text)


def _disk(made: ET.Element, given: ET.Element, image: ET.Element | None, place: int) -> ET.Element:
    """Return a VM's disk."""
    put(made, "DISK_ID", place)
    if image is not None:
        for key, path in {
            "IMAGE": "NAME",
            "IMAGE_ID": "ID",
            "SOURCE": "SOURCE",
            "SIZE": "SIZE",
            "ORIGINAL_SIZE": "SIZE",
            "FORMAT": "FORMAT",
            "DATASTORE": "DATASTORE",
            "DATASTORE_ID": "DATASTORE_ID",
        }.items():
            put(made, key, image.findtext(path))
    else:
        made[:] = [put(made, "DISK_ID", place)]
    for own in given:
        put(made, own.tag, own.text)
    sort_attributes(made)
    return made


def _nic(cloud: Cloud, made: ET.Element, given: ET.Element, vm_id: int, place: int) -> ET.Element:
    """Return a VM's network card, its address leased."""
    network = _network(cloud, given)
    part, ip, mac = lease(network, vm_id)
    set_ids(network, "UPDATED_VMS", [*ids(network, "UPDATED_VMS"), vm_id])
    for key, value in {
        "AR_ID": part.findtext("AR_ID"),
        "BRIDGE": network.findtext("BRIDGE"),
        "IP": ip,
        "MAC": mac,
        "NAME": f"NIC{place}",
        "NETWORK": network.findtext("NAME"),
        "NETWORK_ID": network.findtext("ID"),
        "NIC_ID": place,
        "TARGET": f"one-{vm_id}-{place}",
        "VN_MAD": network.findtext("VN_MAD"),
    }.items():
        put(made, key, value)
    for own in given:
        put(made, own.tag, own.text)
    sort_attributes(made)
    return made


def _network(cloud: Cloud, given: ET.Element) -> ET.Element:
    if given.find("NETWORK_ID") is not None:
        return cloud.find("vn", number(given, "NETWORK_ID"))
    name, owner = given.findtext("NETWORK") or "", given.findtext("NETWORK_UNAME") or "oneadmin"
    user = cloud.named("user", owner, -1)
    network = cloud.named("vn", name, number(user)) if user is not None else None
    if network is None:
        reason = f"User {owner} does not own a network with name: {name}"
        raise RefusedError(ALLOCATE, f"Error allocating a new virtual machine template. {reason}")
    return network


def _run(cloud: Cloud, tree: ET.Element) -> None:
    """Make a VM RUNNING, unless it ended before."""
    if number(tree, "STATE") != PENDING:
        return
    recorded = load_recording(cloud.version, "vm.info__RUNNING").tree
    host = cloud.find("host", HOST)
    put(tree, "STATE", ACTIVE)
    put(tree, "LCM_STATE", LCM_RUNNING)
    put(tree, "PREV_STATE", ACTIVE)
    put(tree, "PREV_LCM_STATE", LCM_RUNNING)
    put(tree, "DEPLOY_ID", f"{host.findtext('NAME')}:{tree.findtext('NAME')}:dummy")
    history = child(tree, "HISTORY_RECORDS")
    history[:] = list(child(recorded, "HISTORY_RECORDS"))
    put(history, "HISTORY/OID", number(tree))
    template = child(tree, "TEMPLATE")
    put(template, "TM_MAD_SYSTEM", "dummy")
    if template.find("GRAPHICS") is not None:
        put(template, "GRAPHICS/PORT", 5900 + number(tree))
        sort_attributes(child(template, "GRAPHICS"))
    sort_attributes(template)
    _set_host_vms(cloud, host, [*ids(host, "VMS"), number(tree)])


def _set_host_vms(cloud: Cloud, host: ET.Element, vms: list[int]) -> None:
    """Write down which VMs run on a host, and what they use (memory in KiB, CPU in percent)."""
    set_ids(host, "VMS", vms)
    trees = [cloud.find("vm", vm_id) for vm_id in vms]
    put(host, "HOST_SHARE/MEM_USAGE", 1024 * sum(number(tree, "TEMPLATE/MEMORY") for tree in trees))
    put(host, "HOST_SHARE/CPU_USAGE", int(100 * sum(float(tree.findtext("TEMPLATE/CPU") or 0) for tree in trees)))
    put(host, "HOST_SHARE/RUNNING_VMS", len(vms))


@call("vm.update", "is|i")
def _update(cloud: Cloud, caller: Caller, vm_id: int, text: str, how: int = 0) -> int:
    tree = cloud.find("vm", vm_id)
    cloud.authorize(caller, "MANAGE", "vm", tree)
    merge_attributes(child(tree, "USER_TEMPLATE"), cloud.parse(text), append=how == 1)
    return vm_id


@call("vm.action", "si")
def _action(cloud: Cloud, caller: Caller, action: str, vm_id: int) -> int:
    tree = cloud.find("vm", vm_id)
    cloud.authorize(caller, "MANAGE", "vm", tree)
    if action not in {"terminate", "terminate-hard"}:
        raise RefusedError(ACTION, f'Action "{action}" is not supported')
    for path, value in (("STATE", DONE), ("PREV_STATE", DONE), ("LCM_STATE", 0), ("PREV_LCM_STATE", 0)):
        put(tree, path, value)
    put(tree, "ETIME", int(time.time()))
    for graphics in tree.findall("TEMPLATE/GRAPHICS"):
        graphics[:] = [key for key in graphics if key.tag != "PORT"]
    _forget(cloud, vm_id)
    return vm_id


def _forget(cloud: Cloud, vm_id: int) -> None:
    """Free what a VM used: images, addresses, its host."""
    for image in cloud.objects["image"].values():
        if vm_id in ids(image, "VMS"):
            set_ids(image, "VMS", set(ids(image, "VMS")) - {vm_id})
            refresh_use(image)
    for network in cloud.objects["vn"].values():
        release(network, vm_id)
    for host in cloud.objects["host"].values():
        _set_host_vms(cloud, host, [other for other in ids(host, "VMS") if other != vm_id])
