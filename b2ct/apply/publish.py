"""Imports a site's bundles into OpenNebula: asks what is there, plans, and has the plan applied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.apply_plan import Means, apply_plan
from b2ct.apply.opennebula.connect import connect, has_onegate
from b2ct.apply.opennebula.probe import probe_cloud
from b2ct.apply.opennebula.report import Event, Phase
from b2ct.apply.opennebula.sources import Download, OnFrontend, Upload
from b2ct.apply.opennebula.upload import split_address
from b2ct.apply.repository.images import fetch_image, find_image
from b2ct.apply.repository.load import load_bundles_in, load_provided_bundles
from b2ct.apply.repository.source import load_bundles
from b2ct.apply.secrets import load_secret
from b2ct.errors import SiteFileError, UsageError
from b2ct.plan.cloud import BROKEN, PUBLISHED, make_cloud_plan
from b2ct.plan.cloud_model import CloudPlan, Kind, Verb
from b2ct.plan.publication import make_publication
from b2ct.plan.site_objects import wanted_site_objects
from b2ct.render.publication import render_bundle_files, render_wanted
from b2ct.site.load import locate_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import minisign

    from b2ct.apply.opennebula.client import OneClient
    from b2ct.apply.opennebula.report import Progress
    from b2ct.apply.opennebula.sources import Source
    from b2ct.apply.repository.images import ImageFile
    from b2ct.apply.repository.source import Trust
    from b2ct.assets import Assets
    from b2ct.plan.artifact import Artifact
    from b2ct.plan.bundle import Bundle
    from b2ct.plan.cloud_model import CloudFacts, Existing, Wanted
    from b2ct.plan.publication import Publication, VmImage
    from b2ct.render.publication import Numbers
    from b2ct.site.model import Site

BUNDLES_FOLDER = "bundles"
"""A site's own bundles are beside its site file."""

FOR_MACHINES = frozenset({Kind.GROUP, Kind.USER, Kind.NETWORK, Kind.SECURITY_GROUP})
"""Kinds of the cloud's own objects that VM templates need."""


class Via(StrEnum):
    """How an image's file reaches the front-end."""

    UPLOAD = "upload"
    """This machine offers it for as long as it is copied."""
    URL = "url"
    """The front-end downloads it from the repository; its MD5 is checked there."""
    FRONT_END = "front-end"
    """It is there already, in a folder."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, and how."""

    site: Site
    path: Path
    """The site file."""
    bundles: tuple[Bundle, ...]
    images: Path
    """Folder of image files."""
    via: Via = Via.UPLOAD
    front_end_folder: str = "/var/tmp"  # noqa: S108 - a folder that every datastore's SAFE_DIRS allow
    """Folder of image files on the front-end."""
    whole_cloud: bool = False
    """Clusters, hosts and datastores as well."""
    prune: bool = False
    """Remove what the site file no longer asks for."""
    bind: str | None = None
    """Address of this machine at which the front-end fetches images; None: the one that faces it."""
    public_key: minisign.PublicKey | None = None
    """Key by which downloaded images have to be signed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that can be applied: with it, the front-end, and where images and passwords come from."""

    client: OneClient
    plan: CloudPlan
    request: ImportRequest | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)
    downloads: Mapping[str, VmImage] = field(default_factory=dict)
    """Images, by name, that this machine has to download before it can offer them."""
    notes: tuple[str, ...] = ()
    """What a person should know about the plan."""


def find_bundles(
    assets: Assets, site_folder: Path, source: str | None = None, trust: Trust | None = None
) -> tuple[Bundle, ...]:
    """Return all bundles: those of ``source`` (folder or URL), of the site's ``bundles/``, and B2CT's own.

    Of the same name and version, the first found counts. ``trust`` is for a URL.

    Raises:
        SiteFileError: with every problem of every bundle.
        UsageError: ``source`` holds none, or nobody is trusted.
        B2ctError: a repository is not what it has to be.
    """
    own = site_folder / BUNDLES_FOLDER
    found = (
        *(load_bundles(assets, site_folder, source, trust) if source else ()),
        *(load_bundles_in(own) if own.is_dir() and any(own.iterdir()) else ()),
        *load_provided_bundles(assets),
    )
    first: dict[tuple[str, str], Bundle] = {}
    for bundle in found:
        first.setdefault((bundle.manifest.name, bundle.manifest.version), bundle)
    return tuple(first.values())


