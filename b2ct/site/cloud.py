"""What runs on the cloud: communities, virtual machines, and the central scheduler that sends their work."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2ct.site.types import DomainName, HostOrAddress, Name, SecretRef, SiteModel, Size, Url, VersionNumber, pattern

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


class Community(SiteModel):
    """A virtual organisation (VO) that the site serves."""

    name: Name
    """The VO's name, ``belle``."""
    cvmfs: tuple[DomainName, ...] = ()
    """CVMFS repositories that its jobs need, ``belle.cern.ch``."""
    limits: Limits = Limits()
    """The most that it may use."""


class Vm(SiteModel):
    """An image and VM template to publish in OpenNebula."""

    bundle: Name
    """Name of the bundle, ``belle2-worker``."""
    version: VersionNumber | None = None
    """Version of the bundle; left out: the newest that B2CT provides."""
    vo: Name
    """The community it belongs to."""
    network: Name = "private"
    """The network of its virtual machines."""
    cores: Annotated[int, Field(ge=1)] = 1
    """CPU cores of one virtual machine."""
    memory: Size | None = None
    """Memory of one virtual machine; left out: 2 GiB a core."""
    scratch: Size | None = None
    """Scratch disk of one virtual machine; left out: 20 GB a core."""


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
