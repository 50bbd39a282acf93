"""Decides which virtual machines of a site get an answer to their request for credentials, and which do not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.plan.attributes import first_text
from b2ct.plan.bundle import Kind as BundleKind
from b2ct.plan.cloud import ADMIN
from b2ct.plan.cloud_model import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import CloudFacts
    from b2ct.site.model import Site

REQUEST = "B2CT_REQUEST"
"""Attribute by which a virtual machine asks: base64 of its certificate request (PKCS#10, DER)."""

ANSWER = "B2CT_ANSWER"
"""Attribute that holds the answer: base64 of a JSON document (``b2ct.apply.credentials.answer``)."""

NEW_KEY_PAUSE_S = 600
"""A machine that asks with another key than before waits until its last answer is so old."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A VM template of the site's own workers."""

    name: str
    vo: str
    group: str
    """The OpenNebula group whose users may start it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the last answer says of itself, in the open."""

    key: str
    """SHA-256 of the public key that it is for (SubjectPublicKeyInfo, DER), hexadecimal."""
    source: str
    """Tells apart the lasting credentials that it was made from."""
    issued_s: int
    renew_s: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine that runs."""

    id: int
    name: str
    owner: str
    group: str
    template_id: int | None
    context: Template = ()
    """Its CONTEXT, as one vector attribute."""
    key: str = ""
    """SHA-256 of the public key that it asks for, hexadecimal; empty when it did not ask, or not rightly."""
    problem: str = ""
    """What is wrong with its request."""
    answered: Answered | None = None
    """Its last answer, None without one that can be read."""


class Act(StrEnum):
    """What happens to a machine."""

    ANSWER = "answer"
    KEEP = "keep"
    """Its answer still holds."""
    WAIT = "wait"
    """Nothing can be done yet."""
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """One machine, what happens to it, and why."""

    act: Act
    machine: Machine
    vo: str
    reason: str


def find_workers(site: Site, facts: CloudFacts) -> dict[int, Worker]:
    """Return the site's own worker templates by number.

    The mark alone proves nothing, for users can write what they like into their own templates: oneadmin's count, and
    those of the user that the site file acts as.
    """
    return {
        item.id: Worker(item.name, first_text(item.template, "CONTEXT", "B2CT_VO") or "", item.group)
        for item in facts.objects
        if item.kind is Kind.TEMPLATE
        and item.mark is not None
        and item.mark.site == site.site
        and item.owner in {ADMIN, facts.user}
        and first_text(item.template, "CONTEXT", "B2CT_KIND") == BundleKind.WORKER.value
    }


@dataclass(frozen=True, slots=True)
class Policy:
    """What decisions depend on besides a machine."""

    site: str
    vos: frozenset[str]
    workers: Mapping[int, Worker]
    templates: frozenset[int]
    """Numbers of all VM templates that are there."""
    trusted: frozenset[str]
    """Users whose machines count whatever their group: oneadmin, and whom the site file acts as."""
    sources: Mapping[str, str]
    """What tells apart the lasting credentials that answers are made from now, by VO; VOs without any are left out."""


def make_decisions(machines: Sequence[Machine], policy: Policy, now_s: int) -> tuple[Decision, ...]:
    """Return what happens to each machine that is a worker of the site, or that asks as if it were, by number."""
    keys = Counter(machine.key for machine in machines if machine.key)
    return tuple(_decide_all(sorted(machines, key=lambda machine: machine.id), policy, keys, now_s))


def _decide_all(machines: Sequence[Machine], policy: Policy, keys: Mapping[str, int], now_s: int) -> Iterator[Decision]:
    for machine in machines:
        worker = _find_worker(machine, policy)
        if worker is None:
            if machine.key or machine.problem:
                yield Decision(Act.REFUSE, machine, "", "it asks, and was not made from a worker template of this site")
            continue
        act, reason = _decide(machine, worker, policy, keys, now_s)
        shown = replace(machine, answered=None) if act is Act.ANSWER else machine
        yield Decision(act, shown, worker.vo, reason)


def _find_worker(machine: Machine, policy: Policy) -> Worker | None:
    """Return the worker template that a machine was made from.

    When a template is removed, the machines that run from it still have their context, which their owner chose: what
    keeps strangers out then is their group, as always.
    """
    if machine.template_id in policy.templates:
        return policy.workers.get(machine.template_id or 0)
    site, kind, vo = (first_text(machine.context, "CONTEXT", f"B2CT_{name}") or "" for name in ("SITE", "KIND", "VO"))
    if site == policy.site and kind == BundleKind.WORKER.value and vo in policy.vos:
        return Worker("", vo, vo)
    return None


def _decide(  # noqa: PLR0911 - the order of the reasons is the policy
    machine: Machine, worker: Worker, policy: Policy, keys: Mapping[str, int], now_s: int
) -> tuple[Act, str]:
    refusal = _refusal(machine, worker, policy, keys)
    if refusal:
        return Act.REFUSE, refusal
    if not machine.key:
        return Act.WAIT, "it has not asked yet"
    answered = machine.answered
    if answered is None or answered.issued_s > now_s:
        return Act.ANSWER, "it asks for the first time"
    if answered.key != machine.key:
        if now_s < answered.issued_s + NEW_KEY_PAUSE_S:
            return Act.WAIT, f"it has another key than before: answered after {NEW_KEY_PAUSE_S // 60} minutes"
        return Act.ANSWER, "it asks with a new key"
    if answered.source != policy.sources[worker.vo]:
        return Act.ANSWER, "the site's credentials were changed"
    if now_s >= answered.renew_s:
        return Act.ANSWER, "half of the time is over" if now_s < answered.expires_s else "what it had has expired"
    return Act.KEEP, "what it has still holds"


def _refusal(machine: Machine, worker: Worker, policy: Policy, keys: Mapping[str, int]) -> str:
    """Return why a machine gets nothing; empty when it may."""
    if machine.owner not in policy.trusted and machine.group != worker.group:
        return f"it belongs to the group {machine.group}, its template to {worker.group}"
    if worker.vo not in policy.sources:
        return f"the site has no credentials for {worker.vo or 'a worker without a VO'}, or they have expired"
    if keys.get(machine.key, 0) > 1:
        return "another machine asks with the same key: one is a copy of the other's disk"
    return machine.problem