def render_bundles(
    path: Path, site: Site, bundles: Sequence[Bundle], image_folder: str, numbers: Numbers
) -> tuple[Artifact, ...]:
    """Return the files that OpenNebula's own tools import; ``path`` is the site file.

    Raises:
        SiteFileError: with every problem of the site's ``vms``.
        UsageError: there are none, or one number cannot stand for several images or networks.
    """
    _check_vms(site, path)
    publication = _publish(path, site, bundles, None, onegate=bool(site.opennebula.onegate))
    for what, number, names in (
        ("image", numbers.image_id, {vm.image for vm in publication.templates}),
        ("network", numbers.network_id, {vm.network for vm in publication.templates}),
    ):
        if number is not None and len(names) > 1:
            message = f"the VM templates are of several {what}s ({', '.join(sorted(names))}), and --{what}-id names one"
            raise UsageError(message, hint="leave it out: names stand in then")
    return render_bundle_files(publication, image_folder, numbers)


def plan_import(request: ImportRequest, client: OneClient | None = None) -> Planned:
    """Ask the front-end what is there, and return what has to happen.

    Raises:
        SiteFileError: with every problem of the site's ``vms``.
        UsageError: credentials or an image's file are missing, or ``bind`` is no address.
        RemoteError: the front-end refused, or could not be reached.
    """
    if request.bind:
        split_address(request.bind)
    client = client or connect(request.site, request.path.parent)
    site = request.site
    facts = probe_cloud(client, tuple(Kind))
    onegate = site.opennebula.onegate
    if onegate is None:
        onegate = facts.admin and has_onegate(client)
    if not (request.whole_cloud or request.prune):
        _check_vms(site, request.path)
    publication = _publish(request.path, site, request.bundles, facts, onegate=onegate)
    sums, sources, downloads = _find_sources(publication, request, facts)
    wanted = (*_own_objects(request, facts), *render_wanted(publication, site, sums, facts))
    leftovers = _leftovers(wanted, facts, site) if request.prune else ()
    plan = make_cloud_plan(wanted, facts, remove=leftovers, site=site.site)
    return Planned(client, _spare_what_is_used(plan), request, sources, downloads, tuple(_notes(publication, facts)))


def plan_removal(site: Site, folder: Path, bundle: str, version: str | None) -> Planned:
    """Ask the front-end for a bundle's images and VM templates, and return the steps that remove them.

    ``folder`` is the site file's; without ``version``, all versions go.

    Raises:
        UsageError: this site has no objects of that bundle.
        RemoteError: the front-end refused, or could not be reached.
    """
    client = connect(site, folder)
    facts = probe_cloud(client, PUBLISHED)
    ours = [item for item in facts.objects if item.mark and item.mark.site == site.site]
    named = [item for item in ours if item.mark and item.mark.source == bundle and version in {None, item.mark.version}]
    if not named:
        known = sorted({f"{item.mark.source} {item.mark.version}" for item in ours if item.mark})
        what = f"{bundle} {version}" if version else bundle
        hint = f"it has: {', '.join(known) or 'none of this site'}"
        raise UsageError(f"OpenNebula has no objects of {what} that B2CT made", hint=hint)
    return Planned(client, _spare_what_is_used(make_cloud_plan((), facts, remove=named, site=site.site)))


def apply_planned(planned: Planned, progress: Progress) -> None:
    """Do what was planned; the cloud's own objects first, because VM templates name some of them by number.

    Raises:
        ApplyError, ApplyInterruptedError: a step failed; says what is done, and that running it again goes on.
        B2ctError: an image could not be downloaded, or a password is not there; nothing was changed.
    """
    request = planned.request
    if request is None:
        apply_plan(planned.client, planned.plan, Means(progress=progress))
        return
    passwords = _passwords(planned, request)
    sources = {**planned.sources, **_download_images(planned, request, progress)}
    means = Means(sources=sources, bind=request.bind, passwords=passwords, progress=progress)
    own = CloudPlan(tuple(step for step in planned.plan.steps if step.kind not in PUBLISHED and step.wanted))
    report = apply_plan(planned.client, own, means)
    again = plan_import(request, planned.client) if own.changes else planned
    rest = CloudPlan(tuple(step for step in again.plan.steps if step not in own.steps))
    apply_plan(planned.client, rest, replace(means, before=report.done))


def _check_vms(site: Site, path: Path) -> None:
    if not site.vms:
        raise UsageError(f"{path}: vms is empty, so there is nothing to publish", hint="vms: [{bundle: ..., vo: ...}]")


def _publish(
    path: Path, site: Site, bundles: Sequence[Bundle], facts: CloudFacts | None, *, onegate: bool
) -> Publication:
    publication, findings = make_publication(site, bundles, facts, onegate=onegate)
    if findings:
        raise SiteFileError(locate_findings(findings, path))
    return publication


def _notes(publication: Publication, facts: CloudFacts) -> Iterator[str]:
    """Say what an ordinary user's import is not: the community's."""
    strange = sorted({vm.group for vm in publication.templates if vm.group} - {facts.group})
    if strange and not facts.admin:
        yield (
            f"{facts.user} imports for itself: the VM templates stay in the group {facts.group}, "
            f"and only an administrator of the cloud can give them to {', '.join(strange)}"
        )


