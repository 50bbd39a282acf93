"""What a pool's central manager needs so that a site's virtual machines can join, and claim no more than is theirs."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from b2ct.render.quoting import UNPRINTABLE, Quoted, QuotingError

if TYPE_CHECKING:
    from collections.abc import Sequence

AUTHORIZATIONS = ("ADVERTISE_STARTD", "ADVERTISE_MASTER", "READ")
"""All that a virtual machine may do: offer itself, and look at the pool (HTCondor manual, "Security")."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Nothing in a list of identities gives these a meaning; ``*``, ``/``, blanks and commas would have one."""

_HEAD = """\
# For the central manager of the pool {domain}: /etc/condor/config.d/60-b2ct-{site}.config, then condor_reconfig.
# Virtual machines of {site} may offer themselves. The collector takes what they are from the token
# (AuthenticatedIdentity) and refuses those that claim another VO or site. The negotiator wants plain words:
# an expression could be one thing for the collector and another for a job.
"""


def condor_quote(value: str) -> Quoted:
    r"""Return ``value`` as a ClassAd string in HTCondor's configuration: only ``\"`` is an escape in it (old syntax).

    Raises:
        QuotingError: the value holds a control character, or two dollars in a row.
    """
    if UNPRINTABLE.search(value) or "$$" in value:
        raise QuotingError(
            f"{value!r}: HTCondor's configuration cannot hold control characters, or two dollars in a row"
        )
    return Quoted('"' + value.replace('"', '\\"').replace("$", "$(DOLLAR)") + '"')


def pool_identity(vo: str, site: str, domain: str) -> str:
    """Return who a VO's virtual machines of a site are for a pool whose ``TRUST_DOMAIN`` is ``domain``.

    Raises:
        QuotingError: a name holds anything but letters, digits, ``.``, ``_`` and ``-``.
    """
    for name in (vo, site, domain):
        if not _NAME.fullmatch(name):
            raise QuotingError(f"{name!r}: only letters, digits, dots, _ and - can stand in an identity of HTCondor")
    return f"vm-{vo}-{site}@{domain}"


def render_pool_config(site: str, vos: Sequence[str], domain: str) -> str:
    """Return the configuration of the pool's central manager; those of several sites stand beside each other.

    Raises:
        QuotingError: a name cannot be part of an identity.
    """
    identities = {vo: pool_identity(vo, site, domain) for vo in vos}
    lines = [_HEAD.format(site=site, domain=domain)]
    for level in ("ADVERTISE_STARTD", "ADVERTISE_MASTER"):
        words = " ".join(identities.values())
        lines.append(f"ALLOW_{level} = $(ALLOW_{level}:$(ALLOW_DAEMON)) {words}\n")
    for vo, identity in identities.items():
        lines.append(
            _rule("COLLECTOR_REQUIREMENTS", identity, f"VO =?= {condor_quote(vo)}", f"VMSite =?= {condor_quote(site)}")
        )
    for vo, identity in identities.items():
        lines.append(
            _rule(
                "NEGOTIATOR_SLOT_CONSTRAINT",
                identity,
                f"unparse(VO) =?= {_unparsed(vo)}",
                f"unparse(VMSite) =?= {_unparsed(site)}",
            )
        )
    return "".join(lines)


def _rule(knob: str, identity: str, *terms: str) -> str:
    """Return a line that adds to what ``knob`` is: ``terms`` hold for every ad of this identity."""
    rule = f"AuthenticatedIdentity =!= {condor_quote(identity)} || {' && '.join(terms)}"
    return f"{knob} = ($({knob}:True)) && \\\n  ({rule})\n"


def _unparsed(name: str) -> Quoted:
    """Return the string that ``unparse`` makes of an attribute that is the string ``name``."""
    return condor_quote(f'"{name}"')


def render_token_command(identity: str, lifetime_s: int) -> str:
    """Return the command for the central manager that prints a token, which may advertise and nothing else."""
    levels = [word for level in AUTHORIZATIONS for word in ("-authz", level)]
    return shlex.join(["condor_token_create", "-identity", identity, "-lifetime", str(lifetime_s), *levels])


def render_job_requirements(vo: str, flavour: str = "") -> str:
    """Return the line of a submit file for jobs that run on a VO's virtual machines, of one flavour if it is given.

    Raises:
        QuotingError: a name cannot be quoted.
    """
    names = {"VO": vo, "VMType": flavour}
    terms = [f"TARGET.{name} =?= {condor_quote(value)}" for name, value in names.items() if value]
    return f"requirements = {' && '.join(terms)}\n"
