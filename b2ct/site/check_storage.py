"""Checks of disks and layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.storage import FileSystem, Raid
from b2ct.site.types import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.site.host import Host
    from b2ct.site.model import Site
    from b2ct.site.storage import Layout, Volume
    from b2ct.site.yaml import Loc

FIRMWARE_SIZE = 602 * 1024**2
"""What the firmware needs: an EFI system partition of 600 MiB, a BIOS boot partition of 1 MiB, alignment."""

SPOOL = "/var/spool/squid"
"""Where squid keeps its cache."""

SPOOL_SHARE = 0.7
"""The most that the cache may take of its file system (squid-cache.org's advice for cache_dir)."""

LEAST_BOOT = 512 * 1024**2
"""The least /boot: three kernels with their initial RAM disks."""

LEAST_ROOT = 8 * 1024**3
"""The least /: the packages of a front-end, and room to update them."""

ON_ROOT = frozenset(["/bin", "/dev", "/etc", "/lib", "/lib64", "/mnt", "/proc", "/root", "/run", "/sbin", "/sys"])
"""Folders that Anaconda wants on the volume of ``/``, or that are no volumes at all."""


def needed_size(layout: Layout) -> int:
    """Return the least size of the disk that holds a layout, in bytes (LVM's own need rounded up to 8 MiB a volume)."""
    volumes = sum(volume.size + 8 * 1024**2 for volume in layout.volumes)
    return FIRMWARE_SIZE + layout.boot + volumes


def is_swap(volume: Volume) -> bool:
    """Return whether a volume is swap space."""
    return volume.fs is FileSystem.SWAP or (volume.fs is None and volume.mount is None)


def check_storage(site: Site) -> Iterator[Finding]:
    """Return what is wrong with disks and layouts."""
    for i, host in enumerate(site.hosts):
        loc: Loc = ("hosts", i)
        yield from _check_disks(loc, host)
        yield from _check_layout((*loc, "layout"), host.layout)
        if Service.SQUID in host.services:
            yield from _check_spool(loc, site, host)


def _check_disks(loc: Loc, host: Host) -> Iterator[Finding]:
    wanted = 2 if host.layout.raid is Raid.MIRROR else 1
    if len(host.disks) not in {0, wanted}:
        message = f"{len(host.disks)} disks are given, and the layout takes {wanted}"
        yield Finding((*loc, "disks"), message, 'raid: "1" mirrors two disks' if wanted == 1 else "RAID 1 needs two")
    for kind in ("wwn", "serial", "path"):
        values = (((*loc, "disks", n, kind), getattr(disk, kind)) for n, disk in enumerate(host.disks))
        yield from find_duplicates(f"the disk with {kind}", values)
    needed = needed_size(host.layout)
    for n, disk in enumerate(host.disks):
        at = (*loc, "disks", n)
        if not (disk.wwn or disk.serial or disk.path or disk.size or disk.smallest):
            yield Finding(at, "this rule fits any disk", "give wwn, serial, path, size or smallest: true")
        if disk.size and disk.size < needed:
            message = f"the layout needs {_gib(needed)}, which is more than the disk's {_gib(disk.size)}"
            yield Finding((*at, "size"), message, "make a volume smaller; one with grow takes what is left")


def _check_layout(loc: Loc, layout: Layout) -> Iterator[Finding]:
    if layout.boot < LEAST_BOOT:
        yield Finding((*loc, "boot"), f"/boot needs {_gib(LEAST_BOOT)}")
    volumes = [((*loc, "volumes", n), volume) for n, volume in enumerate(layout.volumes)]
    yield from find_duplicates("the volume", (((*at, "name"), volume.name) for at, volume in volumes))
    yield from find_duplicates("the mount point", (((*at, "mount"), volume.mount) for at, volume in volumes))
    if all(volume.mount != "/" for volume in layout.volumes):
        yield Finding((*loc, "volumes"), "no volume is mounted on /")
    if sum(volume.grow for volume in layout.volumes) > 1:
        yield Finding((*loc, "volumes"), "more than one volume has grow", "only one can take what is left")
    for at, volume in volumes:
        mount = volume.mount
        if mount is not None and (mount == "/boot" or mount.startswith("/boot/")):
            yield Finding((*at, "mount"), f"{mount} cannot be on LVM", "the key boot gives the size of /boot")
        elif mount is not None and mount != "/" and ("//" in mount or mount.endswith("/") or "/." in mount):
            yield Finding((*at, "mount"), f"{mount} is not a plain path")
        elif mount in ON_ROOT:
            yield Finding((*at, "mount"), f"{mount} has to be on the volume of /", "the installer refuses it elsewhere")
        elif mount == "/" and volume.size < LEAST_ROOT:
            yield Finding((*at, "size"), f"/ needs {_gib(LEAST_ROOT)}")
        if (mount is None) != is_swap(volume):
            yield Finding(at, "a volume has a mount point, unless it is swap", "give mount, or fs: swap")


def _check_spool(loc: Loc, site: Site, host: Host) -> Iterator[Finding]:
    """The cache fits into the volume that it is on."""
    above = [v for v in host.layout.volumes if v.mount and _is_below(SPOOL, v.mount)]
    volume = max(above, key=lambda v: len(v.mount or ""), default=None)
    if volume and not volume.grow and site.squid.disk > volume.size * SPOOL_SHARE:
        message = f"squid's cache of {_gib(site.squid.disk)} is more than 70 % of the volume {volume.name}"
        yield Finding((*loc, "layout"), message, f"make squid.disk smaller, or add a volume for {SPOOL}")


def _is_below(path: str, mount: str) -> bool:
    return mount in {"/", path} or path.startswith(f"{mount}/")


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
