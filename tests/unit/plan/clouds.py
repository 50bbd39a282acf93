"""Clouds for tests: facts, wanted objects, and what the steps of a plan make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from b2ct.plan.attributes import Attribute, merge_templates
from b2ct.plan.cloud import REPLACED
from b2ct.plan.cloud_compare import mark_attributes, read_mark
from b2ct.plan.cloud_model import CloudFacts, Existing, Kind, Mark, Verb, Wanted

if TYPE_CHECKING:
    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import CloudPlan, Step

SITE = "torino"
MARK = Mark(SITE, "belle2-worker", "1.0.0")
FILE = "sha256:" + "a" * 64
DATASTORE = Existing(Kind.DATASTORE, 1, "default", "oneadmin", "oneadmin", (), None)


def template(**values: str | tuple[tuple[str, str], ...]) -> Template:
    return tuple(Attribute(name, value) for name, value in values.items())


def image(name: str = "worker-el9-1.0.0", *, checksum: str = FILE, **values: str) -> Wanted:
    return Wanted(Kind.IMAGE, name, template(**values), replace(MARK, checksum=checksum), datastore="default")


def vm(name: str = "worker", **values: str | tuple[tuple[str, str], ...]) -> Wanted:
    return Wanted(Kind.TEMPLATE, name, template(**values), MARK)


def facts(*objects: Existing, user: str = "oneadmin", version: tuple[int, ...] = (7, 4, 0)) -> CloudFacts:
    admin = user == "oneadmin"
    return CloudFacts(version, user, "oneadmin" if admin else "users", admin, (DATASTORE, *objects))


def made(wanted: Wanted, number: int = 7, *, owner: str = "oneadmin", state: str = "") -> Existing:
    """Return the object that making ``wanted`` gives; its mark is sealed already when it comes from a plan."""
    mark = mark_attributes(wanted.mark) if wanted.mark else ()
    attributes = (*wanted.template, *mark)
    owned = wanted.kind not in {Kind.CLUSTER, Kind.GROUP, Kind.USER, Kind.HOST}
    return Existing(
        kind=wanted.kind,
        id=number,
        name=wanted.name,
        owner=owner if owned else "",
        group=wanted.group or ("oneadmin" if owned else ""),
        template=attributes,
        mark=read_mark(attributes),
        permissions=wanted.permissions if wanted.permissions is not None else (0o600 if owned else None),
        state=state or {Kind.IMAGE: "READY", Kind.NETWORK: "READY"}.get(wanted.kind, ""),
        cluster=wanted.cluster or "default",
        quota=wanted.quota,
        may_start=wanted.may_start,
    )


def after(plan: CloudPlan, before: CloudFacts) -> CloudFacts:
    """Return the cloud in which a plan was done."""
    objects = {(item.kind, item.id): item for item in before.objects}
    for number, step in enumerate(plan.changes, 1000):
        if step.existing and (step.verb is Verb.REMOVE or step.verb is Verb.CREATE):
            del objects[step.kind, step.existing.id]
        if step.wanted and step.verb is Verb.CREATE:
            objects[step.kind, number] = made(step.wanted, number, owner=before.user)
        elif step.wanted and step.existing and step.verb is Verb.UPDATE:
            objects[step.kind, step.existing.id] = _updated(step, step.existing, step.wanted)
    return replace(before, objects=tuple(objects.values()))


def _updated(step: Step, existing: Existing, wanted: Wanted) -> Existing:
    fresh = made(wanted, existing.id, owner=existing.owner)
    attributes = fresh.template if step.kind in REPLACED else merge_templates(existing.template, fresh.template)
    return replace(
        fresh,
        template=attributes,
        group=wanted.group or existing.group,
        permissions=wanted.permissions if wanted.permissions is not None else existing.permissions,
        cluster=wanted.cluster or existing.cluster,
        quota=wanted.quota or existing.quota,
    )
