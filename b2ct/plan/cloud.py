"""Decides what has to happen to a cloud's objects so that they become what a site wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from b2ct.errors import B2ctError
from b2ct.plan.attributes import first_text
from b2ct.plan.cloud_compare import find_differences, find_leftovers, is_unchangeable, seal
from b2ct.plan.cloud_model import CloudPlan, Kind, Reference, Step, Verb
from b2ct.plan.cloud_remove import plan_removals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from b2ct.plan.cloud_model import CloudFacts, Difference, Existing, Wanted

OLDEST_OPENNEBULA = (6, 10)
"""The oldest OpenNebula whose objects B2CT plans."""

ORDER = {kind: place for place, kind in enumerate(Kind)}
"""Place of each kind in the order of making."""

ADMIN = "oneadmin"
"""The user whose objects everybody may trust; OpenNebula makes it for itself (id 0)."""

DEFAULT_CLUSTER = "default"
"""The cluster that is always there, though ordinary users cannot see it (id 0)."""

OWNED = frozenset({Kind.NETWORK, Kind.SECURITY_GROUP, Kind.IMAGE, Kind.TEMPLATE})
"""Kinds whose names are unique per owner; all others have one name space."""

PUBLISHED = frozenset({Kind.IMAGE, Kind.TEMPLATE})
"""Kinds that B2CT makes itself or not at all; of the others, what somebody else made is used."""

ADMIN_ONLY = frozenset({Kind.CLUSTER, Kind.GROUP, Kind.USER, Kind.HOST, Kind.DATASTORE, Kind.NETWORK})
"""Kinds that only oneadmin's group can make or change (networks: ``VNET_RESTRICTED_ATTR`` in oned.conf)."""

REPLACED = frozenset({Kind.TEMPLATE, Kind.SECURITY_GROUP})
"""Kinds whose whole template is ours, so that an update takes away what is no longer wanted."""

BUSY = frozenset({"INIT", "LOCKED", "LOCK_CREATE"})
"""States of images and networks that are still being made."""

BROKEN = "ERROR"
"""State of images and networks whose making failed."""

MAKING = {
    Kind.CLUSTER: "onecluster create",
    Kind.GROUP: "onegroup create",
    Kind.USER: "oneuser create",
    Kind.HOST: "onehost create",
    Kind.DATASTORE: "onedatastore create",
    Kind.NETWORK: "onevnet create",
    Kind.SECURITY_GROUP: "onesecgroup create",
    Kind.IMAGE: "oneimage create",
    Kind.TEMPLATE: "onetemplate create",
}
"""The commands by which an administrator makes what we may not."""

SELF_MADE = {Kind.CLUSTER: 100, Kind.GROUP: 100, Kind.USER: 2}
"""Smaller numbers are what OpenNebula makes for itself (ClusterPool.cc, GroupPool.cc, UserPool.cc)."""

SERVER_ATTRIBUTES = frozenset({"SUNSTONE", "FIREEDGE", "OPENNEBULA", "RESERVED_CPU", "RESERVED_MEM", "TOKEN_PASSWORD"})
"""Attributes that a cluster, group or user has without anybody's doing."""


class CloudTooOldError(B2ctError):
    """The cloud runs an OpenNebula that B2CT does not plan for."""


def make_cloud_plan(
    wanted: Sequence[Wanted], facts: CloudFacts, *, remove: Sequence[Existing] = (), site: str | None = None
) -> CloudPlan:
    """Return the steps from ``facts`` to ``wanted``, in the order in which they have to be done.

    Objects of ``remove`` come last. ``site`` is whose objects may be removed; left out: the site of the wanted marks.

    Raises:
        CloudTooOldError: the cloud is older than OLDEST_OPENNEBULA.
    """
    if facts.version[:2] < OLDEST_OPENNEBULA:
        text = ".".join(map(str, facts.version))
        raise CloudTooOldError(f"OpenNebula {text} is too old", hint="B2CT needs 6.10 or later")
    planner = _Planner(tuple(map(seal, wanted)), facts, frozenset((item.kind, item.id) for item in remove))
    steps = planner.steps()
    sites = {item.mark.site for item in wanted if item.mark} if site is None else {site}
    return CloudPlan((*steps, *plan_removals(remove, facts, steps, sites)))


