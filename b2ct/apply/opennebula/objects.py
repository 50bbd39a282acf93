"""Makes, changes and removes single objects of a cloud."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.errors import OneError, OneLostError, Trouble
from b2ct.apply.opennebula.found import read_object
from b2ct.apply.opennebula.probe import read_members, read_pool, who_asks
from b2ct.apply.opennebula.rules import may_start, start_rule
from b2ct.errors import B2ctError, UsageError
from b2ct.plan.attributes import Attribute, first_text
from b2ct.plan.cloud import BROKEN, REPLACED
from b2ct.plan.cloud_compare import (
    CLUSTER_DIFFERENCE,
    GIVEN_ONCE,
    GROUP_DIFFERENCE,
    PERMISSIONS_DIFFERENCE,
    QUOTA_DIFFERENCE,
    RANGE,
    RIGHTS_DIFFERENCE,
    UNCHANGEABLE,
    mark_attributes,
)
from b2ct.plan.cloud_model import Kind
from b2ct.render.opennebula import check_object_name, render_template

if TYPE_CHECKING:
    from b2ct.apply.opennebula.patience import Line
    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import Existing, Quota, Step, Wanted

REPLACE, MERGE = 0, 1
"""What ``update`` does with the attributes that are there (OpenNebula XML-RPC API, ``one.template.update``)."""

NO_LIMIT = -2
"""A quota that is unlimited, whatever the default (OpenNebula documentation, "Usage Quotas")."""

AUTH_DRIVER = "core"
"""Users whose password OpenNebula itself checks."""

OUTSIDE = frozenset({CLUSTER_DIFFERENCE, GROUP_DIFFERENCE, PERMISSIONS_DIFFERENCE, QUOTA_DIFFERENCE, RIGHTS_DIFFERENCE})
"""Differences that are none of an attribute."""

MARKED_LATER = frozenset({Kind.CLUSTER, Kind.GROUP, Kind.USER, Kind.HOST})
"""Kinds whose making call takes no attributes, so that the mark needs a second one."""

ADD_TO_CLUSTER = {Kind.HOST: "cluster.addhost", Kind.DATASTORE: "cluster.adddatastore", Kind.NETWORK: "cluster.addvnet"}

Passwords = Callable[[str], str]
"""Gives the password of a user by its name, at the moment in which the user is made."""


class MadeMeanwhileError(B2ctError):
    """An object that was not there when the plan was made is there, as it is wanted."""


class LeftUnmarkedError(B2ctError):
    """An object was made, could be neither marked nor removed, and so is not known as ours."""


@dataclass(slots=True)
class Numbers:
    """Numbers of objects by kind and name; what is not known is looked up once."""

    line: Line
    known: dict[tuple[Kind, str], int] = field(default_factory=dict)
    _looked: set[Kind] = field(default_factory=set)
    _own_group: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, kind: Kind, name: str) -> int:
        """Return an object's number; raises UsageError if there is none of that name."""
        with self._lock:
            if (kind, name) not in self.known and kind not in self._looked:
                self._looked.add(kind)
                for item in read_members(kind, read_pool(self.line, kind), {}):
                    self.known.setdefault((kind, item.name), item.id)
        if (kind, name) not in self.known:
            raise UsageError(f"the cloud has no {kind.label} called {name}", hint="plan again: something has changed")
        return self.known[kind, name]

    def own_group(self) -> str:
        """Return the name of the primary group of the user who asks: what this user makes belongs to it."""
        with self._lock:
            if self._own_group is None:
                self._own_group = str(who_asks(self.line).GNAME)
        return self._own_group


