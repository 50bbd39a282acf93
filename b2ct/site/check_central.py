"""Checks of pilots, and of the central scheduler that they ask for work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.errors import Severity
from b2ct.site.central import DiracScheduler, DiracxScheduler, HtcondorScheduler, names_credentials
from b2ct.site.findings import Finding
from b2ct.site.pilot import CommandPilot, DiracPilot, HtcondorPilot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.site.cloud import Community
    from b2ct.site.model import Site
    from b2ct.site.yaml import Loc

SHELL_CHARACTERS = '"$`\\'
"""one-context writes values of the context between double quotes and has a shell read them."""


def check_central(site: Site) -> Iterator[Finding]:
    """Return what is wrong with pilots and the central scheduler."""
    for i, community in enumerate(site.vo):
        yield from _check_pilot(site, community, ("vo", i, "pilot"))
    match site.central:
        case DiracScheduler() as dirac:
            yield from _check_dirac(site, dirac)
        case DiracxScheduler() | HtcondorScheduler() as central:
            yield from _check_token(central)
    if site.opennebula.onegate is False and names_credentials(site.central):
        message = "without OneGate, virtual machines do not get the credentials that central names by themselves"
        hint = "onegate: true, or bring them with b2ct contextualize"
        yield Finding(("opennebula", "onegate"), message, hint, Severity.WARNING)


def _check_token(central: DiracxScheduler | HtcondorScheduler) -> Iterator[Finding]:
    """Return whether the token is where new ones can be put."""
    if central.token is None or central.token.startswith("file:"):
        return
    if isinstance(central, DiracxScheduler):
        message = "DiracX replaces most tokens whenever they are used, and the new one has to go into a file"
    else:
        message = "b2ct register puts the pool's tokens into a file, and refuses any other place"
    yield Finding(("central", "token"), message, "token: file:PATH", Severity.WARNING)


def _check_pilot(site: Site, community: Community, loc: Loc) -> Iterator[Finding]:
    for key, text in pilot_words(community).items():
        if set(text) & set(SHELL_CHARACTERS):
            message = f"none of {' '.join(SHELL_CHARACTERS)} can be in it: one-context hands it to a shell"
            where = (*loc, key) if key else loc
            yield Finding(where, message, "call a script, on CVMFS or in user-data")
    pilot, central = community.pilot, site.central
    if isinstance(pilot, DiracPilot):
        if not isinstance(central, DiracScheduler):
            yield Finding((*loc, "kind"), "DIRAC's pilot needs DIRAC", "central: {kind: dirac, ...}")
        if pilot.script.startswith("https:") and pilot.sha256 is None:
            yield Finding((*loc, "script"), "what comes from a URL has to have a checksum", "sha256: HEX")
    elif isinstance(pilot, HtcondorPilot) and not isinstance(central, HtcondorScheduler):
        yield Finding((*loc, "kind"), "HTCondor's daemons need a pool", "central: {kind: htcondor, ...}")


def pilot_words(community: Community) -> dict[str, str]:
    """Return the texts of a community's pilot that reach a shell, by key; the empty key when there is one text only."""
    pilot = community.pilot
    match pilot:
        case str():
            found: dict[str, str | None] = {"": pilot}
        case CommandPilot():
            found = {"run": pilot.run, "drain": pilot.drain, "payloads": pilot.payloads}
        case DiracPilot():
            found = {"options": pilot.options}
        case _:
            found = {}
    return {key: text for key, text in found.items() if text}


def _check_dirac(site: Site, dirac: DiracScheduler) -> Iterator[Finding]:
    if dirac.version == "8" and dirac.setup is None:
        yield Finding(("central",), "DIRAC 8 has a setup, and its name is missing", "setup: Dirac-Production")
    if dirac.version != "8" and dirac.setup is not None:
        yield Finding(("central", "setup"), f"DIRAC {dirac.version} has no setups", "leave it out")
    if dirac.version != "8" and dirac.vm_manager is not None:
        message = f"DIRAC {dirac.version} has no VirtualMachineManager"
        yield Finding(("central", "vm_manager"), message, "leave it out")
    if (dirac.certificate is None) != (dirac.key is None):
        yield Finding(("central",), "certificate and key belong together", "give both, or none")
    served = {vm.vo for vm in site.vms}
    for i, community in enumerate(site.vo):
        if dirac.cloud and community.name in served and community.user is None:
            message = f"DIRAC starts virtual machines for {community.name} as a user of OpenNebula, and none is named"
            yield Finding(("vo", i), message, "user: NAME and password: file:PATH", Severity.WARNING)