@dataclass(slots=True)
class _Planner:
    """Decides one step after the other, and remembers those that others need."""

    wanted: tuple[Wanted, ...]
    facts: CloudFacts
    removed: frozenset[tuple[Kind, int]]
    decided: dict[tuple[Kind, str], Step] = field(default_factory=dict)

    def steps(self) -> tuple[Step, ...]:
        for item in sorted(self.wanted, key=lambda item: ORDER[item.kind]):
            self.decided[item.kind, item.name] = self._decide(item)
        return tuple(self.decided.values())

    def _decide(self, wanted: Wanted) -> Step:
        missing = next(self._missing(wanted), None)
        if missing:
            return _step(Verb.REFUSE, wanted, missing)
        existing = self._find(wanted)
        if existing is None:
            return self._make(wanted)
        if self._is_ours(wanted, existing):
            return self._decide_ours(wanted, existing)
        differences = find_differences(wanted, existing)
        if wanted.kind not in PUBLISHED:
            if self.facts.admin and self._is_half_made(wanted, existing):
                reason = "it is empty and without a mark, as an interrupted run leaves it: it is completed"
                return _step(Verb.UPDATE, wanted, reason, existing, differences)
            maker = f"B2CT made it for the site {existing.mark.site}" if existing.mark else "B2CT did not make it"
            reason = f"{maker}, so it stays as it is" if differences else maker
            return _step(Verb.USE, wanted, reason, existing, differences)
        holder = f"{wanted.kind} {existing.id} of {existing.owner}"
        reason = f"the name is taken by {holder}, which B2CT did not make for this site: rename or delete that one"
        return _step(Verb.REFUSE, wanted, reason, existing)

    def _make(self, wanted: Wanted, reason: str = "", broken: Existing | None = None) -> Step:
        if wanted.kind in ADMIN_ONLY and not self.facts.admin:
            refusal = f"it is not there, and {self.facts.user} cannot make it: ask an administrator of the cloud"
            return _step(Verb.REFUSE, wanted, f"{refusal} (`{MAKING[wanted.kind]}`, or B2CT as oneadmin)", broken)
        return _step(Verb.CREATE, wanted, reason, broken)

    def _decide_ours(self, wanted: Wanted, existing: Existing) -> Step:
        differences = find_differences(wanted, existing)
        refusal = _refusal(wanted, existing, differences)
        if refusal:
            return _step(Verb.REFUSE, wanted, refusal, existing, differences)
        if existing.state == BROKEN:
            error = first_text(existing.template, "ERROR")
            reason = f"making it failed before ({error})" if error else "making it failed before"
            return self._make(wanted, f"{reason}: it is removed and made again", existing)
        if existing.state in BUSY:
            return _step(Verb.UPDATE, wanted, "it is still being made: it is waited for", existing, differences)
        if not differences and existing.mark == wanted.mark:
            return _step(Verb.KEEP, wanted, "", existing)
        return self._update(wanted, existing, differences)

    def _update(self, wanted: Wanted, existing: Existing, differences: tuple[Difference, ...]) -> Step:
        if wanted.kind in ADMIN_ONLY and not self.facts.admin:
            reason = f"{self.facts.user} cannot change it: an administrator can"
            return _step(Verb.USE, wanted, reason, existing, differences)
        if existing.owner not in {self.facts.user, ""} and not self.facts.admin:
            return _step(Verb.USE, wanted, f"it belongs to {existing.owner}", existing, differences)
        same = existing.mark == wanted.mark
        reason = "changed by hand since B2CT wrote it" if same else "the site file or the bundle changed"
        before, after = (mark.version if mark else "" for mark in (existing.mark, wanted.mark))
        if before != after:
            reason = f"version {before} becomes {after}"
        if wanted.kind is Kind.IMAGE and same:
            reason = "changed by hand, or by the site file or the bundle"
        if wanted.kind in REPLACED:
            differences = (*differences, *find_leftovers(wanted, existing))
        return _step(Verb.UPDATE, wanted, reason, existing, differences)

    def _find(self, wanted: Wanted) -> Existing | None:
        """Return the object that stands where the wanted one belongs.

        Where names are unique per owner, another user's object does not stand in the way, and its mark proves
        nothing: users can write what they like into their own. Only oneadmin's count for everybody.
        """
        found = [item for item in self.facts.objects if (item.kind, item.name) == (wanted.kind, wanted.name)]
        if wanted.kind not in OWNED:
            return next(iter(found), None)
        mine = next((item for item in found if item.owner == self.facts.user), None)
        trusted = next((item for item in found if item.owner == ADMIN), None)
        if wanted.kind not in PUBLISHED:
            others = None if self.facts.admin else next(iter(found), None)
            return mine or trusted or others
        if trusted is None or mine is not None or not _same_site(wanted, trusted):
            return mine
        if self.facts.admin:
            return trusted
        usable = not find_differences(wanted, trusted) and not _is_other_file(wanted, trusted)
        return trusted if usable and trusted.state not in {*BUSY, BROKEN} else None

    def _is_ours(self, wanted: Wanted, existing: Existing) -> bool:
        if wanted.kind in OWNED and existing.owner not in {self.facts.user, ADMIN}:
            return False
        return _same_site(wanted, existing)

    def _is_half_made(self, wanted: Wanted, existing: Existing) -> bool:
        """Whether an unmarked object is what remains when a run ends between making it and marking it.

        Clusters, groups and users take no attributes in the call that makes them. Such an object has none of its own,
        nothing belongs to it, and a user is in the group that B2CT made for it.
        """
        if wanted.mark is None or existing.mark or existing.id < SELF_MADE.get(existing.kind, existing.id + 1):
            return False
        attributes = {attribute.name for attribute in existing.template} - SERVER_ATTRIBUTES
        if attributes or existing.uses or existing.quota:
            return False
        if existing.kind is not Kind.USER:
            return True
        group = self.decided.get((Kind.GROUP, existing.group))
        return group is not None and existing.group == wanted.group and group.verb in {Verb.KEEP, Verb.UPDATE}

    def _missing(self, wanted: Wanted) -> Iterator[str]:
        """Give a reason for each object that has to be there before and will not be."""
        for need in (*wanted.needs, *_implied(wanted)):
            step = self.decided.get((need.kind, need.name))
            what = f"the {need.kind.label} {need.name}"
            if step is not None and step.verb is Verb.REFUSE:
                yield f"it needs {what}, which is refused"
            elif step is None and not self._will_be(need):
                yield f"it needs {what}, which is not there: make it (`{MAKING[need.kind]}`), or correct the name"

    def _will_be(self, need: Reference) -> bool:
        """Whether an object that is not decided yet will be there."""
        if (need.kind, need.name) in {(Kind.GROUP, self.facts.group), (Kind.CLUSTER, DEFAULT_CLUSTER)}:
            return True
        if any((item.kind, item.name) == (need.kind, need.name) for item in self.wanted):
            return True
        existing = self.facts.find(need.kind, need.name, need.owner)
        return existing is not None and existing.state != BROKEN and (existing.kind, existing.id) not in self.removed


