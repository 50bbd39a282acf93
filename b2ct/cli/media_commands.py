"""Commands about install media: render, build-iso, inspect-iso."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from b2ct.apply.build import BuildReport, BuildRequest, build_iso, find_stock, make_facts, render_site
from b2ct.apply.files import write_tree
from b2ct.apply.iso.inspect import inspect_iso
from b2ct.apply.iso.probe import probe_iso
from b2ct.cli.app import ForceOption, JsonOption, SiteArgument, StockOption, app, open_site, site_assets
from b2ct.cli.inspection import print_inspection
from b2ct.cli.output import print_json, progress_bar, stderr
from b2ct.errors import ExitCode, UsageError
from b2ct.plan.media import MediaOptions
from b2ct.site.types import KernelArgument


@app.command()
def render(
    site: SiteArgument = Path("site.yaml"),
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the kickstarts.")] = Path("rendered"),
    stock: StockOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the kickstarts of all hosts into a folder, as build-iso puts them on the media."""
    model = open_site(site, quiet=as_json)
    named = model.media.iso is not None and (site.parent / model.media.iso).is_file()
    iso = probe_iso(find_stock(model, site.parent, stock)) if stock or named else None
    if iso is None and not as_json:
        stderr().print("No stock ISO is at hand, so these are the kickstarts for a network installation (boot) ISO.")
    artifacts = render_site(model, make_facts(model, site.parent, iso), site_assets(site))
    write_tree(out, artifacts, force=force)
    paths = [out / artifact.path for artifact in artifacts]
    if as_json:
        print_json("render", {"files": paths})
    else:
        typer.echo("\n".join(map(str, paths)))


@app.command("build-iso")
def build(  # noqa: PLR0913 - the options that users of mkksiso know
    site: SiteArgument = Path("site.yaml"),
    *,
    stock: StockOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The ISO to write (default: b2ct-SITE.iso).")] = None,
    default: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Install this host unattended after the time-out, ERASING its disk."),
    ] = None,
    timeout: Annotated[int, typer.Option(min=1, max=3600, help="Seconds until the default entry starts.")] = 60,
    volid: Annotated[str | None, typer.Option(help="Volume id of the ISO (default: that of the stock ISO).")] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:PATH]",
            help="Add a file or folder to the media, at PATH or in the root, in place of a file of that name.",
        ),
    ] = None,
    cmdline: Annotated[str, typer.Option(help="Kernel arguments to add to the entries.")] = "",
    rm_args: Annotated[str, typer.Option(help="Kernel arguments (or names) of the stock entry to leave out.")] = "",
    updates: Annotated[Path | None, typer.Option(metavar="IMAGE", help="An updates.img for Anaconda.")] = None,
    ks_in_initrd: Annotated[
        bool, typer.Option("--ks-in-initrd", help="Put the kickstarts into a second initrd as well, and use those.")
    ] = False,
    no_media_check: Annotated[bool, typer.Option("--no-media-check", help="Implant no media check.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build the install ISO of a site: boots by BIOS and UEFI, from CD and USB, and offers every host.

    Unless --default names a host, the machine boots its own disk when nobody chooses an entry.
    """
    model = open_site(site, quiet=as_json)
    request = BuildRequest(
        site=model,
        folder=site.parent,
        assets=site_assets(site),
        stock=stock,
        out=out or Path(f"b2ct-{model.site}.iso"),
        options=MediaOptions(
            default=default,
            timeout_s=timeout,
            volume_id=volid,
            extra_arguments=_kernel_arguments(cmdline, "--cmdline"),
            removed_arguments=_kernel_arguments(rm_args, "--rm-args"),
            updates=updates is not None,
            kickstart_in_initrd=ks_in_initrd,
        ),
        added=tuple(pair for item in add or () for pair in _added(item)),
        updates=updates,
        media_check=not no_media_check,
        force=force,
    )
    with (
        progress_bar("checking", quiet=as_json) as check_progress,
        progress_bar("writing", quiet=as_json) as write_progress,
    ):
        report = build_iso(request, check_progress=check_progress, write_progress=write_progress)
    if as_json:
        print_json("build-iso", _build_document(report))
    else:
        _print_build(report)


def _kernel_arguments(text: str, option: str) -> tuple[str, ...]:
    """Return the words of an option; each has to be what the site file takes as a kernel argument."""
    words = tuple(text.split())
    for word in words:
        try:
            TypeAdapter(KernelArgument).validate_python(word)
        except ValidationError as error:
            raise UsageError(f"{option}: {word!r} has a character that a boot loader would interpret") from error
    return words


def _added(item: str) -> list[tuple[str, Path]]:
    """Return (path on the media, file) of each file that ``FILE[:PATH]`` means; a folder means all files in it."""
    name, _, place = (item, "", "") if Path(item).exists() else item.rpartition(":")
    source = Path(name or item)
    target = place.strip("/") or source.resolve().name
    if not source.is_dir():
        return [(target, source)]
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise UsageError(f"--add {source}: the folder holds no files")
    return [(f"{target}/{path.relative_to(source).as_posix()}", path) for path in files]


def _build_document(report: BuildReport) -> dict[str, object]:
    return {
        "iso": report.written,
        "stock": {"path": report.facts.path, "product": report.facts.product, "version": report.facts.version},
        "volume_id": report.plan.volume_id,
        "entries": report.plan.entries,
        "default": report.plan.default_id,
        "timeout_s": report.plan.timeout_s,
        "password_hashes_of": report.secrets,
    }


def _print_build(report: BuildReport) -> None:
    console = stderr()
    if report.secrets:
        console.print(f"[yellow]The ISO holds password hashes of: {', '.join(report.secrets)}. Keep it like a key.[/]")
    for entry in report.plan.entries:
        mark = f" [bold red](starts by itself after {report.plan.timeout_s} s)[/]"
        console.print(f"  {entry.title}{mark if entry.id == report.plan.default_id else ''}")
    typer.echo(str(report.written.path))


@app.command("inspect-iso")
def inspect(
    iso: Annotated[Path, typer.Argument(metavar="ISO", help="An install ISO, stock or built by any tool.")],
    *,
    no_media_check: Annotated[bool, typer.Option("--no-media-check", help="Do not read the whole ISO.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what an install ISO holds and verify it; exit code 1 if something is wrong."""
    with progress_bar("reading", quiet=as_json) as progress:
        inspection = inspect_iso(iso, media_check=not no_media_check, progress=progress)
    if as_json:
        print_json("inspect-iso", {"iso": inspection})
    else:
        print_inspection(inspection)
    if not inspection.ok:
        raise typer.Exit(ExitCode.FAILED)
