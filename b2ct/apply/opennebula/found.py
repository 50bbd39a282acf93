"""Turns the objects that pyone binds to a front-end's XML into those that plans are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud_compare import read_mark
from b2ct.plan.cloud_model import Existing, Kind, Quota

if TYPE_CHECKING:
    from collections.abc import Mapping

    from b2ct.plan.attributes import Template, Vector

POOL_MEMBERS = {
    Kind.CLUSTER: "CLUSTER",
    Kind.GROUP: "GROUP",
    Kind.USER: "USER",
    Kind.HOST: "HOST",
    Kind.DATASTORE: "DATASTORE",
    Kind.NETWORK: "VNET",
    Kind.SECURITY_GROUP: "SECURITY_GROUP",
    Kind.IMAGE: "IMAGE",
    Kind.TEMPLATE: "VMTEMPLATE",
}
"""What one member of each pool's XML is called."""

IMAGE_STATES = (
    "INIT",
    "READY",
    "USED",
    "DISABLED",
    "LOCKED",
    "ERROR",
    "CLONE",
    "DELETE",
    "USED_PERS",
    "LOCKED_USED",
    "LOCKED_USED_PERS",
)
"""By number: ``ImageState`` in include/Image.h."""

NETWORK_STATES = ("INIT", "READY", "LOCK_CREATE", "LOCK_DELETE", "DONE", "ERROR", "UPDATE_FAILURE")
"""By number: ``VirtualNetworkState`` in include/VirtualNetwork.h."""

SECRETS = frozenset({"TOKEN_PASSWORD"})
"""Attributes of users that nobody has to see."""

RANGE_KEYS = ("AR_ID", "TYPE", "IP", "SIZE")
"""What counts of an address range."""

KIB_PER_MIB = 1024
PERCENT_PER_CORE = 100


def read_object(kind: Kind, bound: Any, clusters: Mapping[int, str], quota: Any = None) -> Existing:  # noqa: ANN401 - pyone's classes have no types
    """Return one object of a pool.

    ``clusters`` are the clusters' names by number; ``quota`` is a group's entry of QUOTAS, which its pool keeps apart.
    """
    template = _template(kind, bound)
    return Existing(
        kind=kind,
        id=bound.ID,
        name=bound.NAME,
        owner=getattr(bound, "UNAME", None) or "",
        group=getattr(bound, "GNAME", None) or "",
        template=template,
        mark=read_mark(template),
        permissions=_permissions(getattr(bound, "PERMISSIONS", None)),
        state=_state(kind, bound),
        uses=_uses(kind, bound),
        cluster=_cluster(kind, bound, clusters),
        size_mib=_size_mib(kind, bound),
        cores=bound.HOST_SHARE.MAX_CPU // PERCENT_PER_CORE if kind is Kind.HOST else 0,
        memory_mib=bound.HOST_SHARE.MAX_MEM // KIB_PER_MIB if kind is Kind.HOST else 0,
        quota=read_quota(quota) if kind is Kind.GROUP else None,
    )


def read_quota(bound: Any) -> Quota | None:  # noqa: ANN401 - as above
    """Return what VM_QUOTA of a group says; None without limits (-1: the default, -2: none)."""
    entries = bound.VM_QUOTA.VM if bound is not None and bound.VM_QUOTA is not None else []
    if not entries:
        return None
    vms, cores, memory = (_limit(getattr(entries[0], name)) for name in ("VMS", "CPU", "MEMORY"))
    return None if (vms, cores, memory) == (None, None, None) else Quota(vms, cores, memory)


def _limit(value: object) -> int | None:
    number = float(str(value)) if value not in {None, ""} else -1
    return None if number < 0 else int(number)


def _template(kind: Kind, bound: Any) -> Template:  # noqa: ANN401 - as above
    values = {name: value for name, value in (bound.TEMPLATE or {}).items() if name not in SECRETS}
    if kind is Kind.HOST:
        values.update(IM_MAD=bound.IM_MAD, VM_MAD=bound.VM_MAD)
    if kind is Kind.NETWORK and bound.AR_POOL is not None and bound.AR_POOL.AR:
        values["AR"] = [{key: str(getattr(one, key, None) or "") for key in RANGE_KEYS} for one in bound.AR_POOL.AR]
    return tuple(
        Attribute(name, _value(one))
        for name, value in values.items()
        for one in (value if isinstance(value, list) else [value])
    )


def _value(value: object) -> str | Vector:
    """Return an attribute's value; pyone gives None for an empty one."""
    if isinstance(value, dict):
        return tuple((str(key), "" if text is None else str(text)) for key, text in value.items())
    return "" if value is None else str(value)


def _permissions(bound: Any) -> int | None:  # noqa: ANN401 - as above
    if bound is None:
        return None
    bits = 0
    for who in ("OWNER", "GROUP", "OTHER"):
        for right in ("U", "M", "A"):
            bits = bits << 1 | getattr(bound, f"{who}_{right}")
    return bits


def _state(kind: Kind, bound: Any) -> str:  # noqa: ANN401 - as above
    names = {Kind.IMAGE: IMAGE_STATES, Kind.NETWORK: NETWORK_STATES}.get(kind)
    if names is None:
        return ""
    return names[bound.STATE] if 0 <= bound.STATE < len(names) else str(bound.STATE)


def _uses(kind: Kind, bound: Any) -> int:  # noqa: ANN401 - as above
    """Return how many others need the object: virtual machines, leases, images, users, members."""
    lists = {Kind.DATASTORE: ("IMAGES",), Kind.GROUP: ("USERS",), Kind.CLUSTER: ("HOSTS", "DATASTORES", "VNETS")}
    if kind is Kind.HOST:
        return int(bound.HOST_SHARE.RUNNING_VMS)
    if kind in lists:
        return sum(len(getattr(bound, name).ID) for name in lists[kind])
    counter = {Kind.IMAGE: "RUNNING_VMS", Kind.NETWORK: "USED_LEASES"}.get(kind)
    return int(getattr(bound, counter)) if counter else 0


def _cluster(kind: Kind, bound: Any, clusters: Mapping[int, str]) -> str:  # noqa: ANN401 - as above
    if kind is Kind.HOST:
        return str(bound.CLUSTER or "")
    if kind in {Kind.DATASTORE, Kind.NETWORK}:
        return ",".join(clusters[one] for one in bound.CLUSTERS.ID if one in clusters)
    return ""


def _size_mib(kind: Kind, bound: Any) -> int:  # noqa: ANN401 - as above
    match kind:
        case Kind.IMAGE:
            return int(bound.SIZE)
        case Kind.DATASTORE:
            return int(bound.FREE_MB or 0)
        case _:
            return 0
