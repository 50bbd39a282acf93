"""Builds install media: from a site file and a stock ISO to the customized ISO."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from b2ct import __version__
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.write import AddedFile, IsoEdit, WriteReport, write_iso
from b2ct.apply.kickstart_check import check_kickstarts
from b2ct.apply.secrets import load_password_hashes
from b2ct.errors import IsoError, UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.generation import load_generation
from b2ct.plan.make import make_plan
from b2ct.plan.media import KICKSTART_IMAGE, UPDATES_IMAGE, MediaOptions, MediaPlan, make_media_plan
from b2ct.plan.model import Facts
from b2ct.render.bootmenu import render_bootmenus
from b2ct.render.cpio import render_cpio
from b2ct.render.kickstart import render_kickstarts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from b2ct.assets import Assets
    from b2ct.plan.iso_facts import IsoFacts
    from b2ct.site.model import Site


_EPOCH_DIGITS = 10
"""Digits of a time before the year 2287."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, and from what."""

    site: Site
    folder: Path
    """Folder of the site file: paths in it start here."""
    assets: Assets
    stock: Path | None
    """Stock ISO; None takes the one that the site file names."""
    out: Path
    options: MediaOptions = field(default_factory=MediaOptions)
    added: tuple[tuple[str, Path], ...] = ()
    """Files to add: path on the media, and where they are."""
    updates: Path | None = None
    """Updates image for Anaconda."""
    media_check: bool = True
    """Implant the checksum that "Test this media" verifies."""
    force: bool = False


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built."""

    facts: IsoFacts
    plan: MediaPlan
    written: WriteReport
    secrets: tuple[str, ...]
    """Users whose password hash is on the media."""


def make_facts(site: Site, folder: Path, iso: IsoFacts | None) -> Facts:
    """Return what kickstarts need to know of the world; without an ISO, as if it was a network installation's.

    Raises:
        UsageError: a secret cannot be found.
    """
    return Facts(
        volume_id=iso.volume_id if iso else "",
        is_dvd=iso.is_dvd if iso else False,
        password_hashes=load_password_hashes(site, folder),
        b2ct_version=__version__,
    )


def render_site(site: Site, facts: Facts, assets: Assets) -> tuple[Artifact, ...]:
    """Return the kickstarts of a site, ``b2ct/<host>.ks`` and ``b2ct/ask.ks``.

    Raises:
        B2ctError: the site cannot be planned, or pykickstart refuses what a template makes of it.
    """
    generation = load_generation(assets, site.media.generation)
    kickstarts = render_kickstarts(make_plan(site, facts, generation), assets)
    check_kickstarts(kickstarts, generation.pykickstart)
    return kickstarts


def build_iso(
    request: BuildRequest,
    *,
    check_progress: Callable[[int, int], None] | None = None,
    write_progress: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Build the install ISO of a site.

    Raises:
        B2ctError: input is missing or does not fit together, or the output cannot be written.
    """
    site = request.site
    stock = find_stock(site, request.folder, request.stock)
    iso = probe_iso(stock)
    plan = make_media_plan(site, iso, request.options)
    facts = replace(make_facts(site, request.folder, iso), volume_id=plan.volume_id)
    verify_checksum(site, stock, check_progress)
    kickstarts = render_site(site, facts, request.assets)
    tree, esp = render_bootmenus(iso.menus, plan, request.assets)
    edit = IsoEdit(
        tree=(*tree, *kickstarts, *_kickstart_image(plan, kickstarts)),
        esp=esp,
        volume_id=plan.volume_id if plan.volume_id != plan.stock_volume_id else None,
        implant_media_check=request.media_check,
        files=_added_files(request, {artifact.path for artifact in kickstarts}),
    )
    written = write_iso(
        stock, request.out, edit, force=request.force, progress=write_progress, timestamp=read_source_date()
    )
    return BuildReport(iso, plan, written, tuple(sorted(facts.password_hashes)))


def read_source_date() -> int | None:
    """Return SOURCE_DATE_EPOCH, seconds since 1970 (reproducible-builds.org/specs/source-date-epoch); None without it.

    Raises:
        UsageError: it is no such number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _EPOCH_DIGITS):
        raise UsageError(f"SOURCE_DATE_EPOCH={text}: not a number of seconds since 1970", hint="correct or unset it")
    return int(text)


def find_stock(site: Site, folder: Path, given: Path | None) -> Path:
    """Return the path of the stock ISO.

    Raises:
        UsageError: none is given, it is a URL, or it is not there.
    """
    named = site.media.iso
    if given is None and named is None:
        raise UsageError("which stock ISO? neither --stock nor media.iso in the site file names one")
    if given is None and named is not None and "://" in named:
        raise UsageError(f"{named} has to be downloaded first", hint="then give the file with --stock")
    path = given or folder / str(named)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="give the stock ISO with --stock")
    return path


def verify_checksum(site: Site, stock: Path, progress: Callable[[int, int], None] | None) -> None:
    """Compare the stock ISO with the checksum in the site file, if there is one.

    Raises:
        IsoError: they differ.
    """
    if site.media.checksum is None:
        return
    kind, _, wanted = site.media.checksum.partition(":")
    digest = hashlib.new(kind)
    size, done = stock.stat().st_size, 0
    with stock.open("rb", buffering=0) as file:
        while block := file.read(4 * 1024**2):
            digest.update(block)
            done += len(block)
            if progress:
                progress(done, size)
    if digest.hexdigest() != wanted:
        message = f"{stock}: its {kind} is {digest.hexdigest()}, and the site file says {wanted}"
        raise IsoError(message, hint="download the ISO again, or correct media.checksum")


def _kickstart_image(plan: MediaPlan, kickstarts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    return (Artifact(KICKSTART_IMAGE, render_cpio(kickstarts)),) if plan.kickstart_in_initrd else ()


def _added_files(request: BuildRequest, taken: set[str]) -> tuple[AddedFile, ...]:
    """Return the files that the user adds; refuses those that are not there, or collide with ours."""
    files = [*request.added, *([(UPDATES_IMAGE, request.updates)] if request.updates else [])]
    for name, source in files:
        if not source.is_file():
            raise UsageError(f"{source}: no such file")
        if name in taken:
            raise UsageError(f"--add {source}:{name}: a kickstart of the site has that name")
    return tuple(AddedFile(name, source) for name, source in files)
