"""What is known about a built image: the file ``<image>.json`` beside it, which import and marketplace read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b2ct.plan.bundle import FileName, Md5
from b2ct.plan.image import CVMFS, BootMode, Contextualization, Family, Method, PackageName
from b2ct.site.data_file import read_data_file
from b2ct.site.types import Name, SiteModel, Text, VersionNumber, pattern

Sha256 = Annotated[str, pattern(r"^[0-9a-f]{64}$", 64, "a SHA-256 sum of 64 hexadecimal digits")]


class PackageVersion(SiteModel):
    """A package inside an image."""

    name: str
    """Its name, as the guest's package manager says it."""
    version: str
    """Its version, the same way."""


class ImageRecord(SiteModel):
    """What an image file is, and what is inside; the units of sizes are bytes."""

    record: Literal["1"] = "1"
    """Version of this format."""
    name: Name
    """Name of the description that the image was built from."""
    version: VersionNumber
    """Version of the image."""
    title: Text
    """One line for lists."""
    family: Family
    """Family of the guest."""
    release: VersionNumber
    """Release of the guest."""
    file: FileName
    """Name of the image file, in the folder of this record."""
    format: Literal["qcow2"] = "qcow2"
    """Disk format."""
    bytes: Annotated[int, Field(ge=1)]
    """Size of the image file."""
    virtual_bytes: Annotated[int, Field(ge=1)]
    """Size of the disk that the guest sees."""
    sha256: Sha256
    """SHA-256 of the image file."""
    md5: Md5
    """MD5 of the image file."""
    boot: tuple[BootMode, ...]
    """Firmware that it boots with."""
    contextualization: Contextualization
    """What reads the context."""
    method: Method
    """How it was built."""
    built_from: tuple[str, ...]
    """Mirrors and files that went into it."""
    agent_version: str | None = None
    """Version of the VM agent inside; None without."""
    packages: tuple[PackageVersion, ...] = ()
    """Every package inside, sorted by name."""
    left_out: tuple[PackageName, ...] = ()
    """The description's ``repository_packages`` that ``--without-repositories`` left out."""

    @property
    def warning(self) -> str:
        """What machines of the image will lack, one line; empty when nothing was left out."""
        if not self.left_out:
            return ""
        lack = f"{self.file} was built without its repositories' packages, {', '.join(self.left_out)}"
        if CVMFS not in self.left_out:
            return lack
        return f"{lack}: workers of communities with CVMFS repositories will not become READY"


def record_name(image_name: str) -> str:
    """Return the name of the record of the file ``image_name``: ``worker-1.0.0.qcow2.json``."""
    return f"{image_name}.json"


def read_record(text: str, file: str) -> ImageRecord:
    """Return the record that ``text`` holds; ``file`` is what problems call it.

    Raises:
        SiteFileError: with every problem and its line.
    """
    return read_data_file(text, file, ImageRecord)


def render_record(record: ImageRecord) -> str:
    """Return the text of the record's file: JSON, indented by two, with the keys in the model's order."""
    return record.model_dump_json(indent=2) + "\n"
