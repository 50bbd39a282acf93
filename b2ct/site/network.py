"""Networks of the site, and how a host is connected to them."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import Field

from b2ct.site.types import CardKey, DeviceName, DomainName, Mac, Mtu, SiteModel, VlanId


class AddressRange(SiteModel):
    """Addresses that OpenNebula may give to virtual machines."""

    first: IPv4Address
    """The first address."""
    size: Annotated[int, Field(ge=1)]
    """How many addresses, counted from the first."""


class NetworkDriver(StrEnum):
    """How OpenNebula connects virtual machines to a network (its VN_MAD)."""

    BRIDGE = "bridge"
    """By the hosts' bridge, and nothing is filtered."""
    FW = "fw"
    """The same, and security groups are enforced; the nodes need iptables, ipset and br_netfilter."""


class Network(SiteModel):
    """One network of the site."""

    cidr: IPv4Network
    """Network address and prefix length, ``10.10.0.0/24``."""
    gateway: IPv4Address | None = None
    """Default gateway; left out where the network has none."""
    dns: tuple[IPv4Address, ...] = ()
    """Name servers that hosts and virtual machines on this network use."""
    search: tuple[DomainName, ...] = ()
    """DNS search domains besides the site's own."""
    vlan: VlanId | None = None
    """VLAN id; left out for an untagged network."""
    mtu: Mtu | None = None
    """Largest packet in bytes; left out for the system's default."""
    bridge: DeviceName | None = None
    """Name of the bridge on every host of this network; left out: ``br-`` and the network's name."""
    ranges: tuple[AddressRange, ...] = ()
    """Address ranges for virtual machines."""
    driver: NetworkDriver = NetworkDriver.BRIDGE
    """How OpenNebula connects virtual machines to it."""


class Nic(SiteModel):
    """A network card, known by its MAC address (best: it does not depend on the kernel) or by its device name."""

    mac: Mac | None = None
    """MAC address."""
    name: DeviceName | None = None
    """Device name such as ``eno1``; together with ``mac`` only the word by which links and bonds mean this card."""

    @property
    def key(self) -> str:
        """The word by which bonds and links mean this card."""
        return self.name or self.mac or ""


class BondMode(StrEnum):
    """Modes of the Linux bonding driver."""

    BALANCE_RR = "balance-rr"
    ACTIVE_BACKUP = "active-backup"
    BALANCE_XOR = "balance-xor"
    BROADCAST = "broadcast"
    LACP = "802.3ad"
    BALANCE_TLB = "balance-tlb"
    BALANCE_ALB = "balance-alb"


class Bond(SiteModel):
    """Several network cards that act as one."""

    name: DeviceName
    """Device name, ``bond0``."""
    nics: tuple[CardKey, ...]
    """The cards: each by its ``name``, or by its ``mac`` where it has no name."""
    mode: BondMode = BondMode.ACTIVE_BACKUP
    """Bonding mode; ``802.3ad`` needs LACP on the switch."""
    miimon: Annotated[int, Field(ge=0, le=60000)] = 100
    """Link check interval in milliseconds."""


class Link(SiteModel):
    """A host's connection to one network."""

    network: str
    """Name of the network."""
    on: CardKey | None = None
    """The bond or card that carries it; may be left out when the host has just one."""
    tagged: bool | None = None
    """Whether this host tags the network's VLAN; left out: it does when the network has one."""
    address: IPv4Address | Literal["dhcp"] | None = None
    """The host's address here. Left out: asked at install time on the management network, none on others."""
