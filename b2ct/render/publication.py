"""Turns what was decided about a site's ``vms`` into OpenNebula objects, and into files for OpenNebula's own tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from b2ct.plan.artifact import Artifact
from b2ct.plan.attributes import Attribute
from b2ct.plan.bundle import IMAGE_FILE, TEMPLATE_FILE, USER_DATA_FILE
from b2ct.plan.cloud_compare import MARKS
from b2ct.plan.cloud_model import CloudFacts, Kind, Mark, Reference, Wanted
from b2ct.plan.publication import versioned_name
from b2ct.render.bundle import ByName, render_image, render_user_data, render_vm_template
from b2ct.render.opennebula import render_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from b2ct.plan.publication import KeptTemplate, Publication, VmImage, VmTemplate
    from b2ct.site.model import Site

IMAGE_PERMISSIONS = 0o644
"""Images hold no secret and are read only: every community's virtual machines may start from them."""

TEMPLATE_PERMISSIONS = 0o640
"""A community's VM template is for that community alone."""

OWN_PERMISSIONS = 0o600
"""What an ordinary user imports outside of the community's group: nobody else's machines may start from it."""


def render_wanted(
    publication: Publication, site: Site, sums: Mapping[str, str], facts: CloudFacts
) -> tuple[Wanted, ...]:
    """Return the objects that a publication asks for: images, and each VM template twice.

    The one that carries the version in its name stays; the one without is what users and schedulers start, and follows
    the site file: that is how a version is switched, and switched back. ``sums`` are the checksums (``sha256:HEX``) of
    the images' files by name.
    """
    images = tuple(_wanted_image(publication, image, site, sums[image.name]) for image in publication.images)
    templates = tuple(
        _wanted_template(publication, vm, name, site, facts)
        for vm in publication.templates
        for name in (versioned_name(vm.name, vm.version), vm.name)
    )
    kept = tuple(
        _wanted_again(again, name, facts) for again in publication.kept for name in (again.existing.name, again.name)
    )
    return (*images, *templates, *kept)


def _wanted_image(publication: Publication, image: VmImage, site: Site, checksum: str) -> Wanted:
    bundle = next(bundle for bundle in publication.bundles if bundle.manifest.name == image.bundle)
    template = render_image(bundle, image, None)
    return Wanted(
        kind=Kind.IMAGE,
        name=image.name,
        template=tuple(attribute for attribute in template if attribute.name != "NAME"),
        mark=Mark(site.site, image.bundle, image.entry.version, checksum),
        permissions=IMAGE_PERMISSIONS,
        datastore=image.datastore,
    )


def _wanted_template(publication: Publication, vm: VmTemplate, name: str, site: Site, facts: CloudFacts) -> Wanted:
    image, network = (
        ByName(wanted, found.owner if (found := facts.find(kind, wanted)) else facts.user)
        for kind, wanted in ((Kind.IMAGE, vm.image), (Kind.NETWORK, vm.network))
    )
    template = render_vm_template(publication.bundle(vm.bundle, vm.version), vm, image, network)
    group = (Reference(Kind.GROUP, vm.group),) if vm.group and facts.admin else ()
    shared = facts.admin or facts.group == vm.group
    return Wanted(
        kind=Kind.TEMPLATE,
        name=name,
        template=tuple(attribute for attribute in template if attribute.name != "NAME"),
        mark=Mark(site.site, vm.bundle, vm.version),
        group=vm.group if facts.admin else None,
        permissions=TEMPLATE_PERMISSIONS if shared else OWN_PERMISSIONS,
        needs=(
            Reference(Kind.IMAGE, vm.image),
            Reference(Kind.NETWORK, vm.network),
            Reference(Kind.CLUSTER, vm.cluster),
            *group,
        ),
    )


def _wanted_again(kept: KeptTemplate, name: str, facts: CloudFacts) -> Wanted:
    """Return an earlier version's VM template as it is in the cloud, under its own name or the current one."""
    existing = kept.existing
    return Wanted(
        kind=Kind.TEMPLATE,
        name=name,
        template=tuple(attribute for attribute in existing.template if attribute.name not in MARKS),
        mark=replace(existing.mark, checksum="") if existing.mark else None,
        group=existing.group if facts.admin else None,
        permissions=existing.permissions,
    )


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers to fill in where they are known; names stand in for the others."""

    image_id: int | None = None
    network_id: int | None = None


def render_bundle_files(publication: Publication, image_folder: str, numbers: Numbers) -> tuple[Artifact, ...]:
    """Return ``image.one`` and ``template.txt``, filled in, for ``oneimage create`` and ``onetemplate create``.

    ``image_folder`` is where the image files will be on the front-end.
    """
    files: list[Artifact] = []
    for image in publication.images:
        bundle = next(bundle for bundle in publication.bundles if bundle.manifest.name == image.bundle)
        template = render_image(bundle, image, f"{image_folder}/{image.entry.file_name}")
        files.append(Artifact(f"{image.name}/{IMAGE_FILE}", render_template(template).encode()))
    for vm in publication.templates:
        bundle = publication.bundle(vm.bundle, vm.version)
        image_ref = ByName(vm.image, None) if numbers.image_id is None else numbers.image_id
        network_ref = ByName(vm.network, None) if numbers.network_id is None else numbers.network_id
        marked = (
            *render_vm_template(bundle, vm, image_ref, network_ref),
            Attribute("B2CT_VERSION", vm.version),
        )
        files.append(Artifact(f"{vm.name}/{TEMPLATE_FILE}", render_template(marked).encode()))
        user_data = render_user_data(bundle.user_data, vm.files)
        files.append(Artifact(f"{vm.name}/{USER_DATA_FILE}", user_data.encode()))
    return tuple(files)