@dataclass(frozen=True, slots=True)
class Objects:
    """The acts on single objects; several threads may use one."""

    line: Line
    numbers: Numbers
    passwords: Passwords

    def create(self, wanted: Wanted, extra: Template = ()) -> int:
        """Make an object with its mark, and return its number; ``settle`` does the rest.

        ``extra`` are attributes that say where an image comes from.

        Raises:
            OneError, OneLostError: the front-end refused it, or nobody knows whether it was done.
            MadeMeanwhileError: it has come to be since the plan was made.
            LeftUnmarkedError: it was done, and the mark is missing.
        """
        try:
            number = self.line.make(self._allocation(wanted, extra), lambda: self._look(wanted))
        except OneError as error:
            if error.trouble is Trouble.NAME_TAKEN and self._is_there(wanted):
                message = "it was made meanwhile, as by another run of this command"
                raise MadeMeanwhileError(message, hint="let that one end, then run this again") from error
            raise
        if wanted.kind in MARKED_LATER:
            self._mark(wanted, number)
        return number

    def settle(self, wanted: Wanted, number: int) -> None:
        """Give a new object its group, permissions, quota and rights."""
        changes = set()
        if wanted.group is not None and wanted.kind is not Kind.USER and wanted.group != self.numbers.own_group():
            changes.add(GROUP_DIFFERENCE)
        if wanted.permissions is not None:
            changes.add(PERMISSIONS_DIFFERENCE)
        if wanted.quota is not None:
            changes.add(QUOTA_DIFFERENCE)
        if wanted.may_start:
            changes.add(RIGHTS_DIFFERENCE)
        self._change_rest(wanted, number, changes)

    def update(self, step: Step) -> None:
        """Change what differs in an object that exists, and write the mark."""
        wanted, existing = step.wanted, step.existing
        if wanted is None or existing is None:
            raise ValueError(step)
        changes = {difference.attribute for difference in step.differences}
        rest = changes & OUTSIDE
        if RANGE in changes:
            self._change_ranges(wanted, existing)
        self._change_rest(wanted, existing.id, rest)
        if changes - rest - {RANGE} or existing.mark != wanted.mark:
            self._write(wanted, existing.id)

    def remove(self, existing: Existing) -> None:
        """Remove an object that is still marked as it was when it was planned.

        Raises:
            UsageError: it was changed meanwhile.
        """
        kind = existing.kind
        if read_object(kind, self.line.read(f"{kind}.info", existing.id), {}).mark != existing.mark:
            raise UsageError(f"{kind.label} {existing.name} ({existing.id}) is not ours any more", hint="plan again")
        self.delete(kind, existing.id)

    def delete(self, kind: Kind, number: int) -> None:
        """Remove an object without a question; an image even while it is being made."""
        force = (True,) if kind is Kind.IMAGE else ()
        self.line.delete(f"{kind}.delete", number, *force)

    def _allocation(self, wanted: Wanted, extra: Template) -> Callable[[], int]:
        """Return the call that makes an object, everything looked up before."""
        name, client, kind = wanted.name, self.line.client, wanted.kind
        text = "" if kind in MARKED_LATER else _text(wanted, (Attribute("NAME", name),), extra)
        cluster = -1 if wanted.cluster is None else self.numbers.find(Kind.CLUSTER, wanted.cluster)
        match kind:
            case Kind.CLUSTER | Kind.GROUP:
                return lambda: int(client.call(f"{kind}.allocate", name))
            case Kind.USER:
                groups = [] if wanted.group is None else [self.numbers.find(Kind.GROUP, wanted.group)]
                return lambda: int(client.call("user.allocate", name, self.passwords(name), AUTH_DRIVER, groups))
            case Kind.HOST:
                drivers = (first_text(wanted.template, "IM_MAD") or "", first_text(wanted.template, "VM_MAD") or "")
                return lambda: int(client.call("host.allocate", name, *drivers, cluster))
            case Kind.DATASTORE | Kind.NETWORK:
                return lambda: int(client.call(f"{kind}.allocate", text, cluster))
            case Kind.IMAGE:
                datastore = self.numbers.find(Kind.DATASTORE, wanted.datastore or "default")
                return lambda: int(client.call("image.allocate", text, datastore))
            case Kind.SECURITY_GROUP | Kind.TEMPLATE:
                return lambda: int(client.call(f"{kind}.allocate", text))

    def _look(self, wanted: Wanted) -> int | None:
        """Return the number of the object that a call made whose answer was lost; None if it is not there."""
        found = [
            item
            for item in read_members(wanted.kind, read_pool(self.line, wanted.kind), {})
            if item.name == wanted.name and (item.mark == wanted.mark or wanted.kind in MARKED_LATER)
        ]
        return found[-1].id if found else None

    def _is_there(self, wanted: Wanted) -> bool:
        """Whether an object with the wanted name and mark is there, and usable."""
        found = read_members(wanted.kind, read_pool(self.line, wanted.kind), {})
        return any((o.name, o.mark) == (wanted.name, wanted.mark) and o.state != BROKEN for o in found)

    def _mark(self, wanted: Wanted, number: int) -> None:
        """Mark a new object that could not be marked in the making; without its mark it does not stay."""
        try:
            self._write(wanted, number)
        except (OneError, OneLostError) as error:
            try:
                self.delete(wanted.kind, number)
            except (OneError, OneLostError):
                message = f"{wanted.kind.label} {wanted.name} ({number}) was made and could not be marked: {error}"
                raise LeftUnmarkedError(message, hint=f"delete it (`one{wanted.kind} delete {number}`)") from error
            raise

    def _write(self, wanted: Wanted, number: int) -> None:
        """Write the attributes that can be written to an existing object, with the mark."""
        once = GIVEN_ONCE.get(wanted.kind, frozenset()) | UNCHANGEABLE.get(wanted.kind, frozenset())
        text = _text(wanted, (), (), leave_out=once | {RANGE})
        how = REPLACE if wanted.kind in REPLACED else MERGE
        self.line.read(f"{wanted.kind}.update", number, text, how)

    def _change_rest(self, wanted: Wanted, number: int, changes: set[str]) -> None:
        """Set what is no attribute; each of these can be done twice."""
        kind = wanted.kind
        if CLUSTER_DIFFERENCE in changes and wanted.cluster is not None:
            self.line.read(ADD_TO_CLUSTER[kind], self.numbers.find(Kind.CLUSTER, wanted.cluster), number)
        if GROUP_DIFFERENCE in changes and wanted.group is not None:
            group = self.numbers.find(Kind.GROUP, wanted.group)
            if kind is Kind.USER:
                self.line.read("user.chgrp", number, group)
            else:
                self.line.read(f"{kind}.chown", number, -1, group)
        if PERMISSIONS_DIFFERENCE in changes and wanted.permissions is not None:
            bits = [wanted.permissions >> place & 1 for place in range(8, -1, -1)]
            self.line.read(f"{kind}.chmod", number, *bits)
        if QUOTA_DIFFERENCE in changes and wanted.quota is not None:
            self.line.read("group.quota", number, render_template(_quota(wanted.quota)))
        if RIGHTS_DIFFERENCE in changes:
            self._let_start(number)

    def _let_start(self, group_id: int) -> None:
        """Add the rule by which a group's users may start virtual machines, unless there is one."""

        def look() -> int | None:
            return group_id if may_start(self.line.read("acl.info").ACL, group_id) else None

        if look() is None:
            self.line.make(lambda: int(self.line.client.call("acl.addrule", *start_rule(group_id))), look)

    def _change_ranges(self, wanted: Wanted, existing: Existing) -> None:
        """Make a network's address ranges as wanted; one that has leases is refused by the front-end."""
        there = {keys.get("IP"): keys for keys in _ranges(existing.template)}
        asked = {keys.get("IP"): keys for keys in _ranges(wanted.template)}
        for first, keys in asked.items():
            found = there.get(first)
            if found is None:
                self._add_range(existing.id, keys)
            elif any(found.get(key) != text for key, text in keys.items()):
                text = render_template((Attribute(RANGE, (("AR_ID", found["AR_ID"]), ("SIZE", keys["SIZE"]))),))
                self.line.read("vn.update_ar", existing.id, text)
        for first, keys in there.items():
            if first not in asked:
                self.line.delete("vn.rm_ar", existing.id, int(keys["AR_ID"]))

    def _add_range(self, number: int, keys: dict[str, str]) -> None:
        """Add an address range; two of the same would give one address twice, so it is looked for."""
        text = render_template((Attribute(RANGE, tuple(keys.items())),))

        def look() -> int | None:
            network = read_object(Kind.NETWORK, self.line.read("vn.info", number), {})
            return number if keys["IP"] in {one.get("IP") for one in _ranges(network.template)} else None

        self.line.make(lambda: int(self.line.client.call("vn.add_ar", number, text)), look)


def check_writable(wanted: Wanted) -> None:
    """Raise ObjectNameError or QuotingError unless a front-end can hold the name and every value of an object."""
    check_object_name(wanted.name)
    _text(wanted, (), ())


def _text(wanted: Wanted, first: Template, extra: Template, leave_out: frozenset[str] = frozenset()) -> str:
    """Return template text: ``first``, what is wanted, ``extra`` (which wins), the mark."""
    own = {attribute.name for attribute in extra} | leave_out
    kept = tuple(attribute for attribute in wanted.template if attribute.name not in own and attribute.value != ())
    return render_template((*first, *kept, *extra, *(mark_attributes(wanted.mark) if wanted.mark else ())))


def _ranges(template: Template) -> list[dict[str, str]]:
    return [dict(one.value) for one in template if one.name == RANGE and not isinstance(one.value, str)]


def _quota(quota: Quota) -> Template:
    """Return a group's quota as template text has it."""
    values = {"VMS": quota.vms, "CPU": quota.cores, "MEMORY": quota.memory_mib}
    return (Attribute("VM", tuple((name, str(NO_LIMIT if one is None else one)) for name, one in values.items())),)
