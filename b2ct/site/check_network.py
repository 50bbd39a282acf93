"""Checks of networks, and of how hosts are connected to them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.host import ASK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address

    from b2ct.site.host import Host
    from b2ct.site.model import Site
    from b2ct.site.network import Link, Network
    from b2ct.site.yaml import Loc

IFNAMSIZ = 15
"""Longest name of a network device (IFNAMSIZ - 1, linux/if.h)."""


def bridge_name(name: str, network: Network) -> str:
    """Return the bridge of the network ``name``."""
    return network.bridge or f"br-{name}"


def port_of(host: Host, link: Link) -> str | None:
    """Return the card or bond that carries a link; None when it cannot be told (or no card is known yet)."""
    if link.on:
        return link.on
    ports = free_ports(host)
    return ports[0] if len(ports) == 1 else None


def free_ports(host: Host) -> tuple[str, ...]:
    """Return what can carry links: the bonds, and the cards that are in no bond."""
    bonded = {nic for bond in host.bonds for nic in bond.nics}
    return (*(bond.name for bond in host.bonds), *(nic.key for nic in host.nics if nic.key not in bonded))


def is_tagged(network: Network, link: Link) -> bool:
    """Return whether the host tags this network's VLAN."""
    return network.vlan is not None if link.tagged is None else link.tagged


def check_networks(site: Site) -> Iterator[Finding]:
    """Return what is wrong with networks and connections."""
    if site.management not in site.networks:
        hint = f"networks: {', '.join(site.networks)}"
        yield Finding(("management",), f"no network is named {site.management}", hint)
    for (name, one), (other, two) in combinations(site.networks.items(), 2):
        if one.cidr.overlaps(two.cidr):
            yield Finding(("networks", other, "cidr"), f"{two.cidr} overlaps {one.cidr} of {name}")
    bridges = ((("networks", name, "bridge"), bridge_name(name, net)) for name, net in site.networks.items())
    yield from find_duplicates("the bridge", bridges)
    for name, network in site.networks.items():
        yield from _check_network(name, network)
    macs = (
        (("hosts", i, "nics", n, "mac"), nic.mac)
        for i, host in enumerate(site.hosts)
        for n, nic in enumerate(host.nics)
    )
    yield from find_duplicates("the MAC address", macs)
    yield from find_duplicates("the address", _addresses(site))
    yield from _check_ranges(site)
    for i, host in enumerate(site.hosts):
        yield from _check_cards(("hosts", i), host, site.networks)
        yield from _check_links(("hosts", i), site, host)


def _addresses(site: Site) -> Iterator[tuple[Loc, IPv4Address]]:
    """Yield every address that a machine is meant to have, gateways first."""
    for name, network in site.networks.items():
        if network.gateway:
            yield ("networks", name, "gateway"), network.gateway
    for i, host in enumerate(site.hosts):
        for n, link in enumerate(host.links):
            if link.address is not None and link.address != "dhcp":
                yield ("hosts", i, "links", n, "address"), link.address


def _unusable(address: IPv4Address, network: Network) -> str:
    """Return why a machine cannot have this address in the network; empty when it can."""
    if address not in network.cidr:
        return f"{address} is outside {network.cidr}"
    if network.cidr.prefixlen < 31 and address in {network.cidr.network_address, network.cidr.broadcast_address}:
        return f"{address} is the network or broadcast address of {network.cidr}"
    return ""


def _check_network(name: str, network: Network) -> Iterator[Finding]:
    loc: Loc = ("networks", name)
    if network.cidr.prefixlen > 30:
        yield Finding((*loc, "cidr"), f"{network.cidr} has no room for hosts", "is the prefix missing? such as /24")
    bridge = bridge_name(name, network)
    if len(bridge) > IFNAMSIZ:
        message = f"the bridge's name {bridge} is longer than {IFNAMSIZ} characters"
        yield Finding((*loc, "bridge") if network.bridge else loc, message, "give a shorter one with the key bridge")
    if network.gateway and (why := _unusable(network.gateway, network)):
        yield Finding((*loc, "gateway"), why)
    for n, pool in enumerate(network.ranges):
        last = pool.first + (pool.size - 1)
        if why := _unusable(pool.first, network) or _unusable(last, network):
            yield Finding((*loc, "ranges", n), f"the range {pool.first} to {last} does not fit: {why}")


def _check_ranges(site: Site) -> Iterator[Finding]:
    """Ranges for virtual machines hold no host's or gateway's address, and do not overlap."""
    pools = [
        (("networks", name, "ranges", n), pool.first, pool.first + (pool.size - 1))
        for name, network in site.networks.items()
        for n, pool in enumerate(network.ranges)
    ]
    for (_, first, last), (loc, other_first, other_last) in combinations(pools, 2):
        if first <= other_last and other_first <= last:
            yield Finding(loc, f"the range overlaps the range that starts at {first}")
    for at, address in _addresses(site):
        for _, first, last in pools:
            if first <= address <= last:
                yield Finding(at, f"{address} is inside the range {first} to {last} of the virtual machines")


