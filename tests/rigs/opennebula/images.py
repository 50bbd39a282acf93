"""Images of the pretended front-end: made at once, copied meanwhile, READY or ERROR in the end."""

from __future__ import annotations

import copy
import hashlib
import secrets
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.opennebula.calls import call
from tests.rigs.opennebula.cloud import (
    ACTION,
    ALLOCATE,
    AUTHORIZATION,
    INTERNAL,
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
from tests.rigs.opennebula.quotas import check_image_quotas

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT", "BACKUP", "FILESYSTEM")
"""Image types by their number (IMAGE_TYPES of pyone; 6 is BACKUP in oned)."""

READY, USED, DISABLED, LOCKED, ERROR = 1, 2, 3, 4, 5
IMAGE_DS, SYSTEM_DS = 0, 1
FETCH_TIMEOUT_S = 10
_LIFTED = {"NAME", "TYPE", "PATH", "SIZE", "FORMAT", "FS", "SOURCE", "PERSISTENT", "DISK_TYPE"}
"""Attributes that become elements of their own."""


@call("image.allocate", "si|b", locked=False)
def _allocate(cloud: Cloud, caller: Caller, text: str, datastore_id: int, skip_capacity: bool = False) -> int:  # noqa: FBT001, FBT002 - as the call has it
    with cloud.lock:
        attributes = {attribute.tag: attribute for attribute in cloud.parse(text)}
        datastore = cloud.find("datastore", datastore_id)
        cloud.authorize_create(caller, "image")
        cloud.authorize(caller, "USE", "datastore", datastore)
        if "SOURCE" in attributes and not caller.is_admin:
            message = f"User [{caller.uid}] : Template includes a restricted attribute SOURCE."
            raise RefusedError(AUTHORIZATION, message)
        if number(datastore, "TYPE") == SYSTEM_DS:
            reason = "New images can only be allocated in a files or image datastore."
            raise RefusedError(ALLOCATE, f"Error allocating a new image. {reason}")
        values = {name: attribute.text or "" for name, attribute in attributes.items()}
    size_mib = _stat(cloud, values)
    with cloud.lock:
        cloud.catch_up()
        if not (skip_capacity and caller.is_admin) and size_mib > number(datastore, "FREE_MB"):
            raise RefusedError(ACTION, "Not enough space in datastore")
        check_image_quotas(cloud, caller, datastore_id, size_mib)
        kind = values.get("TYPE", "OS").upper()
        if kind not in TYPES:
            raise RefusedError(ALLOCATE, "Error allocating a new image. Unknown type ")
        cloud.check_new_name("image", values.get("NAME", ""), caller.uid)
        tree = _make(cloud, caller, values, datastore, size_mib)
        put(tree, "TYPE", TYPES.index(kind))
        template = child(tree, "TEMPLATE")
        template.extend(attribute for name, attribute in attributes.items() if name not in _LIFTED)
        if "DEV_PREFIX" not in attributes:
            put(template, "DEV_PREFIX", "sd")
        sort_attributes(template)
        image_id = cloud.add("image", tree)
        set_ids(datastore, "IMAGES", [*ids(datastore, "IMAGES"), image_id])
    threading.Thread(target=_copy, args=(cloud, image_id, values, datastore), daemon=True).start()
    return image_id


def _make(cloud: Cloud, caller: Caller, values: dict[str, str], datastore: ET.Element, size_mib: int) -> ET.Element:
    """Return a new image, LOCKED."""
    tree = cloud.prototype("image", "image.info__READY")
    cloud.own(tree, caller)
    for path in ("REGTIME", "MODTIME"):
        if tree.find(path) is not None:
            put(tree, path, int(time.time()))
    persistent = values.get("PERSISTENT", "").upper() in {"YES", "1"}
    facts = {
        "NAME": values["NAME"],
        "PERSISTENT": int(persistent),
        "SOURCE": "",
        "PATH": values.get("PATH", ""),
        "FORMAT": values.get("FORMAT", "") if "PATH" not in values else "",
        "SIZE": size_mib,
        "STATE": LOCKED,
        "PREV_STATE": 0,
        "DATASTORE_ID": number(datastore),
        "DATASTORE": datastore.findtext("NAME"),
    }
    for path, value in facts.items():
        put(tree, path, value)
    return tree


def _stat(cloud: Cloud, values: dict[str, str]) -> int:
    """Return the size in MiB, rounded up: of the file or address in PATH, else SIZE."""
    path = values.get("PATH", "")
    if not path:
        if values.get("SOURCE") and "SIZE" not in values:
            return 0
        if not values.get("SIZE", "").isdigit():
            raise RefusedError(INTERNAL, "Cannot parse image SIZE: Wrong number or missing SIZE attribute.")
        return int(values["SIZE"])
    if path.startswith(("http://", "https://")):
        size = _http_size(path)
        reason = "Permission denied"
    else:
        size = _file_size(cloud, path)
        reason = "No such file or directory"
    if size is None:
        raise RefusedError(INTERNAL, f"Cannot parse image SIZE: cannot access '{path}' ({reason})")
    return max(1, -(-size // (1 << 20)))


def _http_size(url: str) -> int | None:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - http only, see the caller
    try:
        with _OPENER.open(request, timeout=FETCH_TIMEOUT_S) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return None


def _file_size(cloud: Cloud, path: str) -> int | None:
    if path in cloud.files:
        return virtual_size(cloud.files[path])
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
        return virtual_size(head) if head[:4] == QCOW2 else Path(path).stat().st_size
    except OSError:
        return None


QCOW2 = b"QFI\xfb"


def virtual_size(data: bytes) -> int:
    """Return the size in bytes of the disk that the data is an image of (qcow2 header: offset 24, 8 bytes)."""
    return int.from_bytes(data[24:32], "big") if data[:4] == QCOW2 else len(data)


def _copy(cloud: Cloud, image_id: int, values: dict[str, str], datastore: ET.Element) -> None:
    """Do what the datastore's driver does, and let the result show after the delay."""
    path = values.get("PATH", "")
    data, reason = _fetch(cloud, path, datastore) if path else (b"", "")
    md5 = values.get("MD5", "")
    if path and not reason and md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        reason = f"Error copying {path}"  # the hash check in src/datastore_mad/remotes/downloader.sh fails the copy
    with cloud.lock:
        forced, cloud.next_image_error = cloud.next_image_error, None
    cloud.later(cloud.image_delay_s, lambda: _finish(cloud, image_id, data, forced or reason))


def _finish(cloud: Cloud, image_id: int, data: bytes, reason: str) -> None:
    """Make an image READY or, with a reason, ERROR; it may have been deleted meanwhile."""
    tree = cloud.objects["image"].get(image_id)
    if tree is None:
        return
    state = ERROR if reason else READY
    put(tree, "STATE", state)
    put(tree, "PREV_STATE", state)
    template = child(tree, "TEMPLATE")
    if reason:
        stamp = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
        put(template, "ERROR", f"{stamp} : Error copying image in the datastore: {reason}")
        sort_attributes(template)
        return
    cloud.contents[image_id] = data
    put(tree, "SOURCE", f"/var/lib/one/datastores/{tree.findtext('DATASTORE_ID')}/{secrets.token_hex(16)}")
    if not tree.findtext("FORMAT"):
        put(tree, "FORMAT", "qcow2" if data[:4] == QCOW2 else "raw")
    if data[:4] == QCOW2:
        put(tree, "SIZE", max(1, -(-virtual_size(data) // (1 << 20))))


def _fetch(cloud: Cloud, path: str, datastore: ET.Element) -> tuple[bytes, str]:
    """Return the content of PATH, or why it cannot be copied."""
    if path.startswith(("http://", "https://")):
        try:
            with _OPENER.open(path, timeout=FETCH_TIMEOUT_S) as answer:
                data: bytes = answer.read()
                expected = answer.headers.get("Content-Length")
        except OSError:
            return b"", f"Error downloading {path}"
        except Exception as error:  # noqa: BLE001 - http.client's own, of which IncompleteRead is the one expected
            return b"", f"Error downloading {path}: {error!r}"
        return (data, "") if expected in {None, str(len(data))} else (b"", f"Error downloading {path}")
    safe = (datastore.findtext("TEMPLATE/SAFE_DIRS") or "").split()
    if not any(Path(path).is_relative_to(folder) for folder in safe):
        return b"", f"Not allowed to copy image from {path}, check RESTRICTED_DIRS in your datastore"
    return cloud.files[path] if path in cloud.files else Path(path).read_bytes(), ""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxies: everything is on loopback."""


@call("image.delete", "i|b")
def _delete(cloud: Cloud, caller: Caller, image_id: int, force: bool = False) -> int:  # noqa: FBT001, FBT002 - as the call has it
    tree = cloud.find("image", image_id)
    cloud.authorize(caller, "MANAGE", "image", tree)
    state = number(tree, "STATE")
    if state == LOCKED and not force:
        message = "Image locked, use --force flag to remove the image. Force delete may leave some files on Datastore"
        raise RefusedError(INTERNAL, message, image_id)
    users = len(ids(tree, "VMS"))
    if users:
        raise RefusedError(ACTION, f"Cannot delete image. There are {users} VMs using it.")
    del cloud.objects["image"][image_id]
    cloud.contents.pop(image_id, None)
    datastore = cloud.find("datastore", number(tree, "DATASTORE_ID"))
    set_ids(datastore, "IMAGES", set(ids(datastore, "IMAGES")) - {image_id})
    return image_id


@call("image.enable", "ib")
def _enable(cloud: Cloud, caller: Caller, image_id: int, on: bool) -> int:  # noqa: FBT001 - as the call has it
    tree = cloud.find("image", image_id)
    cloud.authorize(caller, "MANAGE", "image", tree)
    state = number(tree, "STATE")
    if state not in {READY, DISABLED, ERROR}:
        raise RefusedError(ACTION, "Could not change the image state")
    put(tree, "STATE", READY if on else DISABLED)
    put(tree, "PREV_STATE", READY if on else DISABLED)
    return image_id


@call("image.persistent", "ib")
def _persistent(cloud: Cloud, caller: Caller, image_id: int, on: bool) -> int:  # noqa: FBT001 - as the call has it
    tree = cloud.find("image", image_id)
    cloud.authorize(caller, "MANAGE", "image", tree)
    put(tree, "PERSISTENT", int(on))
    return image_id


@call("image.clone", "is|i")
def _clone(cloud: Cloud, caller: Caller, image_id: int, name: str, datastore_id: int = -1) -> int:
    source = cloud.find("image", image_id)
    cloud.authorize(caller, "USE", "image", source)
    cloud.authorize_create(caller, "image")
    datastore_id = datastore_id if datastore_id >= 0 else number(source, "DATASTORE_ID")
    datastore = cloud.find("datastore", datastore_id)
    size_mib = number(source, "SIZE")
    if size_mib > number(datastore, "FREE_MB"):
        raise RefusedError(ACTION, "Not enough space in datastore")
    check_image_quotas(cloud, caller, datastore_id, size_mib)
    cloud.check_new_name("image", name, caller.uid)
    values = {"NAME": name, "PATH": source.findtext("SOURCE") or ""}
    tree = _make(cloud, caller, values, datastore, size_mib)
    put(tree, "TYPE", source.findtext("TYPE"))
    put(tree, "FORMAT", source.findtext("FORMAT"))
    child(tree, "TEMPLATE").extend(copy.deepcopy(list(child(source, "TEMPLATE"))))
    clone_id = cloud.add("image", tree)
    set_ids(datastore, "IMAGES", [*ids(datastore, "IMAGES"), clone_id])
    _mark_cloning(source, [*ids(source, "CLONES"), clone_id])

    def finish() -> None:
        _mark_cloning(source, set(ids(source, "CLONES")) - {clone_id})
        _finish(cloud, clone_id, cloud.contents.get(image_id, b""), "")

    cloud.later(cloud.image_delay_s, finish)
    return clone_id


def _mark_cloning(source: ET.Element, clones: list[int] | set[int]) -> None:
    """Write down which clones are being made of an image."""
    set_ids(source, "CLONES", clones)
    put(source, "CLONING_OPS", len(clones))
    refresh_use(source)


def refresh_use(tree: ET.Element) -> None:
    """Set whether an image is USED by what it says of VMs and clones."""
    count = len(ids(tree, "VMS"))
    put(tree, "RUNNING_VMS", count)
    if number(tree, "STATE") in {READY, USED}:
        state = USED if count or ids(tree, "CLONES") else READY
        put(tree, "STATE", state)
        put(tree, "PREV_STATE", state)
