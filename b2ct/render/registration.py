"""What a site sends to the admins of DIRAC: a piece of configuration, and a checklist of what it takes besides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from diraccfg import CFG

from b2ct.plan.artifact import Artifact
from b2ct.plan.registration_merge import merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.plan.registration import Queue, Registration


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
        f"For DIRAC {dirac.version}. Items are for the admins of DIRAC where nothing else is said; those that begin\n"
        f"with **The site** are for the admins of {md_code(registration.site)}. What is missing,\n"
        f"`b2ct register SITE --check` tells them.\n"
    )
    parts = [_configuration, _cloud if dirac.cloud else _no_cloud, _certificate, _pilots, _mask]
    sections = [f"## {number}. {_text(part(registration))}" for number, part in enumerate(parts, 1)]
    return "\n".join((head, intro, *sections))


def _text(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _configuration(registration: Registration) -> Iterator[str]:
    file = f"{registration.site}.cfg"
    yield "Configuration\n"
    yield f"- [ ] Merge {md_code(file)} into DIRAC's configuration, as a member of a group with `CSAdministrator`:\n"
    yield "  ```"
    yield "  $ dirac-configuration-cli"
    yield f"  mergeFromFile {file}"
    yield "  showDiffWithServer"
    yield "  writeToServer"
    yield "  ```\n"
    yield "  What is in the file takes the place of what is there, so look at the difference before the last step: a"
    yield "  host that is there already keeps its other `Properties`. Or give the site a certificate with"
    yield "  `CSAdministrator`: `b2ct register SITE --push` takes care of that. The sections:\n"
    for section in registration.sections:
        kept = " (only where nothing is set yet)" if section.defaults else ""
        yield f"  - {md_code('/' + '/'.join(section.path))}{kept}"
    yield "- The comments `b2ct register ...` say what is the site's own; `--remove` goes by them. Keep them."
    yield "- A queue is a VM template of OpenNebula, with the cores and memory that one pilot has. `maxCPUTime` is the"
    yield "  machine's lifetime in minutes, at most 12.5 days. `SI00` is the power of a core in SpecInt2000: 2500 is"
    yield "  10 HS06, an ordinary core, and what was measured is better. DIRAC makes the longest job of the two:"
    yield "  `maxCPUTime * 60 * SI00 / 250` HS06 seconds."
    if any(section.defaults for section in registration.sections):
        yield "- `/Operations/.../Cloud/VO` are times in seconds for machines whose `RunningPod` is that VO, as those"
        yield "  of this site report to VirtualMachineManager. Only DIRAC's own agent in a virtual machine goes by"
        yield "  them; when the machines of this site report and halt, the site decides."
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
    yield "- [ ] **The site**: these passwords are handed over in a safe way."
    yield "- [ ] **The site**: these users see no VM template with a fraction in `CPU`; DIRAC's driver ends at it."
    yield "- [ ] **The site**: remove machines `VMDIRAC3_*` that are powered off or too old. DIRAC cannot."
    yield "- [ ] **The site**: images hold cloud-init, Python 3 and CVMFS. DIRAC's CONTEXT takes the place of the"
    yield "  template's, so that `USERDATA` and `NETWORK` are all that reaches the machine."
    for element in registration.elements:
        if element.most_vms is None:
            yield f"- [ ] {md_code(element.name)}: the site sets no quota, and DIRAC's default of `MaxTotalJobs` is 1."


def _no_cloud(_registration: Registration) -> Iterator[str]:
    yield "Virtual machines\n"
    yield "- The site starts them itself: no SiteDirector has to. DIRAC starts nothing for `CEType = Vac`; pilots in"
    yield "  the machines ask for work by themselves."


def _certificate(registration: Registration) -> Iterator[str]:
    yield "The virtual machines' certificate\n"
    if registration.host is None:
        yield "- [ ] **The site**: no host entry is in the file, for the site file names no certificate"
        yield "  (`central.certificate`)."
        if registration.dirac.cloud is None:
            yield "  Without one, DIRAC gives no work to the site's machines."
        return
    name, certificate = registration.host
    yield f"- [ ] {md_code(certificate.dn)} is the site's, and may do what {md_code('/Registry/Hosts/' + name)} says."
    yield f"- [ ] Its CA, {md_code(certificate.issuer)}, is among those that DIRAC's hosts trust."
    yield f"- [ ] **The site**: it ends on {certificate.expires:%Y-%m-%d}; there is another one before. With the same"
    yield "  name, nothing changes in DIRAC; with another, register again."
    yield "- All machines of the site act as this one certificate; who gets into one can do what it may."


def _pilots(registration: Registration) -> Iterator[str]:
    yield "Pilots\n"
    for element in registration.elements:
        yield f"- [ ] {md_code(element.vo)}: `GenericPilotGroup` and `GenericPilotDN` (or `GenericPilotUser`) are set"
        yield "  for it under `/Operations/.../Pilot`, and `Version` there is what its queues are to run:"
        for queue in element.queues:
            yield f"  - {md_code(queue.name)}: {_size(queue)}"
    if registration.dirac.version == "9":
        yield "- [ ] `addPilotReferences` and `setPilotStatus` of PilotManager are open to `GenericPilot`, for pilots"
        yield "  that DIRAC has not started register themselves with the rights of the machines' certificate. DIRAC's"
        yield "  defaults open the first to `Operator` alone. In"
        yield "  `/Systems/WorkloadManagement/Services/PilotManager/Authorization`:\n"
        yield "  ```"
        yield "  addPilotReferences = Operator, GenericPilot"
        yield "  setPilotStatus = Operator, Pilot, GenericPilot"
        yield "  ```"
    if registration.dirac.vm_manager:
        yield f"- [ ] {md_code(registration.dirac.vm_manager)} can be reached from the virtual machines."


def _size(queue: Queue) -> str:
    """Return how big a virtual machine is, and how its pilots share it."""
    size = f"{_count(queue.cores, 'core')}, {queue.memory_mib} MiB" if queue.cores else "a whole node"
    if queue.pilots == 1 or queue.cores == 1:
        return size
    share = _count(queue.processors, "core") if queue.processors else "its share"
    return f"{size}; each of its {queue.pilots or queue.cores or ''} pilots has {share}".replace("  ", " ")


def _count(number: int | None, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _mask(registration: Registration) -> Iterator[str]:
    name = registration.dirac.site_name
    yield "The site mask\n"
    yield f"- [ ] When all of this is done, an Operator of DIRAC: {md_code(f'dirac-admin-allow-site {name} ready')}"
