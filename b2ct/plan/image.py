"""What a golden image is made of, read from ``templates/images/NAME.yaml``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import ByteSize, Field

from b2ct.site.data_file import read_data_file
from b2ct.site.types import Checksum, DomainName, Name, SiteModel, Size, Text, Url, VersionNumber

if TYPE_CHECKING:
    from b2ct.assets import Assets


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
    url: str
    """Base URL (EL) or mirror (Debian)."""
    suite: str = ""
    """Suite and components of a Debian repository, ``bookworm-prod main``."""
    key: Url
    """Its signing key."""


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
    contextualization: Contextualization = Contextualization.CLOUD_INIT
    """What reads the context."""
    packages: tuple[str, ...] = ()
    """Packages beside the minimal system, kernel and boot loader."""
    repositories: tuple[Repository, ...] = ()
    """Repositories beside the distribution's."""
    repository_packages: tuple[str, ...] = ()
    """Packages that only ``repositories`` have (the CVMFS client); ``--without-repositories`` leaves them out."""
    warm: tuple[DomainName, ...] = ()
    """CVMFS repositories whose catalogues are fetched into the cache while building."""
    agent: bool = True
    """The VM agent is inside."""


def load_image_description(assets: Assets, name: str) -> ImageDescription:
    """Return the description of the image ``name``.

    Raises:
        UsageError: there is none.
        SiteFileError: it is wrong; with every problem and its line.
    """
    file = f"templates/images/{name}.yaml"
    return read_data_file(assets.read_text(file), file, ImageDescription)
