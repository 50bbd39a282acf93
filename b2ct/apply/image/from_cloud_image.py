"""Builds a guest from its distributor's cloud image: it boots once in QEMU and changes itself from within."""

from __future__ import annotations

import re
import secrets
from io import BytesIO
from typing import TYPE_CHECKING

import pycdlib

from b2ct.apply.agent import AGENT_UNITS, agent_files
from b2ct.apply.image.boot_record import check_boot_record
from b2ct.apply.image.builder import MadeDisk
from b2ct.apply.image.check_container import check_format, check_standalone, open_container
from b2ct.apply.image.from_packages import load_key
from b2ct.apply.image.guest_boot import (
    GuestError,
    GuestMachine,
    GuestOutput,
    find_firmware,
    qemu_program,
    run_guest,
)
from b2ct.apply.image.stock_image import load_stock
from b2ct.apply.tool import Program, run_tool
from b2ct.errors import UsageError
from b2ct.plan.customization import make_customization
from b2ct.plan.guest_debian import make_repository_source
from b2ct.plan.image import BootMode, Family
from b2ct.render.guest_debian import render_sources
from b2ct.render.user_data import render_meta_data, render_user_data, render_yum_repositories

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from b2ct.apply.image.builder import ImageRequest
    from b2ct.plan.artifact import Artifact
    from b2ct.plan.customization import Customization
    from b2ct.plan.image import ImageDescription

SEED_LABEL = "CIDATA"
"""Volume label of NoCloud's seed (cloud-init, "NoCloud"): in either case."""

_MARK = "B2CT-IMAGE-"


class CloudImageBuilder:
    """Makes the disk of a guest from a stock cloud image; needs no root."""

    def programs(self, description: ImageDescription) -> tuple[Program, ...]:
        """Return the programs that it needs.

        Raises:
            UsageError: the UEFI firmware is missing.
        """
        if BootMode.BIOS not in description.boot:
            find_firmware()
        keys = description.repositories and description.family is not Family.EL
        return (qemu_program(), *((Program("gpg", debian="gpg", el="gnupg2"),) if keys else ()))

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        """Make the disk inside ``workspace``.

        Raises:
            UsageError, RemoteError, ToolError: the stock image is not there, or is none.
            GuestError: it did not change itself; with the last lines that it wrote.
        """
        stock = load_stock(request)
        disk, seed = workspace / "disk.qcow2", workspace / "seed.iso"
        copy_stock(stock, disk, description.size)
        customization = load_customization(request, workspace)
        mark = customization.mark
        write_seed(seed, render_user_data(customization, request.assets), render_meta_data(mark.lower()))
        firmware = BootMode.BIOS if BootMode.BIOS in description.boot else BootMode.UEFI
        packages = read_report(run_guest(GuestMachine(disk, (seed,), firmware), workspace, log=request.log), mark)
        return MadeDisk(disk, packages, built_from(request))


def load_customization(request: ImageRequest, workspace: Path) -> Customization:
    """Return what the guest gets, with a mark of its own; keys of Debian repositories are fetched.

    Raises:
        UsageError, RemoteError, ToolError: a repository is described wrongly, or its key cannot be had.
    """
    description = request.description
    repositories = description.repositories if request.with_repositories else ()
    files: list[Artifact] = []
    if description.family is Family.EL:
        files += render_yum_repositories(repositories)
    else:
        files += render_sources([make_repository_source(repository) for repository in repositories])
        files += [load_key(repository, workspace) for repository in repositories]
    files += agent_files(request.assets) if description.agent else ()
    units = AGENT_UNITS if description.agent else ()
    mark = _MARK + secrets.token_hex(8)
    return make_customization(description, mark, tuple(files), units, with_repositories=request.with_repositories)


def copy_stock(stock: Path, disk: Path, size: int) -> None:
    """Write the stock image as a qcow2 disk of ``size`` bytes to ``disk``; the stock image stays as it is.

    Raises:
        UsageError: it is no qcow2 or raw disk that stands alone and boots, or larger than ``size``.
        ToolError: qemu-img failed.
    """
    container = open_container(stock)
    for check in (check_format, check_standalone, check_boot_record):
        if not (verdict := check(container)).ok:
            raise UsageError(f"{stock}: {verdict.detail}", hint="is it a disk image, or a page or an archive?")
    if (container.virtual_bytes or 0) > size:
        raise UsageError(f"{stock}: its disk of {container.virtual_bytes} bytes is larger than size, {size}")
    run_tool(["qemu-img", "convert", "-f", container.format.value, "-O", "qcow2", container.tool_name, disk])
    run_tool(["qemu-img", "resize", "-q", "-f", "qcow2", disk, str(size)])


def write_seed(out: Path, user_data: str, meta_data: str) -> None:
    """Write the ISO that NoCloud reads."""
    write_iso_files(out, SEED_LABEL, {"user-data": user_data.encode(), "meta-data": meta_data.encode()})


def write_iso_files(out: Path, label: str, files: Mapping[str, bytes]) -> None:
    """Write an ISO with a few files at its top: Rock Ridge and Joliet keep their names, ISO 9660's own are numbers."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, vol_ident=label, joliet=3, rock_ridge="1.09")
    for number, (name, data) in enumerate(files.items()):
        image.add_fp(BytesIO(data), len(data), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    image.write(str(out))
    image.close()


def read_report(said: GuestOutput, mark: str) -> tuple[tuple[str, str], ...]:
    """Return the packages that the guest listed in its report, name and version.

    Raises:
        GuestError: it did not say that it is done; with what it said last.
    """
    lines = re.findall(rf"{re.escape(mark)} (.*)", said.report.replace("\r", ""))
    if lines and lines[-1] == "done":
        words = (line.split() for line in lines if line.startswith("package "))
        return tuple((name, version) for _, name, version in words)
    if failures := [line for line in lines if line.startswith("failed ")]:
        raise GuestError(f"the guest {failures[-1]}", said)
    if lines:
        raise GuestError("the guest went off in the middle of its work", said)
    raise GuestError("the guest went off without doing anything", said)


def built_from(request: ImageRequest) -> tuple[str, ...]:
    """Return where everything in the guest comes from, for the record."""
    repositories = request.description.repositories if request.with_repositories else ()
    return (request.mirror or request.description.source.url, *(repository.url for repository in repositories))
