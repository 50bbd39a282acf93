"""Imports a site's bundles into OpenNebula: asks what is there, plans, and has the plan applied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.apply.opennebula.apply_plan import Means, apply_plan
from b2ct.apply.opennebula.connect import connect, has_onegate
from b2ct.apply.opennebula.probe import probe_cloud
from b2ct.apply.opennebula.sources import Download, OnFrontend, Upload
from b2ct.apply.repository.images import fetch_image, find_image
from b2ct.apply.repository.load import load_bundles_in, load_provided_bundles
from b2ct.apply.repository.source import load_bundles
from b2ct.apply.secrets import load_secret
from b2ct.errors import SiteFileError, UsageError
from b2ct.plan.cloud import PUBLISHED, make_cloud_plan
from b2ct.plan.cloud_model import CloudPlan, Kind, Verb
from b2ct.plan.publication import make_publication
from b2ct.plan.site_objects import wanted_site_objects
from b2ct.render.publication import ImageSums, render_bundle_files, render_wanted
from b2ct.site.load import locate_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
    from b2ct.plan.cloud_model import CloudFacts, Existing, Step, Wanted
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
    download_progress: Callable[[int, int], None] | None = None
    """Told (done, total) bytes of a download."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that can be applied: with it, the front-end, and where images and passwords come from."""

    client: OneClient
    plan: CloudPlan
    request: ImportRequest | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)


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
    """
    publication = _publish(path, site, bundles, None, onegate=bool(site.opennebula.onegate))
    return render_bundle_files(publication, image_folder, numbers)


def plan_import(request: ImportRequest, client: OneClient | None = None) -> Planned:
    """Ask the front-end what is there, and return what has to happen.

    Raises:
        SiteFileError: with every problem of the site's ``vms``.
        UsageError: credentials or an image's file are missing.
        RemoteError: the front-end refused, or could not be reached.
    """
    client = client or connect(request.site, request.path.parent)
    site = request.site
    facts = probe_cloud(client, tuple(Kind))
    onegate = site.opennebula.onegate
    if onegate is None:
        onegate = facts.admin and has_onegate(client)
    publication = _publish(request.path, site, request.bundles, facts, onegate=onegate)
    sums, sources = _find_sources(publication, request, facts)
    wanted = (*_own_objects(request, facts), *render_wanted(publication, site, sums, facts))
    leftovers = _leftovers(wanted, facts, site) if request.prune else ()
    plan = make_cloud_plan(wanted, facts, remove=leftovers, site=site.site)
    return Planned(client, CloudPlan(tuple(map(_spare_what_is_used, plan.steps))), request, sources)


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
        raise UsageError(f"OpenNebula has no objects of {what} that B2CT made", hint=f"it has: {', '.join(known)}")
    return Planned(client, make_cloud_plan((), facts, remove=named, site=site.site))


def apply_planned(planned: Planned, progress: Progress) -> None:
    """Do what was planned; the cloud's own objects first, because VM templates name some of them by number.

    Raises:
        ApplyError, ApplyInterruptedError: a step failed; says what is done, and that running it again goes on.
    """
    request = planned.request
    if request is None:
        apply_plan(planned.client, planned.plan, Means(progress=progress))
        return
    means = Means(sources=planned.sources, bind=request.bind, passwords=_passwords(request), progress=progress)
    own = CloudPlan(tuple(step for step in planned.plan.steps if step.kind not in PUBLISHED and step.wanted))
    apply_plan(planned.client, own, means)
    again = plan_import(request, planned.client) if own.changes else planned
    rest = CloudPlan(tuple(step for step in again.plan.steps if step not in own.steps))
    apply_plan(planned.client, rest, means)


def _publish(
    path: Path, site: Site, bundles: Sequence[Bundle], facts: CloudFacts | None, *, onegate: bool
) -> Publication:
    if not site.vms:
        raise UsageError(f"{path}: vms is empty, so there is nothing to publish", hint="vms: [{bundle: ..., vo: ...}]")
    publication, findings = make_publication(site, bundles, facts, onegate=onegate)
    if findings:
        raise SiteFileError(locate_findings(findings, path))
    return publication


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


def _spare_what_is_used(step: Step) -> Step:
    """Return the step; of a leftover that cannot go yet, one that keeps it: pruning takes only what nothing uses."""
    if step.verb is Verb.REFUSE and step.wanted is None:
        return replace(step, verb=Verb.KEEP)
    return step


def _find_sources(
    publication: Publication, request: ImportRequest, facts: CloudFacts
) -> tuple[dict[str, ImageSums], dict[str, Source]]:
    """Return the checksums of each image, and where the front-end gets those from that it does not have.

    Raises:
        UsageError: files are nowhere; names all of them.
        ImageFileError: a file is not what the manifest or its record says.
    """
    sums: dict[str, ImageSums] = {}
    sources: dict[str, Source] = {}
    missing: list[VmImage] = []
    for image in publication.images:
        there = facts.find(Kind.IMAGE, image.name)
        known = there.mark.checksum if there and there.mark and there.mark.site == request.site.site else ""
        local = _find_local(image, publication, request)
        if local:
            sums[image.name] = ImageSums(f"sha256:{local.sha256}", local.md5)
            sources[image.name] = _source(image, local, request)
        elif image.entry.url and image.entry.checksum and request.via is Via.URL:
            sums[image.name] = ImageSums(image.entry.checksum, image.entry.md5 or "")
            sources[image.name] = Download(image.entry.url, image.entry.md5)
        elif known:
            sums[image.name] = ImageSums(known, "")
        else:
            missing.append(image)
    if missing:
        files = ", ".join(str(request.images / image.entry.file_name) for image in missing)
        build = "; ".join(f"b2ct image build {image.entry.build} --out {request.images}" for image in missing)
        raise UsageError(f"no such image: {files}", hint=f"{build}; or --images names another folder")
    return sums, sources


def _find_local(image: VmImage, publication: Publication, request: ImportRequest) -> ImageFile | None:
    """Return the image's file on this machine; downloads it when the manifest says where from."""
    bundle = next(bundle for bundle in publication.bundles if bundle.manifest.name == image.bundle)
    found = find_image(image.entry, request.images, bundle.folder)
    if found is None and image.entry.url and request.via is not Via.URL:
        found = fetch_image(image.entry, request.images, request.public_key, progress=request.download_progress)
    return found


def _source(image: VmImage, local: ImageFile, request: ImportRequest) -> Source:
    match request.via:
        case Via.FRONT_END:
            return OnFrontend(f"{request.front_end_folder}/{image.entry.file_name}", local.md5)
        case Via.URL if image.entry.url:
            return Download(image.entry.url, local.md5)
        case _:
            return Upload(local.path)


def _passwords(request: ImportRequest) -> Callable[[str], str]:
    """Return what gives the password of a community's user at the moment in which the user is made."""
    references = {one.user: one.password for one in request.site.vo if one.user and one.password}
    return lambda user: load_secret(references[user], request.path.parent)
