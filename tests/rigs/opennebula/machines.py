"""Clusters, hosts and datastores of the pretended front-end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rigs.opennebula.calls import call
from tests.rigs.opennebula.cloud import (
    ACTION,
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
from tests.rigs.opennebula.recordings import load_recording

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_CLUSTER = 0
_DATASTORE_TYPES = ("IMAGE_DS", "SYSTEM_DS", "FILE_DS")


@call("cluster.allocate", "s")
def _allocate_cluster(cloud: Cloud, caller: Caller, name: str) -> int:
    cloud.authorize_create(caller, "cluster")
    cloud.check_new_name("cluster", name, -1)
    tree = cloud.prototype("cluster", "cluster.info")
    child(tree, "TEMPLATE").extend(load_recording(cloud.version, "cluster.info").tree.findall("TEMPLATE/*"))
    put(tree, "NAME", name)
    for path in ("HOSTS", "DATASTORES", "VNETS"):
        set_ids(tree, path, [])
    return cloud.add("cluster", tree)


def join_cluster(cloud: Cloud, kind: str, object_id: int, cluster_id: int) -> None:
    """Put a datastore or network into a cluster; -1 is the default one. It may be in several."""
    cluster = cloud.find("cluster", max(cluster_id, DEFAULT_CLUSTER))
    tree = cloud.find(kind, object_id)
    path = {"datastore": "DATASTORES", "vn": "VNETS"}[kind]
    set_ids(cluster, path, [*ids(cluster, path), object_id])
    set_ids(tree, "CLUSTERS", [*ids(tree, "CLUSTERS"), number(cluster)])


def _move_host(cloud: Cloud, host_id: int, cluster_id: int) -> None:
    """Put a host into a cluster; it is in one only."""
    cluster = cloud.find("cluster", cluster_id)
    host = cloud.find("host", host_id)
    for other in cloud.objects["cluster"].values():
        set_ids(other, "HOSTS", set(ids(other, "HOSTS")) - {host_id})
    set_ids(cluster, "HOSTS", [*ids(cluster, "HOSTS"), host_id])
    put(host, "CLUSTER_ID", cluster_id)
    put(host, "CLUSTER", cluster.findtext("NAME"))


@call("cluster.addhost", "ii")
def _addhost(cloud: Cloud, caller: Caller, cluster_id: int, host_id: int) -> int:
    cloud.authorize(caller, "ADMIN", "cluster", cloud.find("cluster", cluster_id))
    cloud.find("host", host_id)
    _move_host(cloud, host_id, cluster_id)
    return cluster_id


def _adder(kind: str) -> Callable[[Cloud, Caller, int, int], int]:
    def act(cloud: Cloud, caller: Caller, cluster_id: int, object_id: int) -> int:
        cloud.authorize(caller, "ADMIN", "cluster", cloud.find("cluster", cluster_id))
        cloud.find(kind, object_id)
        join_cluster(cloud, kind, object_id, cluster_id)
        return cluster_id

    return act


call("cluster.adddatastore", "ii")(_adder("datastore"))
call("cluster.addvnet", "ii")(_adder("vn"))


@call("host.allocate", "sss|i")
def _allocate_host(  # noqa: PLR0913, PLR0917 - as the call has it
    cloud: Cloud, caller: Caller, name: str, im_mad: str, vm_mad: str, cluster_id: int = -1
) -> int:
    cloud.authorize_create(caller, "host")
    cluster = cloud.find("cluster", DEFAULT_CLUSTER if cluster_id == -1 else cluster_id)
    cloud.check_new_name("host", name, -1)
    tree = load_recording(cloud.version, "host.info__just-allocated-INIT").tree
    put(tree, "NAME", name)
    for path in ("IM_MAD", "TEMPLATE/IM_MAD"):
        put(tree, path, im_mad)
    for path in ("VM_MAD", "TEMPLATE/VM_MAD"):
        put(tree, path, vm_mad)
    host_id = cloud.add("host", tree)
    _move_host(cloud, host_id, number(cluster))
    return host_id


@call("host.delete", "i")
def _delete_host(cloud: Cloud, caller: Caller, host_id: int) -> int:
    tree = cloud.find("host", host_id)
    cloud.authorize(caller, "ADMIN", "host", tree)
    if ids(tree, "VMS"):
        raise RefusedError(ACTION, "Cannot delete host. Can not remove a host with running VMs")
    for cluster in cloud.objects["cluster"].values():
        set_ids(cluster, "HOSTS", set(ids(cluster, "HOSTS")) - {host_id})
    del cloud.objects["host"][host_id]
    return host_id


@call("datastore.allocate", "s|i")
def _allocate_datastore(cloud: Cloud, caller: Caller, text: str, cluster_id: int = -1) -> int:
    cloud.authorize_create(caller, "datastore")
    given = cloud.parse(text)
    values = {attribute.tag: attribute.text or "" for attribute in given}
    kind = values.get("TYPE", "IMAGE_DS").upper()
    needed = ["TM_MAD"] if kind == "SYSTEM_DS" else ["DS_MAD", "TM_MAD"]
    for name in needed:
        if not values.get(name):
            raise RefusedError(INTERNAL, f"No {name} in template.")
    if kind not in _DATASTORE_TYPES:
        raise RefusedError(INTERNAL, f"Wrong datastore type: {kind}")
    cloud.find("cluster", max(cluster_id, DEFAULT_CLUSTER))
    cloud.check_new_name("datastore", values.get("NAME", ""), caller.uid)
    recorded = "datastore.info__system-ds" if kind == "SYSTEM_DS" else "datastore.info__image-ds"
    tree = load_recording(cloud.version, recorded).tree
    cloud.own(tree, caller)
    put(tree, "NAME", values["NAME"])
    put(tree, "DS_MAD", values.get("DS_MAD", "-"))
    put(tree, "TM_MAD", values["TM_MAD"])
    put(tree, "TYPE", _DATASTORE_TYPES.index(kind))
    set_ids(tree, "CLUSTERS", [])
    set_ids(tree, "IMAGES", [])
    template = child(tree, "TEMPLATE")
    own = {"RESTRICTED_DIRS", "SAFE_DIRS", *values}
    template[:] = [part for part in template if part.tag not in own] + [part for part in given if part.tag != "NAME"]
    put(template, "TYPE", kind)
    sort_attributes(template)
    datastore_id = cloud.add("datastore", tree)
    put(tree, "BASE_PATH", f"/var/lib/one/datastores/{datastore_id}")
    join_cluster(cloud, "datastore", datastore_id, cluster_id)
    return datastore_id
