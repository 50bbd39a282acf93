"""What runs on the cloud: communities, virtual machines, and the central scheduler that sends their work."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field

from b2ct.site.types import (
    DomainName,
    HostOrAddress,
    Name,
    SecretRef,
    SiteModel,
    Size,
    SizeOrNone,
    SshKey,
    Url,
    VersionNumber,
    pattern,
)

DiracSiteName = Annotated[
    str, pattern(r"^[A-Za-z0-9-]+\.[A-Za-z0-9-]+\.[a-z]{2,3}$", 64, "a DIRAC site name such as LCG.Torino.it")
]

DipsUrl = Annotated[
    str,
    pattern(
        r"^dips?://[A-Za-z0-9.-]+:[0-9]+/[A-Za-z0-9/_-]+$", 300, "a DIRAC service URL, dips://host:port/System/Service"
    ),
]


class Limits(SiteModel):
    """The most that a community may use at once; left out means no limit."""

    vms: Annotated[int, Field(ge=1)] | None = None
    """Virtual machines."""
    cores: Annotated[int, Field(ge=1)] | None = None
    """CPU cores."""
    memory: Size | None = None
    """Memory."""


def _printable(text: str) -> str:
    """Refuse what nobody can see: characters that a web page has in the place of blanks, among others."""
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed, or blanks that are none: type it anew")
    return text


Command = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
"""One line for the shell; the VM agent takes no other (``vmagent/b2ct_vmagent/settings.py``)."""


class Community(SiteModel):
    """A virtual organisation (VO) that the site serves: a group in OpenNebula, with its quota and its templates."""

    name: Name
    """The VO's name, ``belle``; its group in OpenNebula is called the same."""
    cvmfs: tuple[DomainName, ...] = ()
    """CVMFS repositories that its jobs need, ``belle.cern.ch``."""
    pilot: Command | None = None
    """What its workers run when they are ready, ``/cvmfs/t2k.egi.eu/pilot/start.sh``; left out: nothing."""
    limits: Limits = Limits()
    """The most that it may use."""
    user: Name | None = None
    """OpenNebula user for its central scheduler; left out: none is made."""
    password: SecretRef | None = None
    """That user's password."""
    ssh_keys: tuple[SshKey, ...] = ()
    """OpenSSH public keys that may log in to its virtual machines."""


class Pinning(StrEnum):
    """How virtual cores are bound to real ones (OpenNebula's PIN_POLICY)."""

    CORE = "core"
    """Each virtual core has a whole real core."""
    THREAD = "thread"
    """Each virtual core has a hardware thread."""
    SHARED = "shared"
    """Virtual machines share the real cores."""


class HugePages(StrEnum):
    """Sizes of huge pages."""

    MIB2 = "2MiB"
    GIB1 = "1GiB"

    @property
    def mib(self) -> int:
        """The size in MiB."""
        return {HugePages.MIB2: 2, HugePages.GIB1: 1024}[self]


WHOLE_NODE = "whole-node"
"""As many cores as the cluster's smallest node has."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


Cores = Annotated[int, Field(ge=1)] | Literal["whole-node"]


class Vm(SiteModel):
    """A bundle to import: an image, and a VM template for each of ``cores``."""

    bundle: Name
    """Name of the bundle, ``belle2-worker``."""
    version: VersionNumber | None = None
    """Version of the bundle that new virtual machines get; left out: the newest. An older one rolls back."""
    guest: Name | None = None
    """The bundle's guest system, ``el9``; left out: its first."""
    vo: Name | None = None
    """The community that it works for; only it can use the template. Left out (squid): whoever imports."""
    name: Name | None = None
    """Name of the VM templates; left out: made from community, bundle and guest."""
    network: Name = "private"
    """The network of its virtual machines."""
    address: IPv4Address | None = None
    """Fixed address on that network: a squid has one, so that workers find it."""
    cores: Annotated[tuple[Cores, ...], BeforeValidator(_as_list), Field(min_length=1)] = (1,)
    """CPU cores of one virtual machine: ``1``, ``[1, 8, whole-node]``. Each makes a VM template."""
    memory_per_core: Size = ByteSize(2 * 1024**3)
    """Memory of one virtual machine for each of its cores."""
    scratch_per_core: SizeOrNone = ByteSize(20 * 1000**3)
    """Scratch disk of one virtual machine for each of its cores; ``0`` for none."""
    cpu_model: Name = "host-passthrough"
    """libvirt's CPU model; ``host-passthrough`` is fastest, a named one lets machines move between unlike nodes."""
    pinning: Pinning | None = None
    """Bind virtual cores to real ones; the nodes need PIN_POLICY=PINNED in OpenNebula."""
    hugepages: HugePages | None = None
    """Back the memory with huge pages; the nodes have to have them."""
    cluster: Name | None = None
    """OpenNebula cluster whose nodes run it; left out: the site's."""


class DiracScheduler(SiteModel):
    """DIRAC, with VirtualMachineManager (8) or CloudComputingElement (8, 9)."""

    kind: Literal["dirac"]
    """The scheduler's kind."""
    version: Literal["8", "9"] = "8"
    """Major version of the central services."""
    configuration_servers: Annotated[tuple[DipsUrl, ...], Field(min_length=1)]
    """URLs of the Configuration Service, ``dips://host:9135/Configuration/Server``."""
    site_name: DiracSiteName
    """The site's name in DIRAC, ``LCG.Torino.it``."""
    certificate: SecretRef | None = None
    """Certificate that the virtual machines show."""
    key: SecretRef | None = None
    """Its private key."""


class DiracxScheduler(SiteModel):
    """DiracX beside DIRAC 9."""

    kind: Literal["diracx"]
    """The scheduler's kind."""
    url: Url
    """URL of DiracX."""
    site_name: DiracSiteName
    """The site's name in DIRAC, ``LCG.Torino.it``."""
    token: SecretRef | None = None
    """Refresh token for registration."""


class HtcondorScheduler(SiteModel):
    """An HTCondor pool that the virtual machines join."""

    kind: Literal["htcondor"]
    """The scheduler's kind."""
    central_manager: HostOrAddress
    """Host of the collector."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9618
    """Its port."""
    token: SecretRef | None = None
    """IDTOKEN with which virtual machines advertise themselves."""


Central = Annotated[DiracScheduler | DiracxScheduler | HtcondorScheduler, Field(discriminator="kind")]
"""The central scheduler."""
