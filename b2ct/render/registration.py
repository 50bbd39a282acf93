"""What a site sends to the admins of DIRAC: a piece of configuration, and a checklist of what it takes besides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diraccfg import CFG

from b2ct.plan.artifact import Artifact
from b2ct.plan.registration_merge import merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.registration import Registration


def render_registration(registration: Registration) -> tuple[Artifact, ...]:
    """Return ``SITE.cfg`` and ``SITE-checklist.md``.

    Raises:
        CfgError: a value cannot be written in DIRAC's configuration.
    """
    name = registration.site
    return (
        Artifact(f"{name}.cfg", render_fragment(registration).encode()),
        Artifact(f"{name}-checklist.md", render_checklist(registration).encode()),
    )


def render_fragment(registration: Registration) -> str:
    """Return the sections and options that DIRAC's configuration has to have, as CFG; it merges into any other.

    Raises:
        CfgError: a value cannot be written.
    """
    return merge(CFG(), registration).text


def md_code(value: str) -> str:
    """Return ``value`` as code on one line of Markdown (CommonMark 0.31, 6.1), whatever it holds."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", value)), default=0) + 1)
    pad = " " if value[:1] == "`" or value[-1:] == "`" else ""
    return f"{ticks}{pad}{value}{pad}{ticks}"


def render_checklist(registration: Registration) -> str:
    """Return what the admins of DIRAC, and those of the site, have to do; Markdown."""
    dirac = registration.dirac
    head = f"# {dirac.site_name}: what it takes to use this site\n"
    intro = (
        f"For the admins of DIRAC {dirac.version}. {md_code(registration.site + '.cfg')} goes into the configuration "
        f"under the same paths; `b2ct register SITE --check` tells the site what is missing.\n"
    )
    parts = [_configuration, _cloud if dirac.cloud else _no_cloud, _certificate, _pilots, _mask]
    sections = [f"## {number}. {_text(part(registration))}" for number, part in enumerate(parts, 1)]
    return "\n".join((head, intro, *sections))


def _text(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _configuration(registration: Registration) -> Iterator[str]:
    yield "Configuration\n"
    yield "- [ ] Merge the file, or give the site a certificate with `CSAdministrator` for `b2ct register SITE --push`."
    for section in registration.sections:
        kept = " (only where nothing is set yet)" if section.defaults else ""
        yield f"  - {md_code('/' + '/'.join(section.path))}{kept}"
    yield "- The comments `b2ct register ...` say what is the site's own; `--remove` goes by them. Keep them."
    yield "- Leave `Instance_Networks` out: DIRAC's driver fails on it. The VM templates have their networks."
    yield (
        "- Put nothing of this site under `Cloud/` with `CEType = OpenNebula`: DIRAC cannot start machines there, and "
        "VirtualMachineManager does not start any more once one of them is stalled."
    )


def _cloud(registration: Registration) -> Iterator[str]:
    yield "OpenNebula, from DIRAC's hosts\n"
    yield f"- [ ] {md_code(registration.dirac.cloud or '')} can be reached from the SiteDirector."
    yield "- [ ] Python there trusts its certificate."
    yield "- [ ] `/opt/dirac/etc/cloud.auth` (only for the user `dirac`, mode 0600) has, for each computing element"
    yield "  (a `%` in a password is written twice):\n"
    yield "  ```ini"
    for element in registration.elements:
        yield f"  [{element.name}]"
        yield f"  key = {element.user or 'THE USER OF OPENNEBULA'}"
        yield "  secret = THE PASSWORD THAT THE SITE HANDS OVER"
    yield "  ```"
    yield "- [ ] For the site: these users see no VM template with a fraction in `CPU`; DIRAC's driver ends at it."
    yield "- [ ] For the site: remove machines `VMDIRAC3_*` that are powered off or too old. DIRAC cannot."
    yield "- [ ] For the site: images hold cloud-init, Python 3 and CVMFS. DIRAC's CONTEXT takes the place of the"
    yield "  template's, so that `USERDATA` and `NETWORK` are all that reaches the machine."
    for element in registration.elements:
        if element.most_vms is None:
            yield f"- [ ] {md_code(element.name)}: the site sets no quota, and DIRAC's default of `MaxTotalJobs` is 1."


def _no_cloud(_registration: Registration) -> Iterator[str]:
    yield "Virtual machines\n"
    yield "- The site starts them itself (`CEType = Vac`): no SiteDirector has to. Pilots ask for work by themselves."


def _certificate(registration: Registration) -> Iterator[str]:
    yield "The virtual machines' certificate\n"
    if registration.host is None:
        yield "- [ ] No host entry is in the file, for the site file names no certificate (`central.certificate`)."
        return
    name, dn = registration.host
    yield f"- [ ] {md_code(dn)} is the site's, and may do what {md_code('/Registry/Hosts/' + name)} says."
    yield "- All machines of the site act as this one certificate; who gets into one can do what it may."
    if registration.dirac.version == "9":
        yield "- [ ] `addPilotReferences` and `setPilotStatus` of PilotManager are open to `GenericPilot`, not only to"
        yield "  `Operator` as in DIRAC's defaults."


def _pilots(registration: Registration) -> Iterator[str]:
    yield "Pilots\n"
    for element in registration.elements:
        yield f"- [ ] {md_code(element.vo)}: `GenericPilotGroup` and `GenericPilotDN` (or `GenericPilotUser`) are set"
        yield "  for it under `/Operations/.../Pilot`, and `Version` there is what its queues are to run:"
        for queue in element.queues:
            cores = "1 core" if queue.cores == 1 else f"{queue.cores} cores"
            size = f"{cores}, {queue.memory_mib} MiB" if queue.cores else "a whole node"
            yield f"  - {md_code(queue.name)}: {size}"
    if registration.dirac.vm_manager:
        yield f"- [ ] {md_code(registration.dirac.vm_manager)} can be reached from the virtual machines."


def _mask(registration: Registration) -> Iterator[str]:
    name = registration.dirac.site_name
    yield "The site mask\n"
    yield f"- [ ] When all of this is done: {md_code(f'dirac-admin-allow-site {name} ready')}"
