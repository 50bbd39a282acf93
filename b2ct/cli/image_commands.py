"""Commands about golden images: image build and image check."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from b2ct.apply.image.build import build_image
from b2ct.apply.image.builder import BUILD_EPOCH, ImageRequest
from b2ct.apply.image.check import ImageCheck, check_image
from b2ct.cli.app import ForceOption, JsonOption, app, site_assets
from b2ct.cli.inspection import MIB, print_checks
from b2ct.cli.output import print_json, print_warnings, progress_bar, stderr
from b2ct.errors import ExitCode, UsageError
from b2ct.plan.image import image_names, load_image_description

image_app = typer.Typer(no_args_is_help=True, help="Golden images: what virtual machines start from.")
app.add_typer(image_app, name="image")


@image_app.command("build")
def build(  # noqa: PLR0913 - what differs between sites that build images
    name: Annotated[str, typer.Argument(metavar="IMAGE", help="Name of a description, templates/images/IMAGE.yaml.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the image and its record.")] = Path("images"),
    site: Annotated[
        Path, typer.Option("--site", metavar="SITE", help="The site file: overrides/ beside it count.")
    ] = Path("site.yaml"),
    mirror: Annotated[str | None, typer.Option(help="Package mirror, cloud image or ISO to build from.")] = None,
    security_mirror: Annotated[
        str | None, typer.Option(help="Mirror of the security updates, where packages are installed from a mirror.")
    ] = None,
    without_repositories: Annotated[
        bool,
        typer.Option("--without-repositories", help="Leave out packages of other repositories: the CVMFS client."),
    ] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a golden image: a minimal system with the VM agent, which becomes a worker by its context alone."""
    assets = site_assets(site)
    if name not in image_names(assets):
        raise UsageError(f"there is no image {name}", hint=f"there are: {', '.join(image_names(assets))}")
    description = load_image_description(assets, name)
    request = ImageRequest(
        description=description,
        assets=assets,
        out=out / f"{description.name}-{description.version}.qcow2",
        mirror=mirror,
        security_mirror=security_mirror,
        with_repositories=not without_repositories,
        epoch=_epoch(),
        force=force,
        log=(lambda _line: None) if as_json else (lambda line: stderr().print(line, style="dim", markup=False)),
    )
    record = build_image(request)
    if as_json:
        print_json("image-build", {"image": request.out, "record": record.model_dump(mode="json")})
    else:
        typer.echo(str(request.out))
        size = f"{record.bytes / MIB:.0f} MiB, a disk of {record.virtual_bytes / MIB / 1024:.0f} GiB"
        stderr().print(f"{size}, sha256 {record.sha256}")
    print_warnings(filter(None, [record.warning]))


def _epoch() -> int:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org), or the default."""
    text = os.environ.get("SOURCE_DATE_EPOCH", str(BUILD_EPOCH))
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 1 << 32:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="it is a number of seconds since 1970, before 2106")
    return int(text)


@image_app.command("check")
def check(
    image: Annotated[Path, typer.Argument(metavar="FILE", help="A disk image, qcow2 or raw, made by any tool.")],
    *,
    checksum: Annotated[
        str | None, typer.Option(help="Checksum that it has to have, sha256:HEX (its record is compared anyway).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a disk image holds and whether it is fit to be a golden image; exit code 1 if something is wrong."""
    with progress_bar("reading", quiet=as_json) as progress:
        found = check_image(image, checksum=checksum, progress=progress)
    if as_json:
        print_json("image-check", {"image": found})
    else:
        _print_image(found)
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


def _print_image(found: ImageCheck) -> None:
    console = Console(highlight=False, soft_wrap=True)
    virtual = "unknown" if found.virtual_bytes is None else _size(found.virtual_bytes)
    size = f"{_size(found.bytes)}, takes {_size(found.disk_bytes)}"
    facts = {
        "file": f"{found.path} ({size}{', compressed' if found.compressed else ''})",
        "format": found.format.value,
        "disk": f"{virtual}, {found.table or 'not looked into'}",
        "boots by": ", ".join(mode.value for mode in found.boot) or "nothing",
        "system": found.system or "unknown",
        "context": ", ".join(item.value for item in found.contextualization) or "none",
        "VM agent": "yes" if found.agent else "no",
        "CVMFS client": "yes" if found.cvmfs else "no",
        "sha256": found.sha256,
    }
    for name, value in facts.items():
        console.print(Text(f"{name + ':':14}{value}"))
    for partition in found.partitions:
        what = f"{partition.kind}{f', {partition.file_system}' if partition.file_system else ''}"
        console.print(Text(f"  {partition.number}: {_size(partition.bytes)} at {_size(partition.start)}, {what}"))
    print_checks(console, found.checks)


def _size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / MIB:.0f} MiB" if count < 1024 * MIB else f"{count / MIB / 1024:.1f} GiB"
