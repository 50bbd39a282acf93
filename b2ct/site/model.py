"""The site file as a whole."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import ByteSize, Field

from b2ct.site.central import Central
from b2ct.site.cloud import Community, Vm
from b2ct.site.host import Host
from b2ct.site.network import Network
from b2ct.site.types import (
    AbsolutePath,
    Arch,
    Checksum,
    Console,
    Distro,
    DomainName,
    HostName,
    HostOrAddress,
    KernelArgument,
    MinisignKey,
    Name,
    ReleaseNumber,
    SecretRef,
    SiteModel,
    Size,
    SshKey,
    Text,
    Url,
    UrlOrPath,
    UserName,
    VersionNumber,
    pattern,
)

Locale = Annotated[
    str, pattern(r"^[a-z]{2,3}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?$", 40, "a locale such as en_US.UTF-8")
]
Keymap = Annotated[str, pattern(r"^[a-z0-9][a-z0-9_-]*$", 40, "a console keymap such as us or it")]
TimeZone = Annotated[str, pattern(r"^[A-Za-z0-9_+/-]+$", 60, "an IANA time zone such as Europe/Rome")]


class Media(SiteModel):
    """The stock install ISO that the install media are made from."""

    distro: Distro
    """Distribution."""
    version: VersionNumber
    """Its version, ``9`` or ``9.6``."""
    arch: Arch = Arch.X86_64
    """Architecture."""
    iso: UrlOrPath | None = None
    """The stock ISO, a path that starts at the site file's folder; a URL says where to download it by hand.
    ``--stock`` takes its place."""
    checksum: Checksum | None = None
    """Checksum of the stock ISO; it is verified before use."""

    @property
    def generation(self) -> int:
        """The EL major version, 9 for ``9.6``."""
        return int(self.version.split(".")[0])


class Edition(StrEnum):
    """Editions of OpenNebula."""

    COMMUNITY = "community"
    ENTERPRISE = "enterprise"


class OpenNebula(SiteModel):
    """Which OpenNebula the hosts get, and how it is reached."""

    version: ReleaseNumber
    """Major and minor, ``7.2``."""
    edition: Edition = Edition.COMMUNITY
    """Edition; the packages of ``enterprise`` come from a mirror of yours, ``sources.opennebula``."""
    token: SecretRef | None = None
    """Customer token of the enterprise repositories."""
    endpoint: Url | None = None
    """URL of its XML-RPC API; left out: ``http://HOST:2633/RPC2`` on the front-end."""
    ca: UrlOrPath | None = None
    """File with the certificate authority of an ``https`` endpoint; a path that starts at the site file's folder."""
    user: Name = "oneadmin"
    """OpenNebula user that B2CT acts as. An ordinary user imports for itself alone."""
    password: SecretRef | None = None
    """Its password or login token; left out: what OpenNebula's own tools use, ``$ONE_AUTH`` or ``~/.one/one_auth``."""
    onegate: bool | None = None
    """Whether virtual machines report to OneGate; left out: if the front-end has it (only oneadmin can ask)."""
    cluster: Name = "default"
    """OpenNebula cluster of the site's nodes."""
    image_datastore: Name = "default"
    """Datastore that images are imported into."""


class Time(SiteModel):
    """Clocks."""

    zone: TimeZone = "UTC"
    """IANA time zone, ``Europe/Rome``."""
    ntp: tuple[HostOrAddress, ...] = ()
    """Time servers; left out: the distribution's pool."""


class User(SiteModel):
    """A person or program that may log in to the hosts."""

    name: UserName
    """Login name."""
    gecos: Text | None = None
    """Full name."""
    admin: bool = True
    """May become root through sudo."""
    ssh_keys: tuple[SshKey, ...] = ()
    """OpenSSH public keys."""
    password: SecretRef | None = None
    """The password, or its crypt(3) hash; only the hash gets on to install media."""


class RootPolicy(StrEnum):
    """How root may log in."""

    LOCKED = "locked"
    KEYS = "keys"
    PASSWORD = "password"  # noqa: S105 - the name of a policy


