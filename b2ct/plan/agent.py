"""Decides the VM agent's settings for a community's workers: pilots, central scheduler, when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.site.central import DiracScheduler, DiracxScheduler, HtcondorScheduler, names_credentials
from b2ct.site.host import ASK
from b2ct.site.pilot import CommandPilot, DiracPilot, HtcondorPilot, Stop
from b2ct.site.types import Role

if TYPE_CHECKING:
    from b2ct.site.cloud import Community
    from b2ct.site.model import Site

DEFAULTS = {
    "pilot_kind": "command",
    "pilots": "node",
    "pilot_again_s": "0",
    "pilot_isolation": "auto",
    "stop_no_jobs_s": "600",
    "stop_no_cpu_s": "0",
    "stop_fizzle_s": "1800",
    "stop_silent_s": "86400",
    "stop_unready_s": "3600",
    "max_lifetime_s": "1209600",
    "grace_s": "3600",
    "ca_path": "/etc/grid-security/certificates",
    "credentials": "file",
}
"""The agent's own defaults (``vmagent/b2ct_vmagent/settings.py``), which nobody has to tell it."""


def agent_options(site: Site, community: Community, queue: str = "", *, onegate: bool = False) -> dict[str, str]:
    """Return the options of agent.conf that a community's workers need, but those whose defaults are right.

    ``queue`` is the VM template's name, which is the queue's name in DIRAC too. None of the values is a secret: what
    the site file names as such is asked for over OneGate, where the machine has it (``b2ct credentials`` answers).
    """
    options = {
        **_pilot_options(community),
        **_central_options(site, community, queue),
        **_stop_options(community),
        "credentials": "onegate" if onegate and names_credentials(site.central) else "file",
    }
    return {name: text for name, text in options.items() if text and text != DEFAULTS.get(name)}


def ce_name(site: Site, dirac: DiracScheduler, vo: str) -> str:
    """Return the name of a community's computing element in DIRAC: ``belle.cn01.to.infn.it``.

    Each community has its own, because DIRAC keeps one user and password of OpenNebula for each computing element
    (DIRAC, CloudComputingElement, ``_getDriverAuth``).
    """
    front_ends = [host.name for host in site.hosts if host.role is Role.FRONTEND and host.name != ASK]
    return f"{vo}.{dirac.ce or f'{next(iter(front_ends), site.site)}.{site.domain}'}"


def _pilot_options(community: Community) -> dict[str, str]:
    pilot = community.pilot
    match pilot:
        case None:
            return {}
        case str():
            return {"pilot": pilot}
        case HtcondorPilot():
            return {"pilot_kind": pilot.kind}
        case CommandPilot():
            own = {"pilot": pilot.run, "pilot_drain": pilot.drain, "payload_pattern": pilot.payloads}
        case DiracPilot():
            own = {
                "dirac_pilot": pilot.script,
                "dirac_pilot_sha256": pilot.sha256,
                "dirac_options": pilot.options,
                "dirac_version": pilot.release,
            }
    return {
        "pilot_kind": pilot.kind,
        "pilots": str(pilot.per),
        "pilot_again_s": str(pilot.again_s),
        "pilot_isolation": pilot.isolation.value,
        **{name: text or "" for name, text in own.items()},
    }


def _central_options(site: Site, community: Community, queue: str) -> dict[str, str]:
    central = site.central
    match central:
        case DiracScheduler():
            return {
                "dirac_servers": ",".join(central.configuration_servers),
                "dirac_setup": central.setup or "",
                "dirac_site": central.site_name,
                "dirac_ce": ce_name(site, central, community.name),
                "dirac_queue": queue,
                "dirac_manager": central.vm_manager or "",
                "ca_path": central.ca_path,
            }
        case DiracxScheduler():
            return {"diracx_url": central.url, "dirac_site": central.site_name}
        case HtcondorScheduler():
            return {
                "condor_collector": f"{central.central_manager}:{central.port}",
                "condor_domain": trust_domain(central),
            }
        case None:
            return {}


def trust_domain(central: HtcondorScheduler) -> str:
    """Return the pool's TRUST_DOMAIN."""
    return central.trust_domain or central.central_manager


def _stop_options(community: Community) -> dict[str, str]:
    stop = community.stop
    if not isinstance(stop, Stop):
        return {"stop": stop}
    seconds = {
        "stop_no_jobs_s": stop.no_jobs_s,
        "stop_no_cpu_s": stop.no_cpu_s,
        "stop_fizzle_s": stop.fizzle_s,
        "stop_silent_s": stop.silent_s,
        "stop_unready_s": stop.unready_s,
        "max_lifetime_s": stop.lifetime_s,
        "grace_s": stop.grace_s,
    }
    return {name: str(value) for name, value in seconds.items()}
