"""The central scheduler that sends the site's work."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2ct.site.types import AbsolutePath, DomainName, HostOrAddress, Name, SecretRef, SiteModel, pattern

DiracSiteName = Annotated[
    str, pattern(r"^[A-Za-z0-9-]+\.[A-Za-z0-9-]+\.[a-z]{2,3}$", 64, "a DIRAC site name such as LCG.Torino.it")
]

DipsUrl = Annotated[
    str,
    pattern(
        r"^dips://[A-Za-z0-9.-]+:[0-9]{1,5}/[A-Za-z0-9]+/[A-Za-z0-9]+$",
        300,
        "a DIRAC service URL, dips://host:port/System/Service",
    ),
]

CloudUrl = Annotated[
    str,
    pattern(
        r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/RPC2$",
        300,
        "the https URL of OpenNebula's XML-RPC API, https://host:port/RPC2 (DIRAC's driver knows no other)",
    ),
]

DiracxUrl = Annotated[
    str,
    pattern(
        r"^(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$",
        300,
        "the https URL of DiracX, https://host:port: tokens travel to it (http only on this machine's own loopback)",
    ),
]
"""A refresh token in clear could be used by everybody who sees it; a test's DiracX is on loopback."""


class DiracScheduler(SiteModel):
    """DIRAC, with VirtualMachineManager (8) or CloudComputingElement (8, 9)."""

    kind: Literal["dirac"]
    """The scheduler's kind."""
    version: Literal["8", "9"] = "8"
    """Major version of the central services."""
    configuration_servers: Annotated[tuple[DipsUrl, ...], Field(min_length=1)]
    """URLs of the Configuration Service, ``dips://host:9135/Configuration/Server``."""
    setup: Name | None = None
    """DIRAC's setup, ``Dirac-Production``; DIRAC 8 has one, DIRAC 9 has none."""
    site_name: DiracSiteName
    """The site's name in DIRAC, ``LCG.Torino.it``."""
    ce: HostOrAddress | None = None
    """What the site's computing elements are named after, ``VO.CE``; left out: the front-end's host name."""
    cloud: CloudUrl | None = None
    """OpenNebula's XML-RPC API as DIRAC reaches it, ``https://one.to.infn.it:2634/RPC2``, for a DIRAC that starts the
    virtual machines itself; left out: it starts none."""
    vm_manager: DipsUrl | None = None
    """URL of DIRAC 8's VirtualMachineManager, which virtual machines report to; left out: they do not."""
    certificate: SecretRef | None = None
    """Certificate that the virtual machines show, PEM."""
    key: SecretRef | None = None
    """Its private key, PEM."""
    ca_path: AbsolutePath = "/etc/grid-security/certificates"
    """Folder with the certificate authorities, in the virtual machines and where ``b2ct register`` runs."""


class DiracxScheduler(SiteModel):
    """DiracX beside DIRAC 9."""

    kind: Literal["diracx"]
    """The scheduler's kind."""
    url: DiracxUrl
    """URL of DiracX, https."""
    site_name: DiracSiteName
    """The site's name in DIRAC, ``LCG.Torino.it``."""
    token: SecretRef | None = None
    """Refresh token, a file with one line: for ``b2ct register``, and for the access tokens that ``b2ct credentials``
    gives to the virtual machines. It is replaced whenever it is used."""


class HtcondorScheduler(SiteModel):
    """An HTCondor pool that the virtual machines join."""

    kind: Literal["htcondor"]
    """The scheduler's kind."""
    central_manager: HostOrAddress
    """Host of the collector."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9618
    """Its port."""
    trust_domain: DomainName | None = None
    """TRUST_DOMAIN of the pool, which its tokens name; left out: the collector's host."""
    token: SecretRef | None = None
    """File with the IDTOKENs with which virtual machines advertise themselves, one a line, one for each community."""


Central = Annotated[DiracScheduler | DiracxScheduler | HtcondorScheduler, Field(discriminator="kind")]
"""The central scheduler."""


def names_credentials(central: Central | None) -> bool:
    """Return whether the site file names credentials for virtual machines."""
    match central:
        case DiracScheduler():
            return central.certificate is not None and central.key is not None
        case DiracxScheduler() | HtcondorScheduler():
            return central.token is not None
        case None:
            return False
