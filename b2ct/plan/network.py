"""Decides a host's network: the profiles of the installed system, and the connection that the installer uses.

Anaconda's ``network`` command makes bridges over bonds and VLANs differently in each generation (EL6 not at all, EL7
and EL8 one kind of device per command and no bridge over a VLAN of its own making). So the installer gets a card, a
bond or a VLAN with the address, and %post writes the final profiles: ``card > bond > VLAN > bridge``, the address on
the bridge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from b2ct.errors import UsageError
from b2ct.plan.model import (
    Card,
    CardFact,
    FromCard,
    InstallLink,
    Ipv4,
    Ipv4Method,
    Kind,
    NetworkPlan,
    Profile,
    Word,
)
from b2ct.site.check_network import bridge_name, is_tagged, port_of
from b2ct.site.host import ASK
from b2ct.site.network import Bond, Link, Nic

if TYPE_CHECKING:
    from b2ct.plan.generation import Network as InstallerNetwork
    from b2ct.site.host import Host
    from b2ct.site.model import Site
    from b2ct.site.network import Network

ASKED_CARD = Card(key="asked", match="")
"""The card that is asked at install time."""

ETHERNET_MTU = 1500
"""Bytes; every device's when nothing else is said. The installer gets by with it on networks of larger packets."""

NAMESPACE = UUID("6f0f1f2c-5a2b-5d0e-8b52-1d3c0b2c7a11")
"""Namespace of the profiles' UUIDs (RFC 9562 5.5)."""


def make_network(site: Site, host: Host, installer: InstallerNetwork) -> NetworkPlan:
    """Decide the network of ``host``.

    Raises:
        UsageError: a link cannot be made; ``b2ct check`` says the same with the line.
    """
    return _Maker(site, host, installer).make()


