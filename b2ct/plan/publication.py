"""Decides what a site's ``vms`` become in OpenNebula: which images, and which VM templates with which values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import Severity
from b2ct.plan.agent import agent_options
from b2ct.plan.bundle import Bundle, BundleImage, Kind
from b2ct.plan.cloud_model import Kind as ObjectKind
from b2ct.site.cloud import WHOLE_NODE, Vm
from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.types import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from ipaddress import IPv4Address

    from b2ct.plan.cloud_model import CloudFacts, Existing
    from b2ct.site.cloud import Community, HugePages, Pinning
    from b2ct.site.host import Host
    from b2ct.site.model import Site
    from b2ct.site.yaml import Loc

MIB = 1024**2

SQUID_PORT = 3128
"""Port of squid (IANA: ndl-aas, squid's default)."""

SQUID_DISK_SHARE = 0.7
"""Part of the disk that the cache may take; the rest is for the system, logs and squid's own overhead."""

NODE_MEMORY_RESERVE_MIB = 2048
"""Memory that a whole-node virtual machine leaves to its node."""

DEFAULT_CLUSTER = "default"
"""Name of cluster 0."""


@dataclass(frozen=True, slots=True)
class VmImage:
    """An image to import."""

    name: str
    """Its name in OpenNebula: file name without suffix, ``worker-el9-1.0.0``."""
    bundle: str
    """Name of the (first) bundle that brings it."""
    entry: BundleImage
    """What the manifest says about it."""
    datastore: str
    """Name of the datastore that it goes into."""


@dataclass(frozen=True, slots=True)
class VmTemplate:
    """A VM template to import, every value decided."""

    name: str
    """Its name in OpenNebula; stays the same in all versions."""
    bundle: str
    version: str
    """Version of the bundle."""
    image: str
    """Name of the image."""
    group: str | None
    """Group that alone may use it; None: that of whoever imports."""
    flavour: str
    """``1core``, ``8core`` or ``whole-node``."""
    cores: int
    memory_mib: int
    scratch_mib: int
    """Size of the scratch disk; 0: none."""
    disk_mib: int
    """Size that the image's disk is grown to; 0: as it is."""
    cpu_model: str
    pinning: Pinning | None
    hugepages: HugePages | None
    network: str
    address: IPv4Address | None
    cluster: str
    cluster_id: int
    """Number of the cluster; 0 as long as a cluster that is to be made has none."""
    security_group_id: int
    ssh_keys: tuple[str, ...]
    onegate: bool
    """Whether the virtual machine gets a token for OneGate and reports when it is ready."""
    context: tuple[tuple[str, str], ...]
    """Variables of the VM agent."""
    files: tuple[tuple[str, str], ...] = ()
    """(path, content) of files in the user-data that this site has its own content for."""


@dataclass(frozen=True, slots=True)
class KeptTemplate:
    """A VM template of an earlier version that the cloud kept, and that becomes the current one again."""

    name: str
    """Its name without the version."""
    existing: Existing
    """The one with the version in its name."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Everything that a site's ``vms`` become."""

    images: tuple[VmImage, ...]
    templates: tuple[VmTemplate, ...]
    bundles: tuple[Bundle, ...]
    """The bundles that they come from."""
    kept: tuple[KeptTemplate, ...] = ()
    """Versions whose bundle is not at hand any more."""

    def bundle(self, name: str, version: str) -> Bundle:
        """Return the bundle that a template comes from; raises StopIteration if there is none."""
        return next(b for b in self.bundles if (b.manifest.name, b.manifest.version) == (name, version))


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers, so that 1.10 comes after 1.9."""
    return tuple(map(int, version.split(".")))


def versioned_name(name: str, version: str) -> str:
    """Return the name of one version of a VM template.

    Without dots: a virtual machine is called like its template unless somebody names it, and guests cut their host
    name at the first dot.
    """
    return f"{name}-v{version.replace('.', '-')}"


def choose_bundle(bundles: Sequence[Bundle], name: str, version: str | None = None) -> Bundle | None:
    """Return the bundle of that name and version (None: the newest); None if there is none."""
    found = [b for b in bundles if b.manifest.name == name and version in {None, b.manifest.version}]
    return max(found, key=lambda bundle: version_key(bundle.manifest.version), default=None)


def make_publication(
    site: Site, bundles: Sequence[Bundle], facts: CloudFacts | None, *, onegate: bool
) -> tuple[Publication, tuple[Finding, ...]]:
    """Return what the site's ``vms`` become, and what is wrong with them.

    ``facts`` are those of the cloud, None when it is not asked; then a flavour that depends on it is a finding.
    """
    planner = _Planner(site, bundles, facts, onegate)
    images: dict[str, VmImage] = {}
    templates: dict[str, VmTemplate] = {}
    used: dict[tuple[str, str], Bundle] = {}
    findings: list[Finding] = []
    kept: list[KeptTemplate] = []
    names: list[tuple[Loc, str]] = []
    for i, vm in enumerate(site.vms):
        loc: Loc = ("vms", i)
        earlier = planner.kept_templates(vm)
        if earlier:
            kept += earlier
            continue
        bundle, entry, problems = planner.choose(vm, loc)
        findings += problems
        if bundle is None or entry is None:
            continue
        used[bundle.manifest.name, bundle.manifest.version] = bundle
        name = entry.file_name.rsplit(".", 1)[0]
        images.setdefault(name, VmImage(name, bundle.manifest.name, entry, site.opennebula.image_datastore))
        made, problems = planner.templates(vm, bundle, entry, loc)
        findings += problems
        templates.update((template.name, template) for template in made)
        names += [(loc, template.name) for template in made]
    findings += find_duplicates("the VM template", names)
    publication = Publication(tuple(images.values()), tuple(templates.values()), tuple(used.values()), tuple(kept))
    return publication, tuple(findings)


def check_bundles(site: Site, bundles: Sequence[Bundle]) -> Iterator[Finding]:
    """Return what is wrong with the site's ``vms``, as far as it can be told without asking the cloud.

    Only a warning is a version that is not at hand, since the cloud may still have it, and a bundle, since
    ``import-templates --from`` may name where it is.
    """
    planner = _Planner(site, bundles, None, onegate=False)
    names: list[tuple[Loc, str]] = []
    for i, vm in enumerate(site.vms):
        loc: Loc = ("vms", i)
        _, entry, problems = planner.choose(vm, loc)
        for problem in problems:
            missing = problem.loc[-1] in {"bundle", "version"} and planner.choose(vm, loc)[0] is None
            yield problem._replace(severity=Severity.WARNING) if missing else problem
        if entry:
            names += [(loc, template_name(vm, entry.guest, flavour)) for flavour in flavours(vm)]
    yield from find_duplicates("the VM template", names)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Makes VM templates of one site."""

    site: Site
    bundles: Sequence[Bundle]
    facts: CloudFacts | None
    onegate: bool

    def choose(self, vm: Vm, loc: Loc) -> tuple[Bundle | None, BundleImage | None, list[Finding]]:
        """Return the bundle and guest that a ``vms`` item asks for, and what is wrong with it."""
        names = sorted({bundle.manifest.name for bundle in self.bundles})
        if vm.bundle not in names:
            return None, None, [Finding((*loc, "bundle"), f"there is no bundle {vm.bundle}", f"{', '.join(names)}")]
        bundle = choose_bundle(self.bundles, vm.bundle, vm.version)
        if bundle is None:
            versions = sorted({b.manifest.version for b in self.bundles if b.manifest.name == vm.bundle})
            message = f"{vm.bundle} has no version {vm.version}"
            return None, None, [Finding((*loc, "version"), message, f"{', '.join(versions)}")]
        guests = {image.guest: image for image in bundle.manifest.images}
        entry = guests.get(vm.guest) if vm.guest else bundle.manifest.images[0]
        problems = (
            [] if entry else [Finding((*loc, "guest"), f"{vm.bundle} has no guest {vm.guest}", ", ".join(guests))]
        )
        return bundle, entry, [*problems, *self._check_needs(vm, bundle, loc)]

    def kept_templates(self, vm: Vm) -> list[KeptTemplate]:
        """Return what the cloud kept of a version whose bundle is not at hand; nothing unless it has all flavours."""
        newest = choose_bundle(self.bundles, vm.bundle)
        if self.facts is None or vm.version is None or choose_bundle(self.bundles, vm.bundle, vm.version) or not newest:
            return []
        guest = vm.guest or newest.manifest.images[0].guest
        found = []
        for name in (template_name(vm, guest, flavour) for flavour in flavours(vm)):
            existing = self.facts.find(ObjectKind.TEMPLATE, versioned_name(name, vm.version))
            mark = existing.mark if existing else None
            if not existing or not mark or (mark.site, mark.version) != (self.site.site, vm.version):
                return []
            found.append(KeptTemplate(name, existing))
        return found

    def _check_needs(self, vm: Vm, bundle: Bundle, loc: Loc) -> Iterator[Finding]:
        needs = bundle.manifest.needs
        if bundle.manifest.kind is Kind.WORKER and vm.vo is None:
            yield Finding(loc, f"{vm.bundle} works for a community, and none is named", "vo: NAME")
        community = self._community(vm)
        if needs.community and community and not community.cvmfs:
            yield Finding((*loc, "vo"), f"{community.name} has no CVMFS repositories", "vo[].cvmfs: [...]")
        if version_key(self.site.opennebula.version) < version_key(needs.opennebula):
            message = f"{vm.bundle} needs OpenNebula {needs.opennebula}, the site has {self.site.opennebula.version}"
            yield Finding((*loc, "bundle"), message, "see docs/how-to/legacy-guests.md for older ones")

    def _community(self, vm: Vm) -> Community | None:
        return next((community for community in self.site.vo if community.name == vm.vo), None)

    def templates(self, vm: Vm, bundle: Bundle, entry: BundleImage, loc: Loc) -> tuple[list[VmTemplate], list[Finding]]:
        """Return one VM template for each number of cores, and what is wrong."""
        cluster = vm.cluster or self.site.opennebula.cluster
        cluster_id = self._cluster_id(cluster)
        findings = []
        if cluster_id is None and self.facts is None:
            findings.append(Finding((*loc, "cluster"), f"OpenNebula's number of the cluster {cluster} is not known"))
        made: list[VmTemplate] = []
        for wish in vm.cores:
            size = self._size(vm, wish, cluster)
            if isinstance(size, str):
                findings.append(Finding((*loc, "cores"), size, "give a number of cores"))
            else:
                made.append(self._template(vm, bundle, entry, wish, size, cluster_id or 0))
        return made, findings

    def _cluster_id(self, cluster: str) -> int | None:
        found = self.facts.find(ObjectKind.CLUSTER, cluster) if self.facts else None
        return found.id if found else (0 if cluster == DEFAULT_CLUSTER else None)

    def _size(self, vm: Vm, wish: int | str, cluster: str) -> tuple[int, int] | str:
        """Return (cores, memory in MiB) of a flavour; words when it cannot be told."""
        per_core = vm.memory_per_core // MIB
        if wish != WHOLE_NODE:
            return int(wish), int(wish) * per_core
        hosts = [o for o in self.facts.objects if o.kind is ObjectKind.HOST] if self.facts else []
        nodes = [host for host in hosts if host.cluster == cluster and host.cores > 0]
        if not nodes:
            return f"the cores of the nodes of the cluster {cluster} are not known yet"
        cores = min(node.cores for node in nodes)
        memory = min(node.memory_mib for node in nodes) - NODE_MEMORY_RESERVE_MIB
        return cores, max(1, min(memory, cores * per_core))

    def _template(  # noqa: PLR0913, PLR0917 - one place where all of it comes together
        self, vm: Vm, bundle: Bundle, entry: BundleImage, wish: int | str, size: tuple[int, int], cluster_id: int
    ) -> VmTemplate:
        cores, memory_mib = size
        flavour = WHOLE_NODE if wish == WHOLE_NODE else f"{cores}core"
        squid = bundle.manifest.kind is Kind.SQUID
        community = self._community(vm)
        name = template_name(vm, entry.guest, flavour)
        scratch = not squid and vm.scratch_per_core > 0
        return VmTemplate(
            name=name,
            bundle=bundle.manifest.name,
            version=bundle.manifest.version,
            image=entry.file_name.rsplit(".", 1)[0],
            group=vm.vo,
            flavour=flavour,
            cores=cores,
            memory_mib=memory_mib,
            scratch_mib=0 if squid else cores * (vm.scratch_per_core // MIB),
            disk_mib=int(self.site.squid.disk // MIB / SQUID_DISK_SHARE) if squid else 0,
            cpu_model=vm.cpu_model,
            pinning=vm.pinning,
            hugepages=vm.hugepages,
            network=vm.network,
            address=vm.address,
            cluster=vm.cluster or self.site.opennebula.cluster,
            cluster_id=cluster_id,
            security_group_id=self._security_group_id(),
            ssh_keys=community.ssh_keys if community else (),
            onegate=self.onegate,
            context=self.context(vm, bundle.manifest.kind, flavour, name, scratch=scratch),
            files=self._squid_files() if squid else (),
        )

    def _security_group_id(self) -> int:
        name = security_group_name(self.site)
        found = self.facts.find(ObjectKind.SECURITY_GROUP, name) if self.facts else None
        return found.id if found else 0

    def context(self, vm: Vm, kind: Kind, flavour: str, queue: str, *, scratch: bool) -> tuple[tuple[str, str], ...]:
        """Return the variables that tell the VM agent where it is, for whom it works, and how."""
        community = self._community(vm)
        values: Mapping[str, str] = {
            "B2CT_KIND": kind.value,
            "B2CT_SITE": self.site.site,
            "B2CT_VO": vm.vo or "",
            "B2CT_FLAVOUR": flavour,
            "B2CT_CVMFS_REPOSITORIES": ",".join(community.cvmfs) if community else "",
            "B2CT_CVMFS_PROXY": self._cvmfs_proxy(vm) if kind is Kind.WORKER else "",
            "B2CT_SCRATCH": "/dev/vdb" if scratch else "",
        }
        worker = community if kind is Kind.WORKER else None
        # `b2ct credentials` answers machines by the mark that an import puts on their template, and on no other
        answered = self.onegate and self.facts is not None
        more = agent_options(self.site, worker, queue, onegate=answered) if worker else {}
        named = {f"B2CT_{option.upper()}": value for option, value in more.items()}
        return tuple((name, value) for name, value in {**values, **named}.items() if value)

    def _cvmfs_proxy(self, vm: Vm) -> str:
        """Return the site's squids in the syntax of CVMFS_HTTP_PROXY: ``|`` balances between them."""
        hosts = [self._address(host, vm) for host in self.site.hosts if Service.SQUID in host.services]
        kinds = {bundle.manifest.name: bundle.manifest.kind for bundle in self.bundles}
        guests = [str(o.address) for o in self.site.vms if o.address and kinds.get(o.bundle) is Kind.SQUID]
        return "|".join(f"http://{address}:{SQUID_PORT}" for address in (*hosts, *guests)) or "DIRECT"

    def _address(self, host: Host, vm: Vm) -> str:
        """Return how a virtual machine reaches a host: on its own network, else on the management network, else DNS."""
        addresses = {link.network: link.address for link in host.links if link.address not in {None, "dhcp"}}
        address = addresses.get(vm.network) or addresses.get(self.site.management)
        return str(address or f"{host.name}.{self.site.domain}")

    def _squid_files(self) -> tuple[tuple[str, str], ...]:
        squid = self.site.squid
        clients = squid.clients or tuple(network.cidr for network in self.site.networks.values())
        cache = (
            f"cache_mem {max(1, squid.memory // MIB)} MB\n"
            f"cache_dir ufs /var/spool/squid {max(1, squid.disk // MIB)} 16 256\n"
        )
        return (
            ("/etc/squid/b2ct-clients.txt", "".join(f"{client}\n" for client in clients)),
            ("/etc/squid/b2ct-destinations.txt", "".join(f"{name}\n" for name in squid.destinations)),
            ("/etc/squid/b2ct-cache.conf", cache),
        )


def worker_context(site: Site, bundles: Sequence[Bundle], vo: str) -> dict[str, str]:
    """Return the agent's variables for a worker that no VM template describes: one that is reached over SSH."""
    planner = _Planner(site, bundles, None, onegate=False)
    machine = Vm(bundle="none", vo=vo, network=site.management)
    return dict(planner.context(machine, Kind.WORKER, "", "", scratch=False))


def security_group_name(site: Site) -> str:
    """Return the name of the site's security group for workers."""
    return f"b2ct-{site.site}-worker"


def flavours(vm: Vm) -> list[str]:
    """Return what tells apart the VM templates of one item: ``1core``, ``8core``, ``whole-node``."""
    return [WHOLE_NODE if wish == WHOLE_NODE else f"{wish}core" for wish in vm.cores]


def template_name(vm: Vm, guest: str, flavour: str) -> str:
    """Return a VM template's name: ``belle-belle2-worker-el9-8core``; the site's own name where it gives one."""
    if vm.name:
        return vm.name if len(vm.cores) == 1 else f"{vm.name}-{flavour}"
    return "-".join(filter(None, (vm.vo, vm.bundle, guest, flavour)))
