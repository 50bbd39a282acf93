"""Commands about bundles: import-templates, and bundle list, show, render and remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from b2ct.apply.files import write_tree
from b2ct.apply.opennebula.sources import Upload
from b2ct.apply.publish import ImportRequest, Via, plan_import, plan_removal, render_bundles
from b2ct.apply.repository.images import find_warnings
from b2ct.cli.app import (
    DryRunOption,
    ForceOption,
    JsonOption,
    SiteArgument,
    YesOption,
    app,
    open_site,
)
from b2ct.cli.bundle_source import (
    FromOption,
    KeyOption,
    UnsignedOption,
    find_site_bundles,
    make_trust,
    open_site_if_there,
)
from b2ct.cli.cloud_plan import run_plan
from b2ct.cli.output import align, print_json, print_warnings, stderr
from b2ct.errors import UsageError
from b2ct.plan.publication import choose_bundle, version_key
from b2ct.render.publication import Numbers

if TYPE_CHECKING:
    from b2ct.plan.bundle import Bundle

bundle_app = typer.Typer(no_args_is_help=True, help="Bundles: an image and a VM template that belong together.")
app.add_typer(bundle_app, name="bundle")

FolderOption = Annotated[
    Path, typer.Option("--site", metavar="SITE", help="The site file: its bundles/ and overrides/ are looked at too.")
]


@bundle_app.command("list")
def list_bundles(
    *,
    site: FolderOption = Path("site.yaml"),
    source: FromOption = None,
    key: KeyOption = None,
    unsigned: UnsignedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show which bundles there are: B2CT's own, those in bundles/ beside the site file, and those of --from."""
    model = open_site_if_there(site, quiet=True)
    bundles = find_site_bundles(site, model, source, make_trust(model, key, unsigned=unsigned))
    rows = [(bundle.manifest, bundle.origin) for bundle in sorted(bundles, key=_place)]
    if as_json:
        documents = [{**manifest.model_dump(mode="json"), "from": origin} for manifest, origin in rows]
        print_json("bundle-list", {"bundles": documents})
        return
    cells = [(m.name, m.version, origin, m.title, ", ".join(image.guest for image in m.images)) for m, origin in rows]
    typer.echo("\n".join(align([("bundle", "version", "from", "what it is", "guests"), *cells])))


