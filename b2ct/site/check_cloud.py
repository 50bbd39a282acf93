"""Checks of what runs on the cloud: communities, virtual machines, and how OpenNebula is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.errors import Severity
from b2ct.site.check_central import SHELL_CHARACTERS
from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.types import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.site.cloud import Vm
    from b2ct.site.model import Site
    from b2ct.site.network import Network
    from b2ct.site.yaml import Loc

OPENNEBULA_GROUPS = frozenset({"oneadmin", "users"})
"""Groups that OpenNebula makes for itself (ids 0 and 1)."""

OPENNEBULA_USERS = frozenset({"oneadmin", "serveradmin"})
"""Users that OpenNebula makes for itself."""


def check_cloud(site: Site) -> Iterator[Finding]:
    """Return what is wrong with communities and virtual machines."""
    yield from _check_communities(site)
    for i, vm in enumerate(site.vms):
        yield from _check_vm(site, vm, ("vms", i))
    if site.opennebula.ca and not (site.opennebula.endpoint or "").startswith("https:"):
        yield Finding(("opennebula", "ca"), "it is for an https endpoint", "set opennebula.endpoint, or leave it out")
    if site.sources.bundles and not site.sources.bundles_key:
        hint = "the line of minisign.pub that begins with RW"
        yield Finding(("sources", "bundles"), "whose signature it has to bear is not known; set bundles_key", hint)
    yield from _check_ways_out(site)
    squids = [host for host in site.hosts if Service.SQUID in host.services] + [vm for vm in site.vms if vm.address]
    if not squids and any(community.cvmfs for community in site.vo):
        message = "no host offers squid, so every virtual machine would fetch CVMFS from far away"
        yield Finding(("hosts",), message, "services: [squid]", Severity.WARNING)


def _check_ways_out(site: Site) -> Iterator[Finding]:
    """Return what virtual machines on their networks lack to reach the squid and their work."""
    for name in sorted({vm.network for vm in site.vms} & site.networks.keys()):
        network, loc = site.networks[name], ("networks", name)
        if network.gateway is None:
            message = f"{name} has no gateway, so its virtual machines reach nothing outside it"
            yield Finding(loc, message, "gateway: ADDRESS", Severity.WARNING)
        if not network.dns:
            message = f"{name} has no name servers, so its virtual machines find nothing by name"
            yield Finding(loc, message, "dns: [ADDRESS]", Severity.WARNING)


def _check_communities(site: Site) -> Iterator[Finding]:
    yield from find_duplicates("the community", ((("vo", i, "name"), c.name) for i, c in enumerate(site.vo)))
    users = ((("vo", i, "user"), c.user) for i, c in enumerate(site.vo) if c.user)
    yield from find_duplicates("the OpenNebula user", users)
    for i, community in enumerate(site.vo):
        for j, key in enumerate(community.ssh_keys):
            if set(key) & set(SHELL_CHARACTERS):
                message = f"none of {' '.join(SHELL_CHARACTERS)} can be in a key: one-context hands it to a shell"
                yield Finding(("vo", i, "ssh_keys", j), message, "change the comment")
        if community.name in OPENNEBULA_GROUPS:
            yield Finding(("vo", i, "name"), f"{community.name} is a group of OpenNebula itself", "choose another name")
        if community.user in OPENNEBULA_USERS:
            yield Finding(("vo", i, "user"), f"{community.user} is a user of OpenNebula itself", "choose another name")
        if community.user and community.password is None:
            yield Finding(("vo", i), f"the user {community.user} has no password", "password: file:PATH")
        if community.password and community.user is None:
            yield Finding(("vo", i, "password"), "it belongs to no user", "add user, or leave it out")


def _check_vm(site: Site, vm: Vm, loc: Loc) -> Iterator[Finding]:
    community = next((community for community in site.vo if community.name == vm.vo), None)
    if vm.vo is not None and community is None:
        yield Finding((*loc, "vo"), f"no community is named {vm.vo}", "add it to vo")
    network = site.networks.get(vm.network)
    if network is None:
        known = f"networks: {', '.join(site.networks)}"
        yield Finding((*loc, "network"), f"no network is named {vm.network}", known)
    elif not network.ranges:
        message = f"the network {vm.network} has no addresses for virtual machines"
        yield Finding((*loc, "network"), message, f"networks.{vm.network}.ranges: [{{first: ..., size: ...}}]")
    elif vm.address is not None and not _in_ranges(network, vm):
        yield Finding((*loc, "address"), f"{vm.address} is in no range of the network {vm.network}")
    most = max((cores for cores in vm.cores if isinstance(cores, int)), default=0)
    limits = community.limits if community else None
    if limits and limits.cores is not None and most > limits.cores:
        yield Finding((*loc, "cores"), f"{most} cores are more than {vm.vo} may use ({limits.cores})")
    if limits and limits.memory is not None and most * vm.memory_per_core > limits.memory:
        yield Finding((*loc, "memory_per_core"), f"{most} cores need more memory than {vm.vo} may use")
    if len(set(vm.cores)) < len(vm.cores):
        yield Finding((*loc, "cores"), "a number of cores is here twice")
    if vm.address is not None and len(vm.cores) > 1:
        yield Finding((*loc, "address"), "a fixed address is for one virtual machine, so for one number of cores")


def _in_ranges(network: Network, vm: Vm) -> bool:
    return any(vm.address is not None and r.first <= vm.address < r.first + r.size for r in network.ranges)