def _implied(wanted: Wanted) -> Iterator[Reference]:
    """Give what an object needs by its own fields."""
    if wanted.group is not None:
        yield Reference(Kind.GROUP, wanted.group)
    if wanted.cluster is not None:
        yield Reference(Kind.CLUSTER, wanted.cluster)
    if wanted.datastore is not None:
        yield Reference(Kind.DATASTORE, wanted.datastore)


def _refusal(wanted: Wanted, existing: Existing, differences: tuple[Difference, ...]) -> str:
    """Return why an object of ours cannot become what is wanted, and what to do; empty if it can."""
    if existing.state == BROKEN:
        if not existing.uses:
            return ""
        return f"it is in the state ERROR while {existing.uses} virtual machines use it: look at it by hand"
    if _is_other_file(wanted, existing):
        return "it was made from another file, and images are never replaced: raise the image's version"
    fixed = next((one for one in differences if is_unchangeable(wanted.kind, one)), None)
    if fixed:
        return f"its {fixed.attribute} is {fixed.now} and cannot become {fixed.wanted}: remove it, or keep that"
    return ""


def _same_site(wanted: Wanted, existing: Existing) -> bool:
    return wanted.mark is not None and existing.mark is not None and wanted.mark.site == existing.mark.site


def _is_other_file(wanted: Wanted, existing: Existing) -> bool:
    """Whether an image was made from another file than the wanted one."""
    if wanted.kind is not Kind.IMAGE or wanted.mark is None or existing.mark is None:
        return False
    return bool(wanted.mark.checksum) and wanted.mark.checksum != existing.mark.checksum


def _step(
    verb: Verb,
    wanted: Wanted,
    reason: str = "",
    existing: Existing | None = None,
    differences: tuple[Difference, ...] = (),
) -> Step:
    return Step(verb, wanted.kind, wanted.name, reason, wanted, existing, differences)