def _check_cards(loc: Loc, host: Host, networks: dict[str, Network]) -> Iterator[Finding]:
    """Cards can be told apart; bonds are made of cards that exist and are free."""
    keys = [nic.key for nic in host.nics]
    for n, nic in enumerate(host.nics):
        if not nic.key:
            yield Finding((*loc, "nics", n), "a card needs its mac or its name")
        if nic.mac and (int(nic.mac[:2], 16) & 1 or nic.mac == "00:00:00:00:00:00"):
            yield Finding((*loc, "nics", n, "mac"), f"{nic.mac} is not the address of a card")
    names = [((*loc, "nics", n), nic.key or None) for n, nic in enumerate(host.nics)]
    names += [((*loc, "bonds", n, "name"), bond.name) for n, bond in enumerate(host.bonds)]
    names += [(("networks", name, "bridge"), bridge_name(name, network)) for name, network in networks.items()]
    yield from find_duplicates("the device", names)
    if not host.links and len(free_ports(host)) > 1:
        ports = ", ".join(free_ports(host))
        yield Finding(
            loc, "it is not said which card carries the management network", f"links, with on: one of {ports}"
        )
    used = Counter(key for bond in host.bonds for key in bond.nics)
    for n, bond in enumerate(host.bonds):
        if not bond.nics:
            yield Finding((*loc, "bonds", n, "nics"), f"{bond.name} has no cards")
        for m, key in enumerate(bond.nics):
            if key not in keys:
                hint = f"cards: {', '.join(keys) or 'none'}"
                yield Finding((*loc, "bonds", n, "nics", m), f"the host has no card {key}", hint)
            elif used[key] > 1:
                yield Finding((*loc, "bonds", n, "nics", m), f"the card {key} is in a bond twice")


def _check_links(loc: Loc, site: Site, host: Host) -> Iterator[Finding]:
    """Each link has a network, a port to run over, and a VLAN or address that nothing else uses."""
    links = [((*loc, "links", n), link) for n, link in enumerate(host.links)]
    yield from find_duplicates("the network", (((*at, "network"), link.network) for at, link in links))
    if links and site.management in site.networks and all(link.network != site.management for _, link in links):
        message = f"no link to the management network {site.management}"
        yield Finding((*loc, "links"), message, f"{{network: {site.management}, ...}}, or set management")
    ports = free_ports(host)
    on_wire = []
    for at, link in links:
        network = site.networks.get(link.network)
        if network is None:
            hint = f"networks: {', '.join(site.networks)}"
            yield Finding((*at, "network"), f"no network is named {link.network}", hint)
            continue
        port = port_of(host, link)
        yield from _check_port(at, host, link, network, ports)
        tagged = is_tagged(network, link)
        on_wire.append((at, f"{port} {f'with VLAN {network.vlan}' if tagged else 'without a VLAN'}" if port else None))
        if port and tagged and len(f"{port}.{network.vlan}") > IFNAMSIZ and ":" not in port:
            yield Finding(at, f"the device name {port}.{network.vlan} is longer than {IFNAMSIZ} characters")
        if link.address is not None and link.address != "dhcp" and (why := _unusable(link.address, network)):
            yield Finding((*at, "address"), why)
        if host.name == ASK and link.address not in {None, "dhcp"}:
            yield Finding(
                (*at, "address"), "the interactive installation serves many machines", "leave the address out"
            )
    yield from find_duplicates("the port", on_wire)


def _check_port(at: Loc, host: Host, link: Link, network: Network, ports: tuple[str, ...]) -> Iterator[Finding]:
    if link.tagged and network.vlan is None:
        yield Finding((*at, "tagged"), f"the network {link.network} has no vlan", f"networks.{link.network}.vlan: ...")
    if not ports:
        if link.on:
            yield Finding((*at, "on"), f"the host has no card or bond {link.on}", "add it to nics or bonds")
        elif is_tagged(network, link):
            message = f"VLAN {network.vlan} has no parent: the host names no card"
            yield Finding(at, message, "add the card to nics")
    elif link.on and link.on not in ports:
        bonded = any(link.on in bond.nics for bond in host.bonds)
        message = f"{link.on} is part of a bond" if bonded else f"the host has no card or bond {link.on}"
        yield Finding((*at, "on"), message, f"one of: {', '.join(ports)}")
    elif not link.on and len(ports) > 1:
        parent = f"VLAN {network.vlan} has no parent: " if is_tagged(network, link) else ""
        yield Finding(at, f"{parent}it is not said on which port this link runs", f"on: one of {', '.join(ports)}")
