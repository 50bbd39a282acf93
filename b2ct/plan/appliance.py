"""Decides which appliances OpenNebula's marketplace driver ``one`` makes of a repository of bundles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

from b2ct.plan.attributes import Attribute, Template, first_text, set_values
from b2ct.plan.marketplace import bundle_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.plan.bundle import Bundle
    from b2ct.plan.marketplace import IndexBundle, IndexImage


@dataclass(frozen=True, slots=True)
class Appliance:
    """One appliance, as OpenNebula lists it."""

    id: str
    """Its name in URLs: OpenNebula fetches ``<ENDPOINT>/appliance/<id>/download/0``."""
    name: str
    """Its name; OpenNebula tells appliances apart by it, across all marketplaces."""
    type: Literal["IMAGE", "VMTEMPLATE"]
    version: str
    title: str
    created: int
    """Seconds since 1970."""
    tags: tuple[str, ...]
    template: Template
    """The VM template, without name and image."""
    image: IndexImage | None = None
    """The image of an IMAGE."""
    image_template: Template = ()
    """``image.one``, of an IMAGE."""
    format: str = ""
    """Disk format, of an IMAGE."""
    disks: tuple[str, ...] = ()
    """Names of the IMAGE appliances that are a VMTEMPLATE's disks."""


def make_appliances(published: Iterable[tuple[IndexBundle, Bundle]]) -> tuple[Appliance, ...]:
    """Return two appliances for each image: the image with its VM template, and a VM template with its image."""
    return tuple(
        appliance
        for entry, bundle in published
        for image in entry.images
        for appliance in _appliances(entry, bundle, image)
    )


def _appliances(entry: IndexBundle, bundle: Bundle, image: IndexImage) -> tuple[Appliance, Appliance]:
    """Return the appliances of one image.

    The ids lead out of ``appliance/``, which no web server without rules of its own can have beside the file
    ``appliance``: curl resolves the ``..`` and sends nothing from the ``#`` on.
    """
    name = f"{entry.name}-{image.guest}-{entry.version}"
    described = next(item for item in bundle.manifest.images if item.guest == image.guest)
    template = make_portable(bundle.template)
    tags = ("b2ct", entry.kind.value, image.guest)
    folder = bundle_path(entry.name, entry.version)
    return (
        Appliance(
            id=f"../{image.path}#{name}",
            name=name,
            type="IMAGE",
            version=entry.version,
            title=entry.title,
            created=entry.created,
            tags=tags,
            template=template,
            image=image,
            image_template=bundle.image,
            format=described.format,
        ),
        Appliance(
            id=f"../{folder}/template.txt#{name}",
            name=f"{name}-template",
            type="VMTEMPLATE",
            version=entry.version,
            title=entry.title,
            created=entry.created,
            tags=tags,
            template=template,
            disks=(name,),
        ),
    )


def make_portable(template: Template) -> Template:
    """Return a VM template without what an export adds (name, image) and what only one cloud has (network).

    An export appends the image's DISK (src/oca/ruby/opennebula/marketplaceapp_ext.rb), so a boot order that names
    the first disk has to name the last; the scheduler picks a network (``NETWORK_MODE``). The requirements get
    parentheses, because the driver appends `` & HYPERVISOR=kvm`` from 7.0 on.
    """
    kept: list[Attribute] = []
    disks = [item for item in template if item.name == "DISK" and not _is_image(item)]
    for attribute in template:
        value = attribute.value
        if attribute.name == "NAME" or _is_image(attribute):
            continue
        if attribute.name == "NIC" and isinstance(value, tuple):
            value = (("NETWORK_MODE", "auto"), *(pair for pair in value if not pair[0].startswith("NETWORK")))
        kept.append(Attribute(attribute.name, value))
    result = tuple(kept)
    if first_text(result, "OS", "BOOT") == "disk0":
        os = tuple(
            (key, f"disk{len(disks)}" if key == "BOOT" else text)
            for item in result
            if item.name == "OS" and isinstance(item.value, tuple)
            for key, text in item.value
        )
        result = set_values(result, "OS", os)
    if requirements := first_text(result, "SCHED_REQUIREMENTS"):
        result = set_values(result, "SCHED_REQUIREMENTS", f"({requirements})")
    return result


def _is_image(attribute: Attribute) -> bool:
    value = attribute.value
    return attribute.name == "DISK" and isinstance(value, tuple) and "IMAGE_ID" in dict(value)


def spellings(name: str) -> Iterable[str]:
    """Yield ``name`` in all mixtures of capitals and small letters, ``name`` in capitals first.

    Keys of a JSON object are unique, and the driver writes them in capitals: so an attribute can stand several times.
    Before 7.0 it drops lists without a word.
    """
    return map("".join, product(*((char.upper(), char.lower()) if char.isalpha() else (char,) for char in name)))
