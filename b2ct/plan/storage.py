"""Decides how a host's disks are chosen and divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2ct.plan.model import LogicalVolume, StoragePlan
from b2ct.site.check_storage import is_swap, needed_size
from b2ct.site.storage import Raid

if TYPE_CHECKING:
    from b2ct.plan.generation import Storage
    from b2ct.site.host import Host
    from b2ct.site.storage import Disk, Volume

MIB = 1024**2


def make_storage(host: Host, data: Storage, kernel_arguments: tuple[str, ...]) -> StoragePlan:
    """Decide the disks of ``host``; ``kernel_arguments`` are those of the installed system."""
    layout = host.layout
    mirrored = layout.raid is Raid.MIRROR
    firmware = data.mirror if mirrored else data.plain
    return StoragePlan(
        rules=tuple(map(_rule, host.disks)),
        count=2 if mirrored else 1,
        minimum_mib=_mib(needed_size(layout)),
        mirrored=mirrored,
        boot_mib=_mib(layout.boot),
        boot_fstype=data.fstype,
        firmware_bios=firmware.bios,
        firmware_uefi=firmware.uefi,
        volume_group=layout.volume_group,
        volumes=tuple(_volume(volume, data.fstype) for volume in layout.volumes),
        kernel_arguments=kernel_arguments,
    )


def _mib(size: int) -> int:
    """Return bytes as MiB, rounded up."""
    return -(-size // MIB)


def _rule(disk: Disk) -> str:
    """Return the rule as ``kickstart/snippets/pre/disks.sh`` reads it; sizes are in bytes."""
    parts = [f"{kind}={value}" for kind in ("wwn", "serial", "path") if (value := getattr(disk, kind))]
    parts += [f"size={int(disk.size)}"] if disk.size else []
    return ",".join(parts + (["smallest"] if disk.smallest else []))


def _volume(volume: Volume, default_fstype: str) -> LogicalVolume:
    swap = is_swap(volume)
    return LogicalVolume(
        name=volume.name,
        mount="swap" if swap else volume.mount or "",
        fstype="swap" if swap else (volume.fs.value if volume.fs else default_fstype),
        size_mib=_mib(volume.size),
        grow=volume.grow,
    )
