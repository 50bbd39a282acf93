"""What a golden image is made of: the model of ``templates/images/NAME.yaml``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import ByteSize, Field

from b2ct.errors import SiteFileError
from b2ct.site.data_file import read_data_file
from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.load import locate_findings
from b2ct.site.types import Checksum, DomainName, Name, SiteModel, Size, Text, Url, VersionNumber, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.assets import Assets
    from b2ct.site.yaml import Loc

FOLDER = "templates/images"
"""Data folder of the descriptions; a site may have more in its ``overrides/``."""

CVMFS = "cvmfs"
"""Package of CVMFS's client."""

DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Names of packages (Debian policy 5.6.1)."""


class Method(StrEnum):
    """How an image is built."""

    DEBOOTSTRAP = "debootstrap"
    """Packages are installed into a folder, which becomes the root file system (Debian, Ubuntu)."""
    CLOUD_IMAGE = "cloud-image"
    """The distribution's cloud image boots once in QEMU and is changed from within."""
    KICKSTART = "kickstart"
    """Anaconda installs from a boot ISO in QEMU (the EL family)."""


class Family(StrEnum):
    """Families of guest systems: they share package manager and file names."""

    EL = "el"
    DEBIAN = "debian"
    UBUNTU = "ubuntu"


class Contextualization(StrEnum):
    """The program in the guest that reads OpenNebula's context."""

    CLOUD_INIT = "cloud-init"
    ONE_CONTEXT = "one-context"


class BootMode(StrEnum):
    """Firmware that an image boots with."""

    BIOS = "bios"
    UEFI = "uefi"


PackageName = Annotated[str, pattern(r"^@?\^?[A-Za-z0-9][A-Za-z0-9+._-]*$", 128, "the name of a package")]
"""A package; ``@GROUP`` and ``@^ENVIRONMENT`` (dnf(8)) are for the EL family."""


class Source(SiteModel):
    """Where a guest's system comes from."""

    url: Url
    """Package mirror (``debootstrap``), cloud image, or boot ISO."""
    suite: Name | None = None
    """Release name, ``bookworm`` (``debootstrap``)."""
    security_url: Url | None = None
    """Mirror of the suite ``bookworm-security`` (``debootstrap``)."""
    components: tuple[Name, ...] = ("main",)
    """Archive components (``debootstrap``)."""
    checksum: Checksum | None = None
    """Checksum of the cloud image or ISO."""


class Repository(SiteModel):
    """A package repository beside the distribution's."""

    name: Name
    """Its file's name in the guest."""
    url: Url
    """Base URL (EL) or mirror (Debian)."""
    suite: str = ""
    """Suite and components of a Debian repository, ``bookworm-prod main``."""
    key: Url
    """Its signing key; https."""


class ImageDescription(SiteModel):
    """A golden image: a minimal guest that becomes a worker by its context alone."""

    name: Name
    """Name of the image and of this file."""
    version: VersionNumber
    """Version of the image; it grows whenever what is inside changes."""
    title: Text
    """One line for lists."""
    family: Family
    """Family of the guest."""
    release: VersionNumber
    """Release of the guest, ``12``."""
    method: Method
    """How it is built."""
    source: Source
    """Where its system comes from."""
    size: Size = ByteSize(10 * 1024**3)
    """Virtual size of the disk; the root file system grows with it."""
    boot: Annotated[tuple[BootMode, ...], Field(min_length=1)] = (BootMode.BIOS, BootMode.UEFI)
    """Firmware that it boots with."""
    packages: tuple[PackageName, ...] = ()
    """Packages beside the minimal system, kernel and boot loader."""
    repositories: tuple[Repository, ...] = ()
    """Repositories beside the distribution's."""
    repository_packages: tuple[PackageName, ...] = ()
    """Packages that only ``repositories`` have (the CVMFS client); ``--without-repositories`` leaves them out."""
    warm: tuple[DomainName, ...] = ()
    """CVMFS repositories whose catalogues are fetched into the cache while building."""
    agent: bool = True
    """The VM agent is inside."""


