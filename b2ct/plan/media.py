"""Decides what the install media offer: the boot entries, their kernel arguments, the default and the volume id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import UsageError
from b2ct.site.host import ASK, Host
from b2ct.site.versions import DISTRO_GENERATIONS

if TYPE_CHECKING:
    from b2ct.plan.iso_facts import IsoFacts
    from b2ct.site.model import Site
    from b2ct.site.storage import Disk

FOLDER = "b2ct"
"""Folder on the media that holds what B2CT adds."""

KICKSTART_IMAGE = f"{FOLDER}/ks.img"
"""Second initrd with the kickstarts in it."""

UPDATES_IMAGE = "images/updates.img"
"""Where Anaconda's updates image is put."""

LOCAL_DISK_PROGRAM = f"{FOLDER}/local.bin"
"""Boot record that isolinux starts to boot the machine's own disk."""

LOCAL_DISK = "b2ct-local"
"""Id of the entry that boots the machine's own disk."""


@dataclass(frozen=True, slots=True)
class MediaOptions:
    """What the person who builds the media chose besides the site file."""

    default: str | None = None
    """Host whose installation starts by itself; None: the machine boots its own disk."""
    timeout_s: int = 60
    """Seconds until the default entry starts."""
    volume_id: str | None = None
    """New volume id; None keeps that of the stock ISO, so that its own entries stay as they are."""
    extra_arguments: tuple[str, ...] = ()
    """Kernel arguments to add to our entries."""
    removed_arguments: tuple[str, ...] = ()
    """Kernel arguments, or their names, of the stock entry to leave out of ours."""
    updates: bool = False
    """An updates image is put on the media."""
    kickstart_in_initrd: bool = False
    """The kickstarts go into a second initrd, so that they are found without any label."""


@dataclass(frozen=True, slots=True)
class BootEntry:
    """An entry of ours in the boot menu that starts an installation."""

    id: str
    """``b2ct-host-hv01``: never the id of the entry for the local disk, whatever a host is called."""
    host: str
    """Name of the host, or ``ask``."""
    title: str
    """What the menu shows: what will be installed, and what will be erased."""
    kickstart: str
    """Path of the kickstart on the media, ``b2ct/hv01.ks``."""
    arguments: tuple[str, ...]
    """Kernel arguments besides those that find the kickstart."""


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """The install media, decided."""

    generation: int
    volume_id: str
    """Volume id of the media."""
    stock_volume_id: str
    """Volume id that the stock menus name."""
    entries: tuple[BootEntry, ...]
    default_id: str
    """Id of the entry that starts after the time-out; ``b2ct-local`` boots the machine's own disk."""
    timeout_s: int
    serial: tuple[int, int] | None
    """Unit and speed (bit/s) of the menu's serial console."""
    removed_arguments: tuple[str, ...]
    kickstart_in_initrd: bool
    updates: bool
    is_dvd: bool


def make_media_plan(site: Site, facts: IsoFacts, options: MediaOptions) -> MediaPlan:
    """Decide what the media offer.

    Raises:
        UsageError: the ISO is not what the site file says, the volume id cannot be used, or the default is no host.
    """
    _check_distribution(site, facts)
    hosts = media_hosts(site)
    names = [host.name for host in hosts]
    if options.default is not None and options.default not in names:
        raise UsageError(f"--default {options.default}: no such host", hint=f"hosts: {', '.join(names)}")
    if options.volume_id is not None:
        _check_volume_id(options.volume_id)
    return MediaPlan(
        generation=facts.generation,
        volume_id=options.volume_id or facts.volume_id,
        stock_volume_id=facts.volume_id,
        entries=tuple(_entry(site, host, options) for host in hosts),
        default_id=entry_id(options.default) if options.default else LOCAL_DISK,
        timeout_s=options.timeout_s,
        serial=_serial(site.console),
        removed_arguments=options.removed_arguments,
        kickstart_in_initrd=options.kickstart_in_initrd,
        updates=options.updates,
        is_dvd=facts.is_dvd,
    )


def media_hosts(site: Site) -> tuple[Host, ...]:
    """Return the hosts that the media offer: those of the site, then the interactive one."""
    named = tuple(host for host in site.hosts if host.name != ASK)
    ask = next((host for host in site.hosts if host.name == ASK), Host(name=ASK))
    return (*named, ask)


def entry_id(host: str) -> str:
    """Return the id of a host's entry in the boot menus."""
    return f"b2ct-host-{host}"


def kickstart_path(host: str) -> str:
    """Return the path of a host's kickstart on the media."""
    return f"{FOLDER}/{host}.ks"


PRODUCTS = {
    "centos": r"^CentOS( Linux)?$",
    "centos-stream": r"^CentOS Stream",
    "almalinux": r"^AlmaLinux",
    "rocky": r"^Rocky",
    "rhel": r"^Red Hat",
}
"""Product names in .discinfo and .treeinfo, by the distribution's name in the site file."""


def _check_distribution(site: Site, facts: IsoFacts) -> None:
    """Refuse an ISO that the site file does not mean."""
    media = site.media
    wanted = f"{media.distro} {media.version} {media.arch}"
    found = f"{facts.product} {facts.version} {facts.arch}"
    pairs = zip(facts.version.split("."), media.version.split("."), strict=False)
    same_version = all(ours == theirs for ours, theirs in pairs)
    generations = DISTRO_GENERATIONS[media.distro]
    if (
        not re.search(PRODUCTS[media.distro], facts.product)
        or not same_version
        or facts.arch != media.arch
        or facts.generation not in generations
    ):
        hint = "change media in the site file, or give the right ISO with --stock"
        raise UsageError(f"{facts.path} holds {found}, and the site file says {wanted}", hint=hint)


def _check_volume_id(volume_id: str) -> None:
    """Refuse volume ids that some boot loader or Anaconda could not find again."""
    if len(volume_id) > 32:
        raise UsageError(f"--volid {volume_id}: {len(volume_id)} characters, and a volume id has at most 32")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", volume_id):
        raise UsageError(f"--volid {volume_id!r}: only letters, digits, _ . - are found again by every boot loader")


def _entry(site: Site, host: Host, options: MediaOptions) -> BootEntry:
    console = host.console or site.console
    arguments = [*site.kernel_arguments, *host.kernel_arguments, *options.extra_arguments]
    if console:
        arguments += ["console=tty0", f"console={console}"]
    return BootEntry(
        id=entry_id(host.name),
        host=host.name,
        title=_title(host),
        kickstart=kickstart_path(host.name),
        arguments=tuple(arguments),
    )


def _title(host: Host) -> str:
    """Return the line of the menu; isolinux shows about 60 characters of it."""
    if host.name == ASK:
        return "Install any host: asks for role, name, network, disk"
    disks = " and ".join(_describe(disk) for disk in host.disks)
    erased = f"ERASES {disks}" if disks else "asks which disk to ERASE"
    return f"Install {host.name} ({host.role or 'asks role'}): {erased}"


def _describe(disk: Disk) -> str:
    names = [name for name in (disk.wwn, disk.serial, disk.path) if name]
    size = f"{disk.size / 1e9:.0f} GB " if disk.size else ""
    kind = "smallest " if disk.smallest else ""
    return " ".join([f"{kind}{size}disk", *names])


def _serial(console: str | None) -> tuple[int, int] | None:
    found = re.match(r"ttyS([0-9]+)(?:,([0-9]+))?", console or "")
    return (int(found.group(1)), int(found.group(2) or 9600)) if found else None
