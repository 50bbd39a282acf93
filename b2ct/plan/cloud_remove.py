"""Decides which of a site's objects can be removed from a cloud, and who stands in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.cloud_model import Kind, Step, Verb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import CloudFacts, Existing

TRUSTED = "oneadmin"
"""The owner whose marked objects every administrator may remove."""

NAMED_BY = {Kind.IMAGE: ("DISK", "IMAGE"), Kind.NETWORK: ("NIC", "NETWORK")}
"""How a VM template names images and networks: by ``IMAGE_ID``, or ``IMAGE`` and ``IMAGE_UNAME``."""


def plan_removals(
    remove: Sequence[Existing], facts: CloudFacts, steps: Sequence[Step], sites: set[str]
) -> tuple[Step, ...]:
    """Return a step for each object of ``remove``: what was made last goes first.

    ``steps`` are those that come before; ``sites`` are the marks' sites whose objects may be removed.
    """
    order = {kind: place for place, kind in enumerate(Kind)}
    gone: set[tuple[Kind, int]] = set()
    planned: list[Step] = []
    for item in sorted(remove, key=lambda item: -order[item.kind]):
        reason = next(_objections(item, facts, steps, sites, gone), "")
        if not reason:
            gone.add((item.kind, item.id))
        verb = Verb.REFUSE if reason else Verb.REMOVE
        planned.append(Step(verb, item.kind, item.name, reason, None, item))
    return tuple(planned)


def _objections(
    item: Existing, facts: CloudFacts, steps: Sequence[Step], sites: set[str], gone: set[tuple[Kind, int]]
) -> Iterator[str]:
    """Give what speaks against removing an object, and what to do about it."""
    if item.mark is None or item.mark.site not in sites:
        yield "B2CT did not make it for this site, so it stays"
    trusted = {facts.user, TRUSTED} if facts.admin else {facts.user}
    if item.owner and item.owner not in trusted:
        yield f"it belongs to {item.owner}, who has to remove it"
    kept = (step.existing for step in steps if step.existing and step.verb is not Verb.REFUSE)
    if any((one.kind, one.id) == (item.kind, item.id) for one in kept):
        yield "the site still wants it: take it out of the site file first"
    if item.uses:
        what = {Kind.NETWORK: "lease", Kind.GROUP: "user", Kind.CLUSTER: "member"}.get(item.kind, "virtual machine")
        yield f"it is in use by {item.uses} {what}{'s' if item.uses > 1 else ''}: remove them first"
    names = [name for name, owner, template in _templates(facts, steps, gone) if _uses(template, owner, item)]
    if names:
        yield f"these VM templates use it: {', '.join(sorted(names))}: remove or change them first"


def _templates(
    facts: CloudFacts, steps: Sequence[Step], gone: set[tuple[Kind, int]]
) -> Iterator[tuple[str, str, Template]]:
    """Give (name, owner, attributes) of the VM templates that will be there."""
    changed = set()
    for step in steps:
        if step.kind is Kind.TEMPLATE and step.wanted and step.verb in {Verb.CREATE, Verb.UPDATE}:
            yield step.name, step.existing.owner if step.existing else facts.user, step.wanted.template
            if step.existing:
                changed.add(step.existing.id)
    for item in facts.objects:
        if item.kind is Kind.TEMPLATE and item.id not in changed and (item.kind, item.id) not in gone:
            yield item.name, item.owner, item.template


def _uses(template: Template, owner: str, item: Existing) -> bool:
    if item.kind not in NAMED_BY:
        return False
    attribute, key = NAMED_BY[item.kind]
    for part in template:
        if part.name != attribute or isinstance(part.value, str):
            continue
        keys = dict(part.value)
        by_name = keys.get(key) == item.name and keys.get(f"{key}_UNAME", owner) == item.owner
        if keys.get(f"{key}_ID") == str(item.id) or by_name:
            return True
    return False
