"""Users and groups of the pretended front-end."""

from __future__ import annotations

import secrets
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.calls import CALLS, call, in_range, xml
from tests.rigs.opennebula.cloud import (
    INTERNAL,
    KINDS,
    Caller,
    Cloud,
    RefusedError,
    Rule,
    child,
    hashed,
    ids,
    number,
    put,
    set_ids,
)
from tests.rigs.opennebula.quotas import members, set_quotas, show_quotas

USERS = 1
"""The group that users belong to unless another is given."""


def _refuse_others(cloud: Cloud, caller: Caller, kind: str, tree: ET.Element) -> None:
    """Only admins change quotas and memberships."""
    cloud.authorize(caller, "ADMIN", kind, tree)


@call("user.allocate", "sss|a")
def _allocate_user(  # noqa: PLR0913, PLR0917 - as the call has it
    cloud: Cloud, caller: Caller, name: str, password: str, driver: str, groups: list[int] | None = None
) -> int:
    cloud.authorize_create(caller, "user")
    cloud.check_new_name("user", name, -1)
    for gid in groups or []:
        cloud.find("group", gid)
    tree = cloud.prototype("user", "user.info__oneadmin")
    put(tree, "NAME", name)
    put(tree, "PASSWORD", hashed(password))
    put(tree, "AUTH_DRIVER", driver or "core")
    put(tree, "ENABLED", 1)
    put(tree, "TEMPLATE/TOKEN_PASSWORD", secrets.token_hex(32))
    _set_groups(cloud, tree, groups or [USERS])
    return cloud.add("user", tree)


def _set_groups(cloud: Cloud, tree: ET.Element, groups: list[int]) -> None:
    """Set a user's groups, the primary one first."""
    put(tree, "GID", groups[0])
    put(tree, "GNAME", cloud.find("group", groups[0]).findtext("NAME"))
    set_ids(tree, "GROUPS", groups)


@call("user.info", "|ib")
def _user_info(cloud: Cloud, caller: Caller, user_id: int = -1, *_: object) -> str:
    tree = cloud.find("user", caller.uid if user_id == -1 else user_id)
    cloud.authorize(caller, "USE", "user", tree)
    return xml(show_quotas(cloud, tree))


@call("user.passwd", "is")
def _passwd(cloud: Cloud, caller: Caller, user_id: int, password: str) -> int:
    tree = cloud.find("user", user_id)
    cloud.authorize(caller, "MANAGE", "user", tree)
    if not password:
        raise RefusedError(INTERNAL, "Invalid password, it cannot be empty")
    put(tree, "PASSWORD", hashed(password))
    return user_id


@call("user.chgrp", "ii")
def _chgrp(cloud: Cloud, caller: Caller, user_id: int, group_id: int) -> int:
    tree = cloud.find("user", user_id)
    _refuse_others(cloud, caller, "user", tree)
    cloud.find("group", group_id)
    old = number(tree, "GID")
    _set_groups(cloud, tree, [group_id, *(gid for gid in ids(tree, "GROUPS") if gid not in {old, group_id})])
    return user_id


@call("user.addgroup", "ii")
def _addgroup(cloud: Cloud, caller: Caller, user_id: int, group_id: int) -> int:
    tree = cloud.find("user", user_id)
    _refuse_others(cloud, caller, "user", tree)
    cloud.find("group", group_id)
    groups = ids(tree, "GROUPS")
    if group_id in groups:
        raise RefusedError(INTERNAL, f"User is already in this group [{group_id}].", user_id)
    set_ids(tree, "GROUPS", [*groups, group_id])
    return user_id


@call("user.quota", "is")
def _user_quota(cloud: Cloud, caller: Caller, user_id: int, text: str) -> int:
    return _quota(cloud, caller, "user", user_id, text)


@call("group.quota", "is")
def _group_quota(cloud: Cloud, caller: Caller, group_id: int, text: str) -> int:
    return _quota(cloud, caller, "group", group_id, text)


def _quota(cloud: Cloud, caller: Caller, kind: str, object_id: int, text: str) -> int:
    tree = cloud.find(kind, object_id)
    _refuse_others(cloud, caller, kind, tree)
    set_quotas(cloud, tree, cloud.parse(text))
    return object_id


@call("group.allocate", "s")
def _allocate_group(cloud: Cloud, caller: Caller, name: str) -> int:
    cloud.authorize_create(caller, "group")
    cloud.check_new_name("group", name, -1)
    tree = cloud.prototype("group", "group.info")
    put(tree, "NAME", name)
    group_id = cloud.add("group", tree)
    if tree.find("VLAN_RULES/ID") is not None:
        put(tree, "VLAN_RULES/ID", group_id)
    for resource, right in ((0x2400000000, 0x2), (0x4400000000, 0x1), (0x100400000000, 0x1)):  # the VDC "default"
        cloud.add_rule(Rule(0x200000000 | group_id, resource, right, 0x100000000))
    return group_id


@call("group.info", "|ib")
def _group_info(cloud: Cloud, caller: Caller, group_id: int = -1, *_: object) -> str:
    tree = cloud.find("group", caller.gids[0] if group_id == -1 else group_id)
    cloud.authorize(caller, "USE", "group", tree)
    return xml(_with_members(cloud, show_quotas(cloud, tree)))


def _with_members(cloud: Cloud, tree: ET.Element) -> ET.Element:
    set_ids(tree, "USERS", members(cloud, number(tree)))
    return tree


def _pool(kind: str) -> None:
    """Register the pool of users or groups: the quotas stand beside each, the default ones at the end."""

    def act(cloud: Cloud, caller: Caller, start: int = -1, end: int = -1) -> str:
        pool = ET.Element(KINDS[kind].pool)
        default = f"DEFAULT_{KINDS[kind].root}_QUOTAS"
        for object_id, stored in sorted(cloud.objects[kind].items(), reverse=True):
            if not in_range(object_id, start, end) or not cloud.may(caller, "USE", kind, stored):
                continue
            tree = show_quotas(cloud, stored)
            if kind == "group":
                _with_members(cloud, tree)
            quotas = ET.Element("QUOTAS")
            put(quotas, "ID", object_id)
            quotas.extend(part for part in tree if part.tag.endswith("_QUOTA"))
            beside = [part for part in tree if part.tag == "VLAN_RULES"]
            tree[:] = [part for part in tree if part.tag not in {default, "VLAN_RULES"} and part not in list(quotas)]
            pool.extend((tree, quotas, *beside))
        pool.append(child(cloud.find(kind, 0), default))
        return xml(pool)

    call(f"{kind}pool.info", "|ii")(act)


for _kind in ("user", "group"):
    _pool(_kind)
assert {"user.update", "group.update"} <= CALLS.keys()
