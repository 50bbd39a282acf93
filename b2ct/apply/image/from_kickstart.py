"""Builds an EL guest by kickstart: Anaconda installs it once in QEMU, from the stock boot ISO.

Kernel and initrd are taken off the ISO and started by QEMU, as virt-install does it: no boot menu stands between, the
ISO stays as it is, and the kickstart is named on the command line. It comes on a CD of its own. Anaconda would find it
by itself on a volume labelled OEMDRV, but only without ``inst.ks``, and not when that disk is slow to appear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.apply.image.builder import MadeDisk
from b2ct.apply.image.from_cloud_image import built_from, load_customization, read_report, write_iso_files
from b2ct.apply.image.guest_boot import DirectKernel, GuestMachine, find_firmware, qemu_program, run_guest
from b2ct.apply.image.stock_image import load_stock
from b2ct.apply.iso.layout import read_layout
from b2ct.apply.iso.probe import probe_iso
from b2ct.apply.iso.source import FileSource
from b2ct.apply.kickstart_check import check_kickstarts
from b2ct.apply.tool import run_tool
from b2ct.errors import IsoError, UsageError
from b2ct.plan.generation import load_generation
from b2ct.plan.guest_el import KICKSTART_LABEL, KICKSTART_PATH, make_boot_arguments, make_guest_plan
from b2ct.plan.image import BootMode, Family
from b2ct.render.guest_el import render_guest_kickstart

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.image.builder import ImageRequest
    from b2ct.apply.tool import Program
    from b2ct.plan.image import ImageDescription

_KERNEL = "images/pxeboot/vmlinuz"
_INITRD = "images/pxeboot/initrd.img"
_MEMORY_MIB = 4096
"""What Anaconda needs with its stage 2 in memory."""


class KickstartBuilder:
    """Makes the disk of an EL guest from a stock boot ISO or DVD; needs no root."""

    def programs(self, description: ImageDescription) -> tuple[Program, ...]:
        """Return the programs that it needs.

        Raises:
            UsageError: the description asks for what a kickstart cannot make, or the UEFI firmware is missing.
        """
        if description.family is not Family.EL:
            raise UsageError(f"{description.name}: guests made by kickstart are of the EL family")
        find_firmware()
        return (qemu_program(),)

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        """Make the disk inside ``workspace``.

        Raises:
            UsageError, RemoteError, IsoError: the ISO is not there, or not what the description says.
            B2ctError: pykickstart refuses what a template makes of it.
            GuestError: the installation failed; with the last lines that it wrote.
        """
        stock = load_stock(request)
        disk = workspace / "disk.qcow2"
        machine, mark = prepare_installation(description, request, workspace, stock)
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", disk, str(description.size)])
        return MadeDisk(disk, read_report(run_guest(machine, workspace, log=request.log), mark), built_from(request))


def prepare_installation(
    description: ImageDescription, request: ImageRequest, workspace: Path, stock: Path
) -> tuple[GuestMachine, str]:
    """Write what the installation needs into ``workspace``; return the machine and the mark of its report.

    The machine's disk, ``disk.qcow2``, is not made.

    Raises:
        UsageError, IsoError, B2ctError: as ``KickstartBuilder.make_disk`` does.
    """
    iso = probe_iso(stock)
    generation = load_generation(request.assets, iso.generation)
    customization = load_customization(request, workspace)
    kickstart = render_guest_kickstart(make_guest_plan(description, iso, generation, customization), request.assets)
    check_kickstarts([kickstart], generation.pykickstart)
    cd = workspace / "kickstart.iso"
    write_iso_files(cd, KICKSTART_LABEL, {KICKSTART_PATH: kickstart.data})
    kernel = extract_kernel(stock, workspace, make_boot_arguments(iso.volume_id))
    machine = GuestMachine(workspace / "disk.qcow2", (stock, cd), BootMode.UEFI, kernel, _MEMORY_MIB)
    return machine, customization.mark


def extract_kernel(stock: Path, folder: Path, arguments: str) -> DirectKernel:
    """Return the installer's kernel and initrd, taken off the ISO into ``folder``.

    Raises:
        IsoError: the ISO has none in the usual place, or cannot be read.
    """
    paths = []
    with FileSource(stock) as source:
        tree = read_layout(source).trees[0]
        for name in (_KERNEL, _INITRD):
            entry = tree.find(name)
            if entry is None:
                raise IsoError(f"{stock}: no {name} on it", hint="take the distribution's boot ISO or DVD")
            paths.append(folder / name.rpartition("/")[2])
            paths[-1].write_bytes(tree.read_file(entry))
    return DirectKernel(paths[0], paths[1], arguments)