class _Maker:
    """The decisions for one host; only ``make`` is called from outside."""

    def __init__(self, site: Site, host: Host, installer: InstallerNetwork) -> None:
        self.site = site
        self.host = host
        self.installer = installer
        self.nics = {nic.key: nic for nic in host.nics}
        self.bonds = {bond.name: bond for bond in host.bonds}
        links = host.links or (Link(network=site.management),)
        self.links = tuple(sorted(links, key=lambda link: link.network != site.management))
        self.gateway_link = self._choose_gateway_link()

    def make(self) -> NetworkPlan:
        management = self.site.networks[self.site.management]
        install_links = tuple(self._install_link(link) for link in self.links if self._is_used_by_installer(link))
        ipv4 = self._ipv4(self.links[0])
        return NetworkPlan(
            cards=tuple(Card(nic.key, nic.mac or nic.name or "") for nic in self.host.nics) or (ASKED_CARD,),
            install_links=install_links,
            in_pre=any(link.bond or not link.card.match or _is_asked(link.ipv4) for link in install_links)
            or not _fixed_name(self.host),
            asks_address=_is_asked(ipv4),
            profiles=self._profiles(),
            prefix=ipv4.prefix,
            gateway=ipv4.gateway,
            dns=ipv4.dns,
            cidr=str(management.cidr),
            taken=tuple(self._taken()),
            ranges_taken=tuple(f"{item.first}-{item.first + (item.size - 1)}" for item in management.ranges),
        )

    def _network(self, link: Link) -> Network:
        return self.site.networks[link.network]

    def _port(self, link: Link) -> str:
        """Return the bond's or card's word, or the asked card's."""
        port = port_of(self.host, link)
        if port is None and not self.host.nics:
            return ASKED_CARD.key
        if port not in {*self.bonds, *self.nics}:
            raise UsageError(
                f"{self.host.name}: the link to {link.network} runs over no card or bond of the host",
                hint="b2ct check shows the line",
            )
        return str(port)

    def _choose_gateway_link(self) -> Link:
        """Return the link with the default route: the first that has an address and a gateway, or management's.

        Management's may get a gateway where the site file has none: typed at install time, or from DHCP.
        """
        with_gateway = [link for link in self.links if self._network(link).gateway]
        addressed = [link for link in with_gateway if link is self.links[0] or link.address]
        return next(iter(addressed), self.links[0])

    def _is_used_by_installer(self, link: Link) -> bool:
        return link in {self.links[0], self.gateway_link}

    def _ipv4(self, link: Link) -> Ipv4:
        """Decide the IPv4 configuration of a link's bridge."""
        network = self._network(link)
        first = link is self.links[0]
        if link.address is None and not first:
            return Ipv4(Ipv4Method.NONE)
        route = link is self.gateway_link
        uplink = self._network(self.gateway_link)
        base = Ipv4(
            method=Ipv4Method.ASKED,
            prefix=network.cidr.prefixlen,
            netmask=str(network.cidr.netmask),
            gateway=str(network.gateway) if route and network.gateway else "",
            dns=tuple(map(str, network.dns or (uplink.dns if first else ()))),
            search=tuple(dict.fromkeys((self.site.domain, *network.search))) if first else network.search,
            default_route=route,
        )
        if link.address is None:
            return base
        if link.address == "dhcp":
            return replace(base, method=Ipv4Method.DHCP)
        return replace(base, method=Ipv4Method.STATIC, address=str(link.address))

    def _install_link(self, link: Link) -> InstallLink:
        """Decide the connection over which the installer reaches a network."""
        port = self._port(link)
        bond = self.bonds.get(port)
        keys = bond.nics if bond else (port,)
        cards = tuple(self._card(key) for key in keys)
        vlan = self._network(link).vlan if is_tagged(self._network(link), link) else None
        bonded = bond is not None and self.installer.bonds
        mtu = self._network(link).mtu
        return InstallLink(
            card=cards[0],
            bond=bond.name if bond and bonded else "",
            bond_cards=cards if bonded else (),
            bond_options=_bond_options(bond) if bond and bonded else (),
            vlan_id=vlan or 0,
            vlan_device=self._vlan_name(port, vlan) if vlan and self.installer.interfacename else "",
            mtu=mtu if mtu and mtu < ETHERNET_MTU else None,
            ipv4=self._ipv4(link),
        )

    def _card(self, key: str) -> Card:
        nic = self.nics.get(key)
        return Card(key, nic.mac or nic.name or "") if nic else ASKED_CARD

    def _profiles(self) -> tuple[Profile, ...]:
        """Decide every device of the installed system, the lowest first."""
        ports: dict[str, list[Link]] = {}
        for link in self.links:
            ports.setdefault(self._port(link), []).append(link)
        profiles: list[Profile] = []
        for port, links in ports.items():
            untagged = next((link for link in links if not is_tagged(self._network(link), link)), None)
            mtus = [self._network(link).mtu for link in links]
            mtu = max(mtu or ETHERNET_MTU for mtu in mtus) if any(mtus) else None
            bridge = bridge_name(untagged.network, self._network(untagged)) if untagged else ""
            profiles += self._port_profiles(port, bridge, mtu)
            for link in links:
                # A VLAN takes over the MTU of what it is on, so one given MTU makes all of them be given.
                profiles += self._link_profiles(port, link, (self._network(link).mtu or ETHERNET_MTU) if mtu else None)
        return tuple(profiles)

    def _port_profiles(self, port: str, bridge: str, mtu: int | None) -> list[Profile]:
        """Return the profiles of a card, or of a bond and its cards."""
        above = Kind.BRIDGE if bridge else None
        bond = self.bonds.get(port)
        if bond is None:
            return [self._card_profile(port, bridge, above, mtu)]
        device = Profile(
            name=bond.name,
            uuid=self._uuid(bond.name),
            kind=Kind.BOND,
            device=bond.name,
            master=bridge,
            master_kind=above,
            mtu=mtu,
            bond_options=_bond_options(bond),
            ipv4=None if bridge else Ipv4(Ipv4Method.NONE),
        )
        return [device, *(self._card_profile(key, bond.name, Kind.BOND, mtu) for key in bond.nics)]

    def _card_profile(self, key: str, master: str, master_kind: Kind | None, mtu: int | None) -> Profile:
        nic = self.nics.get(key, Nic())
        name = "card-" + key.replace(":", "-")
        by_name = nic.name if nic.name and not nic.mac else None
        return Profile(
            name=name,
            uuid=self._uuid(name),
            kind=Kind.ETHERNET,
            device=by_name or FromCard(key, CardFact.DEVICE),
            mac="" if by_name else nic.mac or FromCard(key, CardFact.MAC),
            master=master,
            master_kind=master_kind,
            mtu=mtu,
            ipv4=None if master else Ipv4(Ipv4Method.NONE),
        )

    def _link_profiles(self, port: str, link: Link, mtu: int | None) -> list[Profile]:
        """Return the bridge of a link, and the VLAN under it."""
        network = self._network(link)
        bridge = bridge_name(link.network, network)
        profiles = []
        if network.vlan and is_tagged(network, link):
            device = self._vlan_name(port, network.vlan)
            bond = port in self.bonds
            profiles.append(
                Profile(
                    name=device,
                    uuid=self._uuid(device),
                    kind=Kind.VLAN,
                    device=device,
                    master=bridge,
                    master_kind=Kind.BRIDGE,
                    parent=port if self._is_named(port) else FromCard(port, CardFact.DEVICE),
                    parent_uuid=self._uuid(port if bond else "card-" + port.replace(":", "-")),
                    vlan_id=network.vlan,
                    mtu=mtu,
                )
            )
        profiles.append(
            Profile(
                name=bridge,
                uuid=self._uuid(bridge),
                kind=Kind.BRIDGE,
                device=bridge,
                mac=self._bridge_mac(port),
                mtu=mtu,
                ipv4=self._ipv4(link),
            )
        )
        return profiles

    def _is_named(self, port: str) -> bool:
        """Tell whether the port's word is its device name."""
        nic = self.nics.get(port)
        return port in self.bonds or (nic is not None and nic.name is not None and nic.mac is None)

    def _vlan_name(self, port: str, vlan: int) -> str:
        """Return a VLAN's device name.

        initscripts (EL6, EL7) take the parent of ``eth0.100`` from the name, so that form is for ports whose name is
        known. From ``vlan100`` they take the id, and skip zeros before it: those tell the ports of one id apart.
        """
        if self._is_named(port):
            return f"{port}.{vlan}"
        links = [link for link in self.links if is_tagged(self._network(link), link)]
        ports = [self._port(link) for link in links if self._network(link).vlan == vlan]
        unnamed = list(dict.fromkeys(port for port in ports if not self._is_named(port)))
        return f"vlan{'0' * unnamed.index(port)}{vlan}"

    def _bridge_mac(self, port: str) -> Word:
        """Return the address of the port's (first) card, so that DHCP servers and switches know the bridge by it."""
        bond = self.bonds.get(port)
        key = bond.nics[0] if bond else port
        nic = self.nics.get(key)
        return (nic.mac if nic else None) or FromCard(key, CardFact.MAC)

    def _uuid(self, name: str) -> str:
        return str(uuid5(NAMESPACE, f"{self.site.site}/{self.host.name}/{name}"))

    def _taken(self) -> list[str]:
        """Return ``name=address`` of the other hosts; the address is empty when it is not in the site file."""
        taken = []
        for other in self.site.hosts:
            if other.name == self.host.name or not _fixed_name(other):
                continue
            addresses = [link.address for link in other.links if link.network == self.site.management]
            address = next((str(address) for address in addresses if address and address != "dhcp"), "")
            taken.append(f"{other.name}={address}")
        return taken


def _fixed_name(host: Host) -> bool:
    return host.name != ASK


def _is_asked(ipv4: Ipv4) -> bool:
    return ipv4.method is Ipv4Method.ASKED


def _bond_options(bond: Bond) -> tuple[tuple[str, str], ...]:
    return (("mode", bond.mode.value), ("miimon", str(bond.miimon)))