def _own_objects(request: ImportRequest, facts: CloudFacts) -> tuple[Wanted, ...]:
    """Return the cloud's own objects that are made or used: those that the machines need, or all."""
    objects = wanted_site_objects(request.site, facts)
    used = {vm.network for vm in request.site.vms}
    if not request.whole_cloud:
        objects = tuple(one for one in objects if one.kind in FOR_MACHINES)
        objects = tuple(one for one in objects if one.kind is not Kind.NETWORK or one.name in used)
    if not facts.admin:  # an ordinary user imports for itself: communities are not its business
        objects = tuple(one for one in objects if one.kind not in {Kind.GROUP, Kind.USER})
    return objects


def _leftovers(wanted: Sequence[Wanted], facts: CloudFacts, site: Site) -> tuple[Existing, ...]:
    """Return this site's images and VM templates that nothing in the site file asks for."""
    names = {(one.kind, one.name) for one in wanted}
    ours = (one for one in facts.objects if one.mark and one.mark.site == site.site and one.kind in PUBLISHED)
    return tuple(one for one in ours if (one.kind, one.name) not in names)


def _spare_what_is_used(plan: CloudPlan) -> CloudPlan:
    """Return the plan in which what cannot be removed is kept, with the reason: something uses it, or owns it."""
    return CloudPlan(
        tuple(
            replace(step, verb=Verb.KEEP) if step.verb is Verb.REFUSE and step.wanted is None else step
            for step in plan.steps
        )
    )


def _find_sources(
    publication: Publication, request: ImportRequest, facts: CloudFacts
) -> tuple[dict[str, str], dict[str, Source], dict[str, VmImage]]:
    """Return the checksums of each image, where the front-end gets it from, and which have to be downloaded for that.

    Nothing is downloaded yet. An image that the front-end has needs no file here.

    Raises:
        UsageError: files are nowhere; names all of them.
        ImageFileError: a file is not what the manifest or its record says.
    """
    sums: dict[str, str] = {}
    sources: dict[str, Source] = {}
    downloads: dict[str, VmImage] = {}
    missing: list[VmImage] = []
    for image in publication.images:
        entry = image.entry
        there = facts.find(Kind.IMAGE, image.name)
        mark = there.mark if there and there.state != BROKEN else None
        known = mark.checksum if mark and mark.site == request.site.site else ""
        bundle = next(bundle for bundle in publication.bundles if bundle.manifest.name == image.bundle)
        local = find_image(entry, request.images, bundle.folder)
        checksum = entry.checksum or (f"sha256:{local.sha256}" if local else known)
        source = _source(image, local, request)
        if source and checksum:
            sources[image.name] = source
        elif entry.url and entry.checksum and entry.size:
            downloads[image.name] = image
        elif not known:
            missing.append(image)
        sums[image.name] = checksum
    if missing:
        files = ", ".join(str(request.images / image.entry.file_name) for image in missing)
        build = "; ".join(f"b2ct image build {image.entry.build} --out {request.images}" for image in missing)
        raise UsageError(f"no such image: {files}", hint=f"{build}; or --images names another folder")
    return sums, sources, downloads


def _source(image: VmImage, local: ImageFile | None, request: ImportRequest) -> Source | None:
    """Return where the front-end gets an image from; None as long as no file is at hand."""
    entry, md5 = image.entry, local.md5 if local else image.entry.md5
    if request.via is Via.FRONT_END:
        return OnFrontend(f"{request.front_end_folder}/{entry.file_name}", md5)
    if request.via is Via.URL and entry.url:
        return Download(entry.url, md5)
    return Upload(local.path) if local else None


def _download_images(planned: Planned, request: ImportRequest, progress: Progress) -> dict[str, Source]:
    """Download the images that are to be made, all before the first change, and return where they are now."""
    made = {step.name for step in planned.plan.steps if step.kind is Kind.IMAGE and step.verb is Verb.CREATE}
    sources: dict[str, Source] = {}
    for name in sorted(made & planned.downloads.keys()):
        entry = planned.downloads[name].entry

        def say(done: int, total: int, name: str = name) -> None:
            progress(Event(Phase.DOWNLOADING, Kind.IMAGE, name, done, total))

        sources[name] = Upload(fetch_image(entry, request.images, request.public_key, progress=say).path)
    return sources


def _passwords(planned: Planned, request: ImportRequest) -> Callable[[str], str]:
    """Return what gives the password of a user that is to be made; raises UsageError if one is not to be had."""
    made = {step.name for step in planned.plan.steps if step.kind is Kind.USER and step.verb is Verb.CREATE}
    references = {one.user: one.password for one in request.site.vo if one.user in made and one.password}
    return {user: load_secret(text, request.path.parent) for user, text in references.items()}.__getitem__
