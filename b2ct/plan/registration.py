"""Decides what DIRAC's configuration has to say about a site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.plan.agent import ce_name
from b2ct.plan.bundle import Kind
from b2ct.plan.publication import choose_bundle, flavours, template_name
from b2ct.site.cloud import WHOLE_NODE
from b2ct.site.findings import Finding
from b2ct.site.pilot import CommandPilot, DiracPilot, Stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from b2ct.plan.bundle import Bundle
    from b2ct.plan.dirac_cfg import Path
    from b2ct.site.central import DiracScheduler
    from b2ct.site.cloud import Community, Vm
    from b2ct.site.model import Site

MIB = 1024**2

CLOUD_TYPE = "DIRAC.Resources.Computing.CloudProviders.OpenNebula.OpenNebula_6_0_NodeDriver"
"""DIRAC's driver for OpenNebula 6 and later (DIRAC 8.0.86 and 9.1.22, Resources/Computing/CloudProviders)."""

NOT_STARTED = "Vac"
"""CEType of what DIRAC starts no pilots on, because the site does; no class of DIRAC has that name."""

SI00 = "2500"
"""SpecInt2000 of a core, by which DIRAC turns minutes into work (computeQueueCPULimit): 10 HS06, an ordinary core."""

LONGEST_QUEUE_MIN = 18_000
"""Longest queue that DIRAC believes, 12.5 days (computeQueueCPULimit)."""

