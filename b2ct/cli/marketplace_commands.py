"""The command that makes a repository of bundles: marketplace build."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from b2ct.apply.repository.build import MarketplaceRequest, build_marketplace
from b2ct.apply.repository.images import find_image
from b2ct.apply.secrets import load_secret
from b2ct.apply.signature import load_secret_key
from b2ct.cli.app import JsonOption, app
from b2ct.cli.bundle_source import FromOption, find_site_bundles, make_trust, open_site_if_there
from b2ct.cli.output import print_json, print_warnings, stderr
from b2ct.errors import UsageError
from b2ct.site.types import SECRET_MEANING, SecretRef

marketplace_app = typer.Typer(
    no_args_is_help=True, help="A repository of bundles for other sites, which is an OpenNebula marketplace too."
)
app.add_typer(marketplace_app, name="marketplace")


@marketplace_app.command("build")
def build(  # noqa: PLR0913 - what a publisher decides
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that a web server serves.")],
    *,
    url: Annotated[str, typer.Option(help="Address at which it is served, https://one.example.org/b2ct.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="minisign secret key (minisign -G makes one).")],
    key_password: Annotated[
        str | None, typer.Option(metavar="REFERENCE", help="Where its password is kept: file:PATH or env:NAME.")
    ] = None,
    bundle: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Publish this bundle (default: all with an image at hand).")
    ] = None,
    images: Annotated[Path, typer.Option(metavar="FOLDER", help="Image files.")] = Path("images"),
    site: Annotated[
        Path, typer.Option("--site", metavar="SITE", help="The site file: bundles/ and overrides/ beside it count.")
    ] = Path("site.yaml"),
    source: FromOption = None,
    name: Annotated[str, typer.Option(help="Name of the marketplace in OpenNebula.")] = "B2CT",
    drop_older: Annotated[bool, typer.Option("--drop-older", help="Remove versions of earlier builds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build or renew a signed repository: a static folder for import-templates --from, and for OpenNebula's MARKET_MAD.

    It may be served meanwhile. Published versions never change; earlier ones stay.
    """
    model = open_site_if_there(site, quiet=True)
    bundles = find_site_bundles(site, model, source, make_trust(model, None, unsigned=False))
    known = {item.manifest.name for item in bundles}
    unknown = sorted(set(bundle or ()) - known)
    if unknown:
        raise UsageError(f"there is no bundle {', '.join(unknown)}", hint=f"there are: {', '.join(sorted(known))}")
    if bundle:
        chosen = [item for item in bundles if item.manifest.name in bundle]
    else:
        at_hand = (any(find_image(i, images, b.folder) for i in b.manifest.images) for b in bundles)
        chosen = [item for item, found in zip(bundles, at_hand, strict=True) if found]
    if not chosen:
        raise UsageError(f"no image of any bundle is in {images}", hint="b2ct image build makes one; --images names it")
    secret_key = load_secret_key(key, _password(key_password))
    request = MarketplaceRequest(
        out=out, bundles=chosen, images_folder=images, url=url, key=secret_key, name=name, keep_older=not drop_older
    )
    console = stderr()
    report = build_marketplace(request, (lambda path: console.print(path, style="dim")) if _is_shown(as_json) else None)
    print_warnings(report.warnings)
    if as_json:
        print_json(
            "marketplace-build",
            {
                "bundles": [f"{entry.name} {entry.version}" for entry in report.index.bundles],
                "added": report.added,
                "removed": report.removed,
                "missing": report.missing,
                "warnings": report.warnings,
            },
        )
        return
    for file in report.missing:
        console.print(f"not published, since it is not in {images}: {file}", style="yellow", markup=False)
    typer.echo("\n".join(f"{entry.name} {entry.version}" for entry in report.index.bundles))
    console.print(f"{len(report.added)} files are new, {len(report.removed)} removed. Served at {url}.", markup=False)


def _is_shown(as_json: bool) -> bool:  # noqa: FBT001 - one word
    return not as_json and sys.stderr.isatty()


def _password(reference: str | None) -> str | None:
    """Return the password that a reference stands for; a reference is no password itself."""
    if reference is None:
        return None
    try:
        TypeAdapter(SecretRef).validate_python(reference)
    except ValidationError:
        raise UsageError(f"--key-password has to be {SECRET_MEANING}") from None
    return load_secret(reference, Path())
