"""Decides the cloud objects that a site file asks for: cluster, hosts, datastores, networks, communities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.attributes import Attribute
from b2ct.plan.cloud_model import Kind, Mark, Quota, Wanted
from b2ct.plan.publication import SQUID_PORT, security_group_name
from b2ct.site.check_network import bridge_name
from b2ct.site.host import ASK
from b2ct.site.network import NetworkDriver
from b2ct.site.types import Role

if TYPE_CHECKING:
    from b2ct.plan.attributes import Template
    from b2ct.plan.cloud_model import CloudFacts
    from b2ct.site.cloud import Community
    from b2ct.site.model import Site
    from b2ct.site.network import Network

MIB = 1024**2

DEFAULT_CLUSTER = "default"
"""The cluster that every front-end has."""

DATASTORES = ("system", "default", "files")
"""The datastores that every front-end has (ids 0 to 2); they are used as they are."""

DRIVER = "kvm"
"""Information and virtualization driver of the nodes."""

USABLE = 0o644
"""Everybody's virtual machines may use it."""


def wanted_site_objects(site: Site, facts: CloudFacts | None = None) -> tuple[Wanted, ...]:
    """Return the objects that the site file asks for, beside the images and VM templates of its bundles.

    A network that filters gets the site's security group, as soon as ``facts`` know its number; without one, OpenNebula
    gives it group 0, which lets everything through (src/vnm/VirtualNetwork.cc).
    """
    group = facts.find(Kind.SECURITY_GROUP, security_group_name(site)) if facts else None
    mark = Mark(site.site, "site")
    cluster = None if site.opennebula.cluster == DEFAULT_CLUSTER else site.opennebula.cluster
    return (
        *([Wanted(Kind.CLUSTER, cluster, mark=mark)] if cluster else []),
        *(_group(community, mark) for community in site.vo),
        *(Wanted(Kind.USER, one.user, mark=mark, group=one.name) for one in site.vo if one.user),
        *_hosts(site, mark, cluster),
        *_datastores(site, mark, cluster),
        *_networks(site, mark, cluster, group.id if group else None),
        Wanted(Kind.SECURITY_GROUP, security_group_name(site), _rules(site), mark, permissions=USABLE),
    )


def _group(community: Community, mark: Mark) -> Wanted:
    limits = community.limits
    memory = None if limits.memory is None else limits.memory // MIB
    return Wanted(Kind.GROUP, community.name, mark=mark, quota=Quota(limits.vms, limits.cores, memory), may_start=True)


def _hosts(site: Site, mark: Mark, cluster: str | None) -> tuple[Wanted, ...]:
    drivers = (Attribute("IM_MAD", DRIVER), Attribute("VM_MAD", DRIVER))
    names = [host.name for host in site.hosts if host.role is Role.NODE and host.name != ASK]
    return tuple(Wanted(Kind.HOST, f"{name}.{site.domain}", drivers, mark, cluster=cluster) for name in names)


def _datastores(site: Site, mark: Mark, cluster: str | None) -> tuple[Wanted, ...]:
    """Return the datastores that are there from the start.

    Their driver copies over SSH (called ``ssh`` in 6.10 and ``local`` in 7.x, src/datastore/DatastorePool.cc); a
    shared path needs ``shared``.
    """
    template: Template = () if site.datastores.mode == "ssh" else (Attribute("TM_MAD", "shared"),)
    names = dict.fromkeys((*DATASTORES, site.opennebula.image_datastore))
    return tuple(Wanted(Kind.DATASTORE, name, template, mark, cluster=cluster) for name in names)


def _networks(site: Site, mark: Mark, cluster: str | None, group_id: int | None) -> tuple[Wanted, ...]:
    used = {vm.network for vm in site.vms}
    return tuple(
        Wanted(
            Kind.NETWORK, name, _network_template(name, network, group_id), mark, permissions=USABLE, cluster=cluster
        )
        for name, network in site.networks.items()
        if network.ranges or name in used
    )


def _network_template(name: str, network: Network, group_id: int | None) -> Template:
    """Return a network's attributes (OpenNebula documentation, "Virtual Network Template").

    Security groups only count where the driver is ``fw`` (src/vnm_mad/remotes/{bridge,fw}/post in OpenNebula).
    """
    filters = network.driver is NetworkDriver.FW and group_id is not None
    values = {
        "VN_MAD": network.driver.value,
        "SECURITY_GROUPS": str(group_id) if filters else "",
        "BRIDGE": bridge_name(name, network),
        "NETWORK_ADDRESS": str(network.cidr.network_address),
        "NETWORK_MASK": str(network.cidr.netmask),
        "GATEWAY": str(network.gateway or ""),
        "DNS": " ".join(map(str, network.dns)),
        "SEARCH_DOMAIN": " ".join(network.search),
        "GUEST_MTU": str(network.mtu or ""),
    }
    plain = (Attribute(key, value) for key, value in values.items() if value)
    ranges = (
        Attribute("AR", (("TYPE", "IP4"), ("IP", str(item.first)), ("SIZE", str(item.size)))) for item in network.ranges
    )
    return (*plain, *ranges)


def _rules(site: Site) -> Template:
    """Return the rules of the workers' security group.

    In: SSH and ICMP from the management network, and squid from the site's networks where a virtual machine has a
    fixed address, as only a squid has. Answers to what the worker asks for (CVMFS among them) come in without a rule:
    the filter keeps state (security_groups_iptables.rb). Out: all.
    """
    management = site.networks[site.management].cidr
    from_hosts = (("IP", str(management.network_address)), ("SIZE", str(management.num_addresses)))
    rules = [
        (("PROTOCOL", "ALL"), ("RULE_TYPE", "OUTBOUND")),
        (("PROTOCOL", "TCP"), ("RULE_TYPE", "INBOUND"), ("RANGE", "22"), *from_hosts),
        (("PROTOCOL", "ICMP"), ("RULE_TYPE", "INBOUND"), *from_hosts),
    ]
    for vm in site.vms:
        if vm.address:
            cidr = site.networks[vm.network].cidr
            addresses = (("IP", str(cidr.network_address)), ("SIZE", str(cidr.num_addresses)))
            rules.append((("PROTOCOL", "TCP"), ("RULE_TYPE", "INBOUND"), ("RANGE", str(SQUID_PORT)), *addresses))
    return tuple(Attribute("RULE", rule) for rule in dict.fromkeys(rules))