HOST_PROPERTIES = {"8": "VmRpcOperation, GenericPilot, LimitedDelegation", "9": "GenericPilot, LimitedDelegation"}
"""What the virtual machines' certificate may do: report to VirtualMachineManager, ask for jobs, fetch their proxies."""

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Section:
    """One section and the options that it has to have."""

    path: Path
    options: tuple[tuple[str, str], ...]
    defaults: bool = False
    """These are only for where nothing is said yet: an option that has a value keeps it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One VM template, as DIRAC sees it."""

    name: str
    """That of the VM template."""
    image: str
    cores: int | None
    """None: a whole node, whose cores only the virtual machine itself knows."""
    memory_mib: int | None
    pilots: int | None = 1
    """Pilots in one virtual machine, which share it evenly; None: one for each core."""

    @property
    def processors(self) -> int | None:
        """What one pilot has (``vmagent/b2ct_vmagent/pilots.py``); None: only the virtual machine itself knows."""
        if self.pilots is None:
            return 1
        return max(1, self.cores // self.pilots) if self.cores else None

    @property
    def pilot_memory_mib(self) -> int | None:
        """What one pilot has; None: only the virtual machine itself knows."""
        return self.memory_mib // (self.pilots or self.cores or 1) if self.memory_mib else None

    @property
    def tags(self) -> tuple[str, ...]:
        """What jobs one pilot can take besides those of one core."""
        if self.processors == 1:
            return ()
        return ("MultiProcessor",) if self.cores or self.pilots != 1 else ("WholeNode", "MultiProcessor")


@dataclass(frozen=True, slots=True)
class ComputingElement:
    """What one community can use."""

    name: str
    vo: str
    user: str | None
    """User of OpenNebula that DIRAC acts as."""
    queues: tuple[Queue, ...]
    most_vms: int | None
    """The community's quota of virtual machines; None: it has none."""


@dataclass(frozen=True, slots=True)
class MachineCertificate:
    """The certificate that the virtual machines show; names are in DIRAC's form, ``/O=Grid/CN=host``."""

    dn: str
    issuer: str
    expires: date


@dataclass(frozen=True, slots=True)
class Registration:
    """Everything that DIRAC has to know, and what its admins have to do besides."""

    site: str
    """The site file's ``site``."""
    dirac: DiracScheduler
    elements: tuple[ComputingElement, ...]
    host: tuple[str, MachineCertificate] | None
    """The virtual machines' certificate, and what the Registry calls it; None: it is not known."""
    sections: tuple[Section, ...]


def make_registration(
    site: Site, dirac: DiracScheduler, bundles: Sequence[Bundle], certificate: MachineCertificate | None
) -> tuple[Registration, tuple[Finding, ...]]:
    """Return what has to be registered, and what is wrong with the site's ``vms`` for that."""
    findings: list[Finding] = []
    queues: dict[str, list[Queue]] = {}
    for i, vm in enumerate(site.vms):
        bundle = choose_bundle(bundles, vm.bundle, vm.version)
        images = {image.guest: image for image in bundle.manifest.images} if bundle else {}
        image = images.get(vm.guest or next(iter(images), ""))
        if bundle is None or image is None:
            what = f"{vm.bundle} {vm.version or ''}".strip() if bundle is None else f"{vm.bundle} for {vm.guest}"
            hint = "sources.bundles says where others are"
            findings.append(Finding(("vms", i, "bundle"), f"there is no bundle {what}", hint))
        elif bundle.manifest.kind is Kind.WORKER and vm.vo:
            community = next((one for one in site.vo if one.name == vm.vo), None)
            pilots = _pilots(dirac, community)
            queues.setdefault(vm.vo, []).extend(_queues(vm, image.guest, image.file_name.rsplit(".", 1)[0], pilots))
    elements = tuple(_element(site, dirac, one, queues[one.name]) for one in site.vo if one.name in queues)
    if not elements and not findings:
        message = "no worker of a community is listed, so there is nothing to register"
        findings.append(Finding(("vms",), message, "vms: [{bundle: ..., vo: NAME}]; --remove takes the site out"))
    host = (_host_name(site, certificate.dn), certificate) if certificate else None
    sections = tuple(_sections(site, dirac, elements, host))
    return Registration(site.site, dirac, elements, host, sections), tuple(findings)


def _pilots(dirac: DiracScheduler, community: Community | None) -> int | None:
    """Return how many pilots a virtual machine has, None for one a core; where DIRAC starts it, one of DIRAC's own."""
    pilot = community.pilot if community and dirac.cloud is None else None
    if not isinstance(pilot, CommandPilot | DiracPilot) or pilot.per == "node":
        return 1
    return None if pilot.per == "core" else int(pilot.per)


def _queues(vm: Vm, guest: str, image: str, pilots: int | None) -> Iterator[Queue]:
    for wish, flavour in zip(vm.cores, flavours(vm), strict=True):
        cores = None if wish == WHOLE_NODE else int(wish)
        memory_mib = cores * (vm.memory_per_core // MIB) if cores else None
        yield Queue(template_name(vm, guest, flavour), image, cores, memory_mib, pilots)


def _element(site: Site, dirac: DiracScheduler, community: Community, queues: Iterable[Queue]) -> ComputingElement:
    name = ce_name(site, dirac, community.name)
    return ComputingElement(name, community.name, community.user, tuple(queues), community.limits.vms)


def _host_name(site: Site, dn: str) -> str:
    """Return what the Registry calls the certificate: its common name when that is a host's, else a name of ours."""
    common_name = dn.rpartition("/CN=")[2].removeprefix("host/")
    return common_name if _HOST_NAME.fullmatch(common_name) else f"vm.{site.site}.{site.domain}"


def _sections(
    site: Site,
    dirac: DiracScheduler,
    elements: tuple[ComputingElement, ...],
    host: tuple[str, MachineCertificate] | None,
) -> Iterator[Section]:
    """Return the sections (DIRAC documentation, "Resources", "Registry" and "Operations").

    Computing elements are under ``CEs``, never under ``Cloud``: DIRAC 8's VirtualMachineManager does not start any more
    once a stalled machine's endpoint is an OpenNebula there. ``Instance_Networks`` is left out, which the driver fails
    on: the VM template has the network.
    """
    place = ("Resources", "Sites", dirac.site_name.split(".")[0], dirac.site_name, "CEs")
    for element in elements:
        community = next(one for one in site.vo if one.name == element.vo)
        lifetime_s = community.stop.lifetime_s if isinstance(community.stop, Stop) else 0
        yield Section((*place, element.name), _given(_element_options(dirac, element, lifetime_s)))
        for queue in element.queues:
            options = _queue_options(dirac, element, queue, lifetime_s)
            yield Section((*place, element.name, "Queues", queue.name), _given(options))
    if host:
        properties = ("Properties", HOST_PROPERTIES[dirac.version])
        yield Section(("Registry", "Hosts", host[0]), (("DN", host[1].dn), properties))
    if dirac.vm_manager:
        for element in elements:
            yield Section(("Operations", "Defaults", "Cloud", element.vo), _POD_DEFAULTS, defaults=True)


_POD_DEFAULTS = (
    ("HeartBeatPeriod", "300"),
    ("HaltPeriod", "600"),
    ("HaltBeforeMargin", "300"),
    ("LoadAverageTimespan", "60"),
)
"""What DIRAC's own agent in a virtual machine goes by, seconds (VirtualMachineMonitorAgent's defaults)."""


def _given(options: dict[str, str | int | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in options.items() if value is not None)


def _element_options(dirac: DiracScheduler, element: ComputingElement, lifetime_s: int) -> dict[str, str | int | None]:
    common: dict[str, str | int | None] = {"VO": element.vo, "Architecture": "x86_64", "MaxTotalJobs": element.most_vms}
    if dirac.cloud is None:
        return {"CEType": NOT_STARTED, **common}
    host, _, port = dirac.cloud.removeprefix("https://").removesuffix("/RPC2").partition(":")
    return {
        "CEType": "Cloud",
        "CloudType": CLOUD_TYPE,
        "Driver_host": host,
        "Driver_port": port or "443",
        "Driver_secure": "True",
        "Context_MaxLifetime": lifetime_s or None,
        **common,
    }


def _queue_options(
    dirac: DiracScheduler, element: ComputingElement, queue: Queue, lifetime_s: int
) -> dict[str, str | int | None]:
    names = {"Instance_Image": f"name:{queue.image}", "Instance_Flavor": f"name:{queue.name}"} if dirac.cloud else {}
    return {
        "VO": element.vo,
        "maxCPUTime": min(lifetime_s // 60, LONGEST_QUEUE_MIN) or LONGEST_QUEUE_MIN,
        "SI00": SI00,
        "NumberOfProcessors": queue.processors,
        "MaxRAM": queue.pilot_memory_mib,
        "Tag": ", ".join(queue.tags) or None,
        "LocalCEType": "Pool" if queue.tags else None,
        **names,
    }