class Root(SiteModel):
    """The root account."""

    policy: RootPolicy = RootPolicy.LOCKED
    """``locked``, ``keys`` (over SSH), or ``password`` (on the console)."""
    ssh_keys: tuple[SshKey, ...] = ()
    """Public keys, with ``keys``."""
    password: SecretRef | None = None
    """The password or its crypt(3) hash, with ``password``."""


class Sources(SiteModel):
    """Where packages come from. What is left out comes from the distributor over the network."""

    os: Url | None = None
    """Mirror of the distribution: the folder that holds the version folders, ``http://mirror.example.org/almalinux``."""
    epel: Url | None = None
    """Mirror of EPEL: the folder that holds ``9/``."""
    opennebula: Url | None = None
    """Mirror of OpenNebula's packages: the folder that holds the version folders."""
    bundles: Url | None = None
    """Repository of bundles, as ``b2ct marketplace build`` makes it."""
    bundles_key: MinisignKey | None = None
    """minisign key by which that repository is signed."""
    proxy: Url | None = None
    """HTTP proxy for the installer and the package manager."""
    offline: bool = False
    """Nothing is fetched over the network: everything comes from the media."""


class SshDatastore(SiteModel):
    """Images are copied to the nodes over SSH."""

    mode: Literal["ssh"]
    """The mode."""


class NfsDatastore(SiteModel):
    """An NFS export holds the datastores."""

    mode: Literal["nfs"]
    """The mode."""
    server: HostOrAddress
    """NFS server."""
    export: AbsolutePath
    """Exported path."""
    options: Annotated[str, pattern(r"^[a-z0-9_,=.]+$", 200, "NFS mount options")] = "soft,intr,rsize=32768,wsize=32768"
    """Mount options."""


class SharedDatastore(SiteModel):
    """A path that all hosts share already (a cluster file system)."""

    mode: Literal["shared"]
    """The mode."""
    path: AbsolutePath
    """The shared path."""


Datastores = Annotated[SshDatastore | NfsDatastore | SharedDatastore, Field(discriminator="mode")]


class Squid(SiteModel):
    """The CVMFS proxy."""

    memory: Size = ByteSize(256 * 1024**2)
    """Memory for hot objects."""
    disk: Size = ByteSize(20 * 1024**3)
    """Cache on disk."""
    clients: tuple[IPv4Network, ...] = ()
    """Networks that may use it; left out: the site's own networks."""
    destinations: Annotated[tuple[DomainName, ...], Field(min_length=1)] = (
        "cvmfs-stratum-one.cc.kek.jp",
        "cvmfs-stratum-one.cern.ch",
        "cernvmfs.gridpp.rl.ac.uk",
        "cvmfs-s1bnl.opensciencegrid.org",
    )
    """Hosts that it may fetch from: the CVMFS Stratum 1 servers."""


class Site(SiteModel):
    """A site: one file from which B2CT makes install media, cloud, virtual machines and registration."""

    site: HostName
    """Short name of the site; it names the cloud and the install media."""
    domain: DomainName
    """DNS domain of the hosts."""
    media: Media
    """Stock install ISO."""
    opennebula: OpenNebula
    """OpenNebula version."""
    networks: Annotated[dict[Name, Network], Field(min_length=1)]
    """Networks by name."""
    management: Name = "service"
    """The network that carries the hosts' management address."""
    hosts: tuple[Host, ...] = ()
    """The machines. The boot menu offers each of them, and an interactive installation for any other."""
    time: Time = Time()
    """Clocks."""
    language: Locale = "en_US.UTF-8"
    """Locale of the hosts."""
    keyboard: Keymap = "us"
    """Console keymap."""
    users: tuple[User, ...] = ()
    """Who may log in."""
    root: Root = Root()
    """The root account."""
    console: Console | None = None
    """Serial console of the hosts, and of the boot menu."""
    kernel_arguments: tuple[KernelArgument, ...] = ()
    """Kernel arguments of all hosts, for the installer and the installed system."""
    sources: Sources = Sources()
    """Where packages come from."""
    datastores: Datastores = SshDatastore(mode="ssh")
    """Where OpenNebula keeps images and disks."""
    squid: Squid = Squid()
    """The CVMFS proxy."""
    vms: tuple[Vm, ...] = ()
    """Images and VM templates to publish."""
    vo: tuple[Community, ...] = ()
    """Communities that the site serves."""
    central: Central | None = None
    """The central scheduler."""
