"""What differs between the EL generations, read from ``kickstart/generations/elN.yaml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import Field, ValidationError

from b2ct.errors import UsageError
from b2ct.site.types import Distro, SiteModel

if TYPE_CHECKING:
    from b2ct.assets import Assets


class Snippets(SiteModel):
    """Files under ``kickstart/snippets/`` that do a step in this generation's way."""

    time: str
    """Kickstart lines for zone and time servers."""
    keyboard: str
    """Kickstart line for the keyboard."""
    network: str
    """%post functions that write network profiles."""
    firewall: str
    """%post functions that write the firewall."""
    services: str
    """%post functions that enable services."""
    time_post: str = ""
    """%post function that sets the time servers, where no kickstart command does."""


class Firmware(SiteModel):
    """Kickstart lines for the partitions that the firmware needs; ``$B2CT_DISK1`` and ``$B2CT_DISK2`` are the disks."""

    bios: tuple[str, ...] = ()
    uefi: tuple[str, ...] = ()


class RaidDevices(SiteModel):
    """Names of the arrays of mirrored disks."""

    boot: str
    pv: str


class Storage(SiteModel):
    """Partitioning."""

    fstype: str
    """The distribution's default file system."""
    plain: Firmware
    """On one disk."""
    mirror: Firmware
    """On two mirrored disks."""
    clearpart: str
    """``clearpart`` on one disk, without ``--drives``."""
    mirror_clearpart: str
    """The same on mirrored disks."""
    bootloader: str
    """``bootloader`` with its drive."""
    raid_devices: RaidDevices


class Network(SiteModel):
    """What the installer's ``network`` command can do."""

    bonds: bool
    """It makes bonds."""
    bond_with_vlan: bool = False
    """It makes a bond and a VLAN on it in one command; else the VLAN needs a command of its own."""
    interfacename: bool
    """It knows ``--interfacename`` for VLANs."""
    nm_controlled: Literal["yes", "no"] = "yes"
    """NM_CONTROLLED of ifcfg files: whether NetworkManager keeps them."""


class OsRepository(SiteModel):
    """A repository of the distribution."""

    name: str
    path: str
    """Below the mirror; ``{version}`` and ``{arch}`` stand for the folders."""
    on_media: str
    """Folder on the DVD; empty for a repository that no DVD carries."""


class Distribution(SiteModel):
    """A distribution of this generation."""

    mirror: str = ""
    """Folder that holds the version folders; empty: it has no public mirror."""
    version: str = "{major}"
    """Name of the version folder; ``{major}`` and ``{version}`` stand for the site file's."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Version folders of versions that ``version`` does not cover."""
    repositories: tuple[OsRepository, ...]
    """The first is what the installer installs from."""
    key: str
    """Signing key, on the installed host."""
    epel: str = ""
    """Path of EPEL's packages for it, where it is not the generation's."""
    opennebula: str
    """Folder of OpenNebula's repositories for it, below the version's; ``{arch}`` stands for the architecture."""


class Epel(SiteModel):
    """Extra Packages for Enterprise Linux."""

    mirror: str
    """Folder that holds ``path`` and ``key``."""
    path: str
    key: str


class Ports(SiteModel):
    """A port of a role."""

    port: str
    protocol: Literal["tcp", "udp"] = "tcp"
    site_wide: bool = False
    """True when all of the site's networks need it, not only the management network."""


class OpenNebulaRange(SiteModel):
    """Packages and units of a range of OpenNebula versions."""

    first: str
    last: str
    key: str
    """Path of the signing key below the mirror; empty: the packages carry no signature."""
    folder: str = ""
    """Folder of the packages below the version's, where it is not the distribution's."""
    frontend_packages: tuple[str, ...]
    frontend_units: tuple[str, ...]
    frontend_ports: tuple[Ports, ...]
    node_packages: tuple[str, ...]
    left: tuple[str, ...] = ()
    """What the kickstart leaves to be done on a front-end, in sentences."""


class Rocci(SiteModel):
    """rOCCI-server."""

    repository: str = ""
    """URL of its repository's file; empty: nothing can be installed."""
    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    port: str = ""
    """Where it listens, for the site's networks."""
    left: tuple[str, ...] = ()
    """What is left to be done, in sentences."""


class Packages(SiteModel):
    """Packages of the distribution."""

    base: tuple[str, ...]
    frontend: tuple[str, ...]
    node: tuple[str, ...]
    squid: tuple[str, ...]


class Units(SiteModel):
    """Units (or SysV services) that are enabled."""

    base: tuple[str, ...]
    frontend: tuple[str, ...]
    node: tuple[str, ...]
    squid: tuple[str, ...]


class Libvirt(SiteModel):
    """The libvirt daemon of a node."""

    config: str
    """Its configuration file."""
    socket: str = ""
    """The systemd socket that starts it; empty: it makes its own."""


class Database(SiteModel):
    """The database server."""

    install: str
    """Command that makes an empty data folder."""
    server: str
    """The server program."""
    client: str


class Guest(SiteModel):
    """Virtual machines' images of this generation."""

    packages_options: str
    """Options of ``%packages``: without what is only recommended."""
    packages: tuple[str, ...]
    """Beside ``@core``; both boot loaders among them."""


class Generation(SiteModel):
    """One EL generation."""

    el: int
    pykickstart: str
    """Name of the kickstart syntax version in pykickstart."""
    tty: str
    """Where prompts and failures are shown."""
    commands: tuple[str, ...]
    """Kickstart commands that are the same on all hosts of this generation."""
    kickstart_copy: str
    """Where the installer keeps the kickstart it was given."""
    package_manager: str
    snippets: Snippets
    storage: Storage
    network: Network
    distributions: dict[Distro, Distribution]
    epel: Epel
    packages: Packages
    units: Units
    libvirt: Libvirt
    node_ports: tuple[Ports, ...]
    database: Database
    squid_collapsed_forwarding: bool
    """Whether its squid is 3.5.28 or later."""
    squid_names_only: bool
    """Whether its squid's ``dstdomain`` knows ``-n`` (3.4): an address is no destination, whatever the DNS says."""
    opennebula_mirror: str
    opennebula: tuple[OpenNebulaRange, ...]
    rocci: Rocci
    guest: Guest | None = None
    """None: no images are made of it."""


def load_generation(assets: Assets, el: int) -> Generation:
    """Return the data of EL generation ``el``.

    Raises:
        UsageError: there is no such generation, or a site's own copy of its file is wrong.
    """
    name = f"kickstart/generations/el{el}.yaml"
    try:
        return Generation.model_validate(yaml.safe_load(assets.read_text(name)))
    except (ValidationError, yaml.YAMLError) as error:
        raise UsageError(f"{name}: {error}", hint="b2ct eject --list shows the data files as shipped") from error