@bundle_app.command("show")
def show_bundle(  # noqa: PLR0913 - where bundles may come from
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of the bundle.")],
    *,
    version: Annotated[str | None, typer.Option(help="Version of the bundle (default: the newest).")] = None,
    site: FolderOption = Path("site.yaml"),
    source: FromOption = None,
    key: KeyOption = None,
    unsigned: UnsignedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a bundle holds: its guests, what it asks of the site, its user-data."""
    model = open_site_if_there(site, quiet=True)
    bundles = find_site_bundles(site, model, source, make_trust(model, key, unsigned=unsigned))
    bundle = choose_bundle(bundles, name, version)
    if bundle is None:
        known = ", ".join(sorted({f"{b.manifest.name} {b.manifest.version}" for b in bundles}))
        raise UsageError(f"there is no bundle {name}{f' {version}' if version else ''}", hint=f"there are: {known}")
    if as_json:
        manifest = bundle.manifest.model_dump(mode="json")
        print_json("bundle-show", {"bundle": manifest, "user_data": bundle.user_data})
    else:
        _print_bundle(bundle)


def _place(bundle: Bundle) -> tuple[str, tuple[int, ...]]:
    """Return what bundles are sorted by."""
    return bundle.manifest.name, version_key(bundle.manifest.version)


def _print_bundle(bundle: Bundle) -> None:
    manifest = bundle.manifest
    typer.echo(f"{manifest.name} {manifest.version}: {manifest.title}")
    typer.echo(f"kind:    {manifest.kind.value}")
    for image in manifest.images:
        where = f"from {image.url}" if image.url else f"built by `b2ct image build {image.build}`"
        typer.echo(f"guest:   {image.guest} ({image.file_name}, {where})")
    needs = [f"OpenNebula {manifest.needs.opennebula} or later"]
    needs += ["a squid"] if manifest.needs.squid else []
    needs += ["a community with CVMFS repositories"] if manifest.needs.community else []
    typer.echo(f"needs:   {', '.join(needs)}")
    typer.echo(f"user-data:\n{bundle.user_data}")


@bundle_app.command("render")
def render_bundle(  # noqa: PLR0913 - what a person fills in by hand otherwise
    site: SiteArgument = Path("site.yaml"),
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")] = Path("for-opennebula"),
    image_folder: Annotated[
        str, typer.Option("--image-folder", metavar="PATH", help="Where the image files are on the front-end.")
    ] = "/var/tmp",  # noqa: S108 - a folder that every datastore's SAFE_DIRS allow
    image_id: Annotated[int | None, typer.Option(help="Number of the image (default: it is named).")] = None,
    network_id: Annotated[int | None, typer.Option(help="Number of the network (default: it is named).")] = None,
    source: FromOption = None,
    key: KeyOption = None,
    unsigned: UnsignedOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write image.one and template.txt of the site's vms, filled in, for oneimage create and onetemplate create.

    OpenNebula is not asked. Import them on the front-end; there is no `onetemplate import`.
    """
    model = open_site(site, quiet=as_json)
    bundles = find_site_bundles(site, model, source, make_trust(model, key, unsigned=unsigned))
    artifacts = render_bundles(site, model, bundles, image_folder, Numbers(image_id, network_id))
    write_tree(out, artifacts, force=force)
    paths = [out / artifact.path for artifact in artifacts]
    if as_json:
        print_json("bundle-render", {"files": paths})
        return
    typer.echo("\n".join(map(str, paths)))
    datastore = model.opennebula.image_datastore
    stderr().print(f"On the front-end: oneimage create --datastore {datastore} FILE, then onetemplate create FILE")


@bundle_app.command("remove")
def remove_bundle(  # noqa: PLR0913 - each of them is needed to say what goes
    name: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of the bundle.")],
    *,
    site: Annotated[Path, typer.Option("--site", metavar="SITE", help="The site file.")] = Path("site.yaml"),
    version: Annotated[str | None, typer.Option(help="Only this version (default: all).")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a bundle's images and VM templates from OpenNebula; only those that B2CT made for this site.

    What virtual machines run from stays. What `vms` of the site file still names comes back with the next import.
    """
    model = open_site(site, quiet=as_json)
    planned = plan_removal(model, site.parent, name, version)
    run_plan("bundle-remove", planned, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("import-templates")
def import_templates(  # noqa: PLR0913 - how images travel differs from site to site
    site: SiteArgument = Path("site.yaml"),
    *,
    source: FromOption = None,
    key: KeyOption = None,
    unsigned: UnsignedOption = False,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="FOLDER", help="Image files (default: images/ beside SITE).")
    ] = None,
    via: Annotated[
        Via,
        typer.Option(
            help="How images get to the front-end: offered by this machine, downloaded by the front-end from the "
            "repository, or there already in --front-end-folder."
        ),
    ] = Via.UPLOAD,
    front_end_folder: Annotated[
        str, typer.Option("--front-end-folder", metavar="PATH", help="Image files on the front-end.")
    ] = "/var/tmp",  # noqa: S108 - a folder that every datastore's SAFE_DIRS allow
    bind: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS[:PORT]",
            help="Where this machine offers images (default: any port of the address that leads to the front-end).",
        ),
    ] = None,
    cloud: Annotated[
        bool, typer.Option("--cloud", help="Make clusters, hosts and datastores of the site file as well.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove versions and templates that the site file no longer asks for.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the images and VM templates of the site's vms into OpenNebula, with the groups and networks they need.

    Shows every step, then does it; asks only before something is removed. Does nothing the second time; after a
    failure, the same command goes on.
    """
    model = open_site(site, quiet=as_json)
    trust = make_trust(model, key, unsigned=unsigned)
    request = ImportRequest(
        site=model,
        path=site,
        bundles=find_site_bundles(site, model, source, trust),
        images=images or site.parent / "images",
        via=via,
        front_end_folder=front_end_folder,
        whole_cloud=cloud,
        prune=prune,
        bind=bind,
        public_key=trust.public_key,
    )
    planned = plan_import(request)
    print_warnings(find_warnings(source.path for source in planned.sources.values() if isinstance(source, Upload)))
    run_plan("import-templates", planned, dry_run=dry_run, yes=yes, as_json=as_json)
