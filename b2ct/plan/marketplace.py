"""What a repository of bundles holds: the index and where its files lie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from b2ct.errors import B2ctError
from b2ct.plan.bundle import FILES, BundleImage, Kind, Md5
from b2ct.plan.image_record import Sha256
from b2ct.plan.publication import version_key
from b2ct.site.types import Name, ReleaseNumber, SiteModel, Text, VersionNumber, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.plan.bundle import Bundle

INDEX = "index.json"
"""The index that B2CT reads; its signature is beside it."""

APPLIANCES = "appliance"
"""The index that OpenNebula reads: ``<ENDPOINT>/appliance`` (src/market_mad/remotes/one/monitor)."""

MARKETPLACE_FILE = "marketplace.one"
"""What ``onemarket create`` takes."""

PUBLIC_KEY_FILE = "minisign.pub"
"""The key that the signatures are by; it has to reach people by another way, too."""

RepositoryPath = Annotated[
    str,
    pattern(
        r"^[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)*$",
        400,
        "a path in the repository: names of letters, digits, _ . + - with / between, none of which begins with a dot",
    ),
]
"""A path that starts at the index; no part of it begins with a dot, so it never leads out."""

Bytes = Annotated[int, Field(ge=0, le=2**53)]
"""A number of bytes that JSON can hold exactly."""

Timestamp = Annotated[int, Field(ge=0, le=253402300799)]
"""Seconds since 1970, up to the year 9999."""


class RepositoryIndexError(B2ctError):
    """The index of a repository is not one."""


class _Part(SiteModel):
    """Base of the index's parts; keys that a later version adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class IndexFile(_Part):
    """A file of a bundle."""

    path: RepositoryPath
    """Where it is, from the index: ``bundles/NAME/VERSION/template.txt``."""
    size: Bytes
    """Its size, bytes."""
    sha256: Sha256
    """Its SHA-256."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1]


class IndexImage(IndexFile):
    """An image of a bundle: ``images/<build>-<version>-<first 16 digits of the SHA-256>.<format>``."""

    guest: Name
    """Short name of the guest."""
    virtual_size: Bytes
    """Size of the disk that the guest sees, bytes."""
    md5: Md5
    """Its MD5, the sum that OpenNebula keeps."""


class IndexBundle(_Part):
    """One version of a bundle."""

    name: Name
    """Name of the bundle."""
    version: VersionNumber
    """Version of the bundle."""
    title: Text
    """One line for lists."""
    kind: Kind
    """What its virtual machines are."""
    opennebula: ReleaseNumber
    """Oldest OpenNebula that takes it."""
    created: Timestamp
    """When it was published first, seconds since 1970."""
    files: tuple[IndexFile, ...]
    """Its files."""
    images: tuple[IndexImage, ...]
    """Its images; those of the manifest that are missing here are built at the site."""

    @model_validator(mode="after")
    def _holds_all_files(self) -> IndexBundle:
        if tuple(sorted(file.name for file in self.files)) != tuple(sorted(FILES)):
            raise ValueError(f"a bundle has the files {', '.join(FILES)}")
        return self


class Index(_Part):
    """``index.json``."""

    repository: Literal["b2ct-bundles"] = "b2ct-bundles"
    """What kind of file this is."""
    format: Literal[1] = 1
    """Version of this format; it grows when older versions of B2CT would misread it."""
    created: Timestamp
    """When it was made, seconds since 1970; never smaller than before."""
    bundles: tuple[IndexBundle, ...]
    """Every version of every bundle, by name and version."""


def read_index(data: bytes, shown: str) -> Index:
    """Return the index that ``data`` holds; ``shown`` is what the error calls it.

    Raises:
        RepositoryIndexError: it is none, or of a format that this version does not know.
    """
    try:
        return Index.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        hint = "a newer B2CT may read it" if where == "format" else "the address is another one, or the file is damaged"
        raise RepositoryIndexError(
            f"{shown} is not the index of a repository: {where}: {first['msg']}", hint=hint
        ) from error


def sort_bundles(bundles: Iterable[IndexBundle]) -> tuple[IndexBundle, ...]:
    """Return the bundles by name and version."""
    return tuple(sorted(bundles, key=lambda bundle: (bundle.name, version_key(bundle.version))))


def image_path(image: BundleImage, sha256: str) -> str:
    """Return where an image lies: its name tells its content, so that copies and caches never hold an old one."""
    return f"images/{image.build}-{image.version}-{sha256[:16]}.{image.format}"


def bundle_path(name: str, version: str) -> str:
    """Return the folder of a bundle's version."""
    return f"bundles/{name}/{version}"


def with_repository(bundle: Bundle, entry: IndexBundle, url: str) -> Bundle:
    """Return ``bundle`` with what the index says about its images; ``url`` is the index's folder, no slash at its end.

    Raises:
        RepositoryIndexError: bundle and index tell different names or versions.
    """
    manifest = bundle.manifest
    if (manifest.name, manifest.version) != (entry.name, entry.version):
        said = f"{entry.name} {entry.version}"
        raise RepositoryIndexError(f"the bundle that {url} calls {said} is {manifest.name} {manifest.version}")
    published = {image.guest: image for image in entry.images}
    images = tuple(
        _published(image, published[image.guest], url) if image.guest in published else image
        for image in manifest.images
    )
    return replace(bundle, manifest=manifest.model_copy(update={"images": images}))


def _published(image: BundleImage, entry: IndexImage, url: str) -> BundleImage:
    return image.model_copy(
        update={
            "url": f"{url}/{entry.path}",
            "size": entry.size,
            "virtual_size": entry.virtual_size,
            "checksum": f"sha256:{entry.sha256}",
            "md5": entry.md5,
            "signature": f"{entry.name}.minisig",
        }
    )
