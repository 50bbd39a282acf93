"""Security groups of the pretended front-end, and the removal of what its other modules only make.

No recording shows these calls: names, parameters and refusals are those of OpenNebula's XML-RPC documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rigs.opennebula.calls import _chmod, _chown, _update, call
from tests.rigs.opennebula.cloud import (
    ACTION,
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
from tests.rigs.opennebula.recordings import load_recording

if TYPE_CHECKING:
    from collections.abc import Callable

call("secgroup.update", "is|i")(_update("secgroup"))
call("secgroup.chmod", "iiiiiiiiii|b")(_chmod("secgroup"))
call("secgroup.chown", "iii")(_chown("secgroup"))


@call("secgroup.allocate", "s")
def _allocate(cloud: Cloud, caller: Caller, text: str) -> int:
    cloud.authorize_create(caller, "secgroup")
    given = cloud.parse(text)
    name = next((part.text or "" for part in given if part.tag == "NAME"), "")
    cloud.check_new_name("secgroup", name, caller.uid)
    (tree,) = load_recording(cloud.version, "secgrouppool.info").tree
    cloud.own(tree, caller)
    put(tree, "NAME", name)
    for right in child(tree, "PERMISSIONS"):
        right.text = "1" if right.tag in {"OWNER_U", "OWNER_M"} else "0"
    template = child(tree, "TEMPLATE")
    template[:] = [part for part in given if part.tag != "NAME"]
    sort_attributes(template)
    return cloud.add("secgroup", tree)


def _deleter(kind: str, *members: str) -> Callable[[Cloud, Caller, int], int]:
    """Return what deletes an object in which nothing is left."""

    def act(cloud: Cloud, caller: Caller, object_id: int) -> int:
        tree = cloud.find(kind, object_id)
        cloud.authorize(caller, "ADMIN" if kind in {"cluster", "group", "user"} else "MANAGE", kind, tree)
        if any(ids(tree, member) for member in members):
            raise RefusedError(ACTION, f"Cannot delete {kind}. {kind} is not empty.")
        for cluster in cloud.objects["cluster"].values():
            if kind == "datastore":
                set_ids(cluster, "DATASTORES", set(ids(cluster, "DATASTORES")) - {object_id})
        del cloud.objects[kind][object_id]
        return object_id

    return act


call("secgroup.delete", "i")(_deleter("secgroup"))
call("cluster.delete", "i")(_deleter("cluster", "HOSTS", "DATASTORES", "VNETS"))
call("group.delete", "i")(_deleter("group"))
call("user.delete", "i")(_deleter("user"))
call("datastore.delete", "i")(_deleter("datastore", "IMAGES"))


@call("vn.rm_ar", "ii|b")
def _rm_ar(cloud: Cloud, caller: Caller, network_id: int, range_id: int, *_: object) -> int:
    tree = cloud.find("vn", network_id)
    cloud.authorize(caller, "ADMIN", "vn", tree)
    pool = child(tree, "AR_POOL")
    found = next((part for part in pool if number(part, "AR_ID") == range_id), None)
    if found is None:
        raise RefusedError(NO_EXISTS, f"Address Range {range_id} does not exist", network_id)
    if number(found, "USED_LEASES"):
        raise RefusedError(ACTION, "Cannot remove address range. Address range has leases in use")
    pool.remove(found)
    return network_id
