"""What a bundle is: a manifest beside the plain OpenNebula files of an image and a VM template."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from b2ct.site.data_file import read_data_file
from b2ct.site.types import Checksum, Name, ReleaseNumber, SiteModel, Text, Url, VersionNumber, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.plan.artifact import Artifact
    from b2ct.plan.attributes import Template

MANIFEST = "bundle.yaml"
IMAGE_FILE = "image.one"
TEMPLATE_FILE = "template.txt"
USER_DATA_FILE = "user-data.yaml"

FILES = (MANIFEST, IMAGE_FILE, TEMPLATE_FILE, USER_DATA_FILE)
"""The files of every bundle."""

PLACEHOLDERS = ("@IMAGE_ID@", "@NETWORK_ID@", "@IMAGE_NAME@", "@IMAGE_PATH@")
"""What has to be filled in, by ``b2ct bundle render`` or by hand: the seed's "number of the image and the network"."""

FileName = Annotated[str, pattern(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", 128, "a file name: letters, digits, _ . + -")]
Md5 = Annotated[str, pattern(r"^[0-9a-f]{32}$", 32, "an MD5 sum of 32 hexadecimal digits")]


class Kind(StrEnum):
    """What the virtual machines of a bundle are."""

    WORKER = "worker"
    """They work for a community's central scheduler."""
    SQUID = "squid"
    """They cache CVMFS for the others."""


class BundleImage(SiteModel):
    """One guest system that the bundle's VM template can start."""

    guest: Name
    """Short name of the guest, ``el9``."""
    build: Name
    """Description that ``b2ct image build`` makes the image from, ``worker-el9``."""
    version: VersionNumber
    """Version of the image."""
    format: Literal["qcow2", "raw"] = "qcow2"
    """Disk format."""
    file: FileName | None = None
    """File name, beside the manifest or in the folder of images; left out: ``<build>-<version>.<format>``."""
    url: Url | None = None
    """Where it is downloaded from; left out: it is at hand as ``file``."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Size of the file, bytes."""
    virtual_size: Annotated[int, Field(ge=1)] | None = None
    """Size of the disk that the guest sees, bytes."""
    checksum: Checksum | None = None
    """Checksum of the file; images that are built here get theirs from the record beside them."""
    md5: Md5 | None = None
    """MD5 of the file: the only sum besides SHA-1 that OpenNebula's downloader checks."""
    signature: FileName | None = None
    """minisign signature of the file, beside it."""

    @property
    def file_name(self) -> str:
        """The image's file name."""
        return self.file or f"{self.build}-{self.version}.{self.format}"


class Needs(SiteModel):
    """What a bundle asks of the site."""

    opennebula: ReleaseNumber = "6.10"
    """Oldest OpenNebula that takes it."""
    squid: bool = False
    """A CVMFS proxy for its virtual machines."""
    community: bool = False
    """A community with CVMFS repositories, ``vo[].cvmfs``."""


class Manifest(SiteModel):
    """``bundle.yaml``: what a bundle is called, which images belong to it, and what it asks of the site."""

    name: Name
    """Name of the bundle and of its folder."""
    version: VersionNumber
    """Version of the bundle; it grows whenever one of its files or images changes."""
    title: Text
    """One line for lists."""
    kind: Kind = Kind.WORKER
    """What its virtual machines are."""
    images: Annotated[tuple[BundleImage, ...], Field(min_length=1)]
    """The guests; the first is used unless the site file names another."""
    needs: Needs = Needs()
    """What it asks of the site."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was read: its manifest, and its OpenNebula files as attributes with placeholders."""

    manifest: Manifest
    image: Template
    """``image.one``."""
    template: Template
    """``template.txt``."""
    user_data: str
    """``user-data.yaml``."""
    files: tuple[Artifact, ...] = ()
    """The four files as they were read."""
    folder: Path | None = None
    """Where the manifest was read from: image files may lie beside it."""
    origin: str = ""
    """Where it comes from, for people: ``B2CT``, a folder of bundles (``bundles/``), or a repository's URL."""


def read_manifest(text: str, file: str) -> Manifest:
    """Return the manifest that ``text`` describes; ``file`` is what problems call it.

    Raises:
        SiteFileError: with every problem and its line.
    """
    return read_data_file(text, file, Manifest)