def image_names(assets: Assets) -> tuple[str, ...]:
    """Return the names of all descriptions, B2CT's and the site's, sorted."""
    files = [name for name in (*assets.names(), *assets.own_names()) if name.startswith(f"{FOLDER}/")]
    return tuple(sorted({name[len(FOLDER) + 1 : -5] for name in files if name.endswith(".yaml")}))


def load_image_description(assets: Assets, name: str) -> ImageDescription:
    """Return the description of the image ``name``.

    Raises:
        UsageError: there is none.
        SiteFileError: it is wrong; with every problem and its line.
    """
    path = assets.path(f"{FOLDER}/{name}.yaml")
    description = read_data_file(assets.read_text(f"{FOLDER}/{name}.yaml"), str(path), ImageDescription)
    if findings := check_image_description(description, name):
        raise SiteFileError(locate_findings(findings, path), str(path))
    return description


def check_image_description(description: ImageDescription, name: str) -> tuple[Finding, ...]:
    """Return everything that is wrong with the description in ``NAME.yaml`` whose single values are well-formed."""
    checks = (_check_method, _check_addresses, _check_repositories, _check_packages)
    found = [finding for check in checks for finding in check(description)]
    if description.name != name:
        found.insert(0, Finding(("name",), f"{description.name} is not the file's name", f"name: {name}"))
    return tuple(found)


def _check_method(description: ImageDescription) -> Iterator[Finding]:
    """The method can make guests of the family, and has what it needs."""
    method, family, source = description.method, description.family, description.source
    if method is Method.DEBOOTSTRAP and family is Family.EL:
        yield Finding(("method",), f"no {family} guest can be made by {method}", "cloud-image or kickstart can")
    if method is Method.KICKSTART and family is not Family.EL:
        yield Finding(("method",), f"no {family} guest can be made by {method}", "debootstrap or cloud-image can")
    if method is Method.DEBOOTSTRAP and source.suite is None:
        yield Finding(("source", "suite"), "is missing", "such as bookworm")
    if method is Method.DEBOOTSTRAP and source.checksum is not None:
        yield Finding(("source", "checksum"), "is of a cloud image or ISO; apt checks packages by the archive's keys")


def _check_addresses(description: ImageDescription) -> Iterator[Finding]:
    """Nothing here fetches by ftp; a key that anybody on the way can replace proves nothing."""
    source = description.source
    urls: list[tuple[Loc, str]] = [
        (("source", "url"), source.url),
        (("source", "security_url"), source.security_url or ""),
    ]
    urls += [(("repositories", i, "url"), repository.url) for i, repository in enumerate(description.repositories)]
    for loc, url in urls:
        if url.startswith("ftp:"):
            yield Finding(loc, "has to be an http or https URL")
    for i, repository in enumerate(description.repositories):
        if not repository.key.startswith("https:"):
            yield Finding(("repositories", i, "key"), "has to be an https URL: whoever has the key signs packages")


def _check_repositories(description: ImageDescription) -> Iterator[Finding]:
    """Each repository has a file of its own, and says what is wanted of it."""
    repositories = description.repositories
    names = ((("repositories", i, "name"), repository.name) for i, repository in enumerate(repositories))
    yield from find_duplicates("the name", names)
    for i, repository in enumerate(repositories):
        if description.family is not Family.EL and len(repository.suite.split()) < 2:
            yield Finding(("repositories", i, "suite"), "suite and component are missing", "suite: bookworm main")
    if description.repository_packages and not repositories:
        yield Finding(("repository_packages",), "no repository is described that has them")


def _check_packages(description: ImageDescription) -> Iterator[Finding]:
    """Names are names to the guest's package manager; the cache of CVMFS needs the client."""
    if description.family is not Family.EL:
        for key in ("packages", "repository_packages"):
            for i, package in enumerate(getattr(description, key)):
                if not DEBIAN_PACKAGE.fullmatch(package):
                    yield Finding((key, i), f"{package!r} is no name of a package")
    if description.warm and CVMFS not in description.repository_packages:
        yield Finding(("warm",), f"needs {CVMFS} among repository_packages")
