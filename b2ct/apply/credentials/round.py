"""One round of answering: looks at all machines of a site, decides, signs, writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from b2ct.apply.credentials.answer import render_answer
from b2ct.apply.credentials.issuers import make_issuer
from b2ct.apply.credentials.machines import read_machines, write_answer
from b2ct.apply.credentials.proxy import now_utc
from b2ct.apply.opennebula.probe import probe_cloud
from b2ct.errors import B2ctError
from b2ct.plan.cloud import ADMIN
from b2ct.plan.cloud_model import Kind
from b2ct.plan.credentials import Act, Answered, Decision, Policy, find_workers, make_decisions

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from b2ct.apply.credentials.answer import Issued
    from b2ct.apply.credentials.issuers import Issuer
    from b2ct.apply.credentials.request import Request
    from b2ct.apply.opennebula.client import OneClient
    from b2ct.plan.credentials import Machine
    from b2ct.site.model import Site


@dataclass(slots=True)
class Answering:
    """Answers a site's machines, round after round.

    ``folder`` is the site file's; ``lifetime`` is that of a proxy, and the longest of any answer.
    """

    site: Site
    folder: Path
    client: OneClient
    lifetime: timedelta
    issuer: Issuer | None = field(default=None)

    def run(self, *, dry_run: bool) -> tuple[Decision, ...]:
        """Answer every machine that is to be answered; return all decisions, a failed answer's with its error.

        Raises:
            UsageError, CertificateError, TokenError, RemoteError: the site's credentials cannot be used.
            OneError, OneLostError: the front-end refused, or could not be reached.
        """
        self.issuer = make_issuer(self.site, self.folder, self.lifetime, self.issuer)
        found = read_machines(self.client)
        requests = {machine.id: request for machine, request in found}
        decisions = make_decisions([machine for machine, _ in found], self._policy(self.issuer), _seconds(now_utc()))
        if dry_run:
            return decisions
        self.issuer.prepare(now_utc())
        return tuple(self._act(decision, requests[decision.machine.id], self.issuer) for decision in decisions)

    def _policy(self, issuer: Issuer) -> Policy:
        facts = probe_cloud(self.client, {Kind.TEMPLATE})
        return Policy(
            site=self.site.site,
            vos=frozenset(community.name for community in self.site.vo),
            workers=find_workers(self.site, facts),
            templates=frozenset(item.id for item in facts.objects if item.kind is Kind.TEMPLATE),
            trusted=frozenset({ADMIN, facts.user}),
            sources=issuer.sources,
        )

    def _act(self, decision: Decision, request: Request | None, issuer: Issuer) -> Decision:
        """Do what was decided; a machine that cannot be answered does not keep others from it."""
        if decision.act is not Act.ANSWER or request is None:
            return decision
        now = now_utc()
        try:
            issued = issuer.issue(decision.vo, request.public_key, now)
            answered = make_answered(issued, decision.machine, issuer.sources[decision.vo], now)
            write_answer(
                self.client,
                decision.machine.id,
                render_answer(issued, answered, request.public_key, decision.machine.id, now),
            )
        except B2ctError as error:
            return replace(decision, act=Act.REFUSE, reason=error.message)
        return replace(decision, machine=replace(decision.machine, answered=answered))


def make_answered(issued: Issued, machine: Machine, source: str, now: datetime) -> Answered:
    """Return what the answer says in the open: it is renewed when half of the time is over."""
    now_s, expires_s = _seconds(now), _seconds(issued.expires)
    return Answered(machine.key, source, now_s, now_s + (expires_s - now_s) // 2, expires_s)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
