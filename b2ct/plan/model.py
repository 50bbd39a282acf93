"""What was decided: everything that kickstarts hold, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from b2ct.plan.generation import Generation
    from b2ct.site.types import Role


@dataclass(frozen=True, slots=True)
class Facts:
    """What was learnt from the world before anything is decided."""

    volume_id: str
    """Volume identifier of the install media (ECMA-119 8.4.8)."""
    is_dvd: bool
    """True when the media carry a package repository of their own."""
    password_hashes: Mapping[str, str]
    """crypt(3) hash by user name, and for ``root``."""
    b2ct_version: str


class CardFact(StrEnum):
    """What can be looked up of a card at install time."""

    MAC = "mac"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class FromCard:
    """A word that is known at install time only: the MAC address or device name of the card that ``key`` means."""

    key: str
    fact: CardFact


Word = str | FromCard
"""A word of a network profile."""


class Kind(StrEnum):
    """Kinds of network devices."""

    ETHERNET = "ethernet"
    BOND = "bond"
    VLAN = "vlan"
    BRIDGE = "bridge"


class Ipv4Method(StrEnum):
    """How a device gets its IPv4 address."""

    NONE = "none"
    STATIC = "static"
    DHCP = "dhcp"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Ipv4:
    """IPv4 configuration of a device. Empty texts mean: none."""

    method: Ipv4Method
    address: str = ""
    prefix: int = 32
    netmask: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    default_route: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A network card: ``key`` is the site file's word for it, ``match`` its MAC address or device name ('' = asked)."""

    key: str
    match: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One network device of the installed host."""

    name: str
    """Name of the profile's file."""
    uuid: str
    kind: Kind
    device: Word
    """Device name."""
    mac: Word = ""
    """The card to match, or the address that a bridge takes; empty: none given."""
    master: str = ""
    """Device name of the bond or bridge above; empty: none."""
    master_kind: Kind | None = None
    parent: Word = ""
    """Device under a VLAN."""
    parent_uuid: str = ""
    vlan_id: int = 0
    mtu: int | None = None
    """Bytes."""
    bond_options: tuple[tuple[str, str], ...] = ()
    ipv4: Ipv4 | None = None
    """None for a device that is part of another."""


@dataclass(frozen=True, slots=True)
class InstallLink:
    """A connection that the installer itself uses: a card or bond, perhaps with a VLAN, and an address."""

    card: Card
    """The card, or the first of the bond."""
    bond: str = ""
    """Name of the bond; empty: none."""
    bond_cards: tuple[Card, ...] = ()
    bond_options: tuple[tuple[str, str], ...] = ()
    vlan_id: int = 0
    vlan_device: str = ""
    mtu: int | None = None
    ipv4: Ipv4 = Ipv4(Ipv4Method.ASKED)


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """How a host is connected."""

    cards: tuple[Card, ...]
    install_links: tuple[InstallLink, ...]
    """The management connection first."""
    in_pre: bool
    """True when %pre has to write the installer's ``network`` lines: something in them is asked or looked up."""
    asks_address: bool
    """True when the management address is asked."""
    profiles: tuple[Profile, ...]
    prefix: int
    gateway: str
    dns: tuple[str, ...]
    cidr: str
    taken: tuple[str, ...]
    """``name=address`` of the other hosts on the management network."""
    ranges_taken: tuple[str, ...]
    """``first-last`` of the addresses that virtual machines get on the management network."""


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume; size in MiB."""

    name: str
    mount: str
    """Mount point, or ``swap``."""
    fstype: str
    size_mib: int
    grow: bool


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """How the disks are chosen and divided; sizes in MiB."""

    rules: tuple[str, ...]
    """One rule for each disk, ``wwn=0x5000...,smallest``; empty: asked."""
    count: int
    minimum_mib: int
    """What the layout needs of each disk."""
    mirrored: bool
    boot_mib: int
    boot_fstype: str
    firmware_bios: tuple[str, ...]
    """Kickstart lines that make what a BIOS needs."""
    firmware_uefi: tuple[str, ...]
    """The same for UEFI."""
    volume_group: str
    volumes: tuple[LogicalVolume, ...]
    kernel_arguments: tuple[str, ...]
    """Of the installed system."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the hosts."""

    name: str
    gecos: str
    admin: bool
    password_hash: str
    """crypt(3) hash; ``*`` when no password opens the account."""
    ssh_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RootAccount:
    """The root account."""

    password_hash: str
    """crypt(3) hash; empty when the account is locked."""
    ssh_keys: tuple[str, ...]
    permit_login: str
    """sshd's PermitRootLogin."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A package repository."""

    name: str
    url: str
    key: str
    """URL of its signing key."""
    on_media: bool = False
    """True when it exists during the installation only."""


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """A port, or a range ``49152-49215``, that some networks may reach."""

    port: str
    protocol: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SquidPlan:
    """The CVMFS proxy; sizes in MB as squid counts them (2^20 bytes)."""

    memory_mb: int
    disk_mb: int
    clients: tuple[str, ...]
    destinations: tuple[str, ...]
    collapsed_forwarding: bool
    names_only: bool


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What a host gets for a role and its services."""

    role: Role
    packages: tuple[str, ...]
    """Of the distribution."""
    cloud_packages: tuple[str, ...]
    """Of the repositories that only the installed system knows."""
    units: tuple[str, ...]
    firewall: tuple[FirewallRule, ...]
    left: tuple[str, ...]
    """What the kickstart leaves to be done, in sentences for the administrator."""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host, or the interactive installation."""

    name: str
    """Empty: asked."""
    kickstart: str
    """Path of its kickstart on the media."""
    fqdn: str
    """Empty: asked."""
    roles: tuple[RolePlan, ...]
    """One, or every role when it is asked."""
    services: tuple[str, ...]
    network: NetworkPlan
    storage: StoragePlan
    squid: SquidPlan | None
    rocci: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A site's install media, decided."""

    site: str
    domain: str
    generation: Generation
    facts: Facts
    distro: str
    version: str
    """Of the distribution, ``9.6``."""
    opennebula: str
    """OpenNebula version."""
    language: str
    keyboard: str
    timezone: str
    ntp: tuple[str, ...]
    proxy: str
    ask_timeout_s: int
    """Seconds until a question's default is taken."""
    install_url: str
    """Where the installer gets packages; empty: the media."""
    install_repositories: tuple[Repository, ...]
    """Further repositories for the installer."""
    media_device: str
    """The media, as ``harddrive --partition=`` names them."""
    repositories: tuple[Repository, ...]
    """What the installed system uses."""
    accounts: tuple[Account, ...]
    root: RootAccount
    hosts: tuple[HostPlan, ...]
    """Every host of the site, then the interactive installation."""
