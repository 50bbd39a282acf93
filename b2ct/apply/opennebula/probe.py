"""Finds out what a cloud has, with one call for each kind of objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from b2ct.apply.opennebula.found import POOL_MEMBERS, read_object
from b2ct.apply.opennebula.patience import Line, Patience
from b2ct.apply.opennebula.rules import may_start
from b2ct.plan.cloud_model import CloudFacts, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from b2ct.apply.opennebula.client import OneClient
    from b2ct.plan.cloud_model import Existing

CALLS_AT_ONCE = 4
"""So many calls are under way at the same time."""

WITH_OWNERS = frozenset({Kind.NETWORK, Kind.SECURITY_GROUP, Kind.IMAGE, Kind.TEMPLATE})
"""Kinds whose pool call takes a filter and a range of numbers."""

ALL = -2
"""The filter for all that the user may see; ``-3`` is for what is the user's own."""

IN_CLUSTERS = frozenset({Kind.DATASTORE, Kind.NETWORK})
"""Kinds that name their clusters by number alone."""

ADMINS_GROUP = 0
"""Number of the group oneadmin, whose members may do everything (AclManager.cc)."""


def probe_cloud(client: OneClient, kinds: Collection[Kind], patience: Patience | None = None) -> CloudFacts:
    """Return the objects of ``kinds`` that the client's user may see, and who that is.

    Clusters come along with what belongs to them. A front-end that restarts is waited for.

    Raises:
        OneVersionError: the front-end is too old.
        OneError, OneLostError: it refused a call, or could not be reached.
    """
    line = Line(client, patience or Patience())
    asked = {*kinds} | ({Kind.CLUSTER} if IN_CLUSTERS & {*kinds} else set())
    version = client.version()
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        user = threads.submit(who_asks, line)
        pools = {kind: threads.submit(read_pool, line, kind) for kind in Kind if kind in asked}
    me = user.result()
    admin = me.ID == 0 or ADMINS_GROUP in {me.GID, *me.GROUPS.ID}
    found = {kind: answer.result() for kind, answer in pools.items()}
    clusters = {one.ID: one.NAME for one in found[Kind.CLUSTER].CLUSTER} if Kind.CLUSTER in found else {}
    objects = [item for kind, bound in found.items() for item in read_members(kind, bound, clusters)]
    rules = line.read("acl.info").ACL if admin and Kind.GROUP in asked else ()
    return CloudFacts(
        version=version,
        user=me.NAME,
        group=me.GNAME,
        admin=admin,
        objects=tuple(_with_rights(objects, rules)),
    )


def _with_rights(objects: Iterable[Existing], rules: Collection[Any]) -> Iterator[Existing]:
    """Give the objects; groups with what access rules let their users do."""
    for item in objects:
        yield replace(item, may_start=may_start(rules, item.id)) if item.kind is Kind.GROUP else item


def who_asks(line: Line) -> Any:  # noqa: ANN401 - pyone's classes have no types
    """Return pyone's object for the user whose session it is."""
    return line.read("user.info", -1, False)  # noqa: FBT003 - the call's parameter "decrypt"


def read_pool(line: Line, kind: Kind, first: int = -1, last: int = -1) -> Any:  # noqa: ANN401 - as above
    """Return pyone's object for a pool; of kinds with owners, those with numbers from ``first`` to ``last``."""
    if kind in WITH_OWNERS:
        return line.read(f"{kind}pool.info", ALL, first, last)
    return line.read(f"{kind}pool.info")


def read_members(kind: Kind, bound: Any, clusters: Mapping[int, str]) -> list[Existing]:  # noqa: ANN401 - as above
    """Return the objects of a pool; ``clusters`` are the clusters' names by number."""
    quotas = {one.ID: one for one in bound.QUOTAS} if kind is Kind.GROUP else {}
    return [read_object(kind, one, clusters, quotas.get(one.ID)) for one in getattr(bound, POOL_MEMBERS[kind])]
