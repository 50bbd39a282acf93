"""Decides how the disk of a golden image is divided, and every identifier on it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import UsageError

if TYPE_CHECKING:
    from b2ct.plan.image import ImageDescription

SECTOR = 512
"""Bytes in a sector of every disk here."""

_MIB = 1024**2
_BIOS_BYTES = _MIB
_ESP_BYTES = 64 * _MIB
"""FAT32 needs 65525 clusters (Microsoft FAT specification, 3.5); with one sector each this has twice as many."""
_SPARE_BYTES = _MIB
"""Behind the last partition: the second partition table takes 33 sectors (UEFI specification 5.3)."""
_SMALLEST_ROOT_BYTES = 16 * _MIB

_NAMESPACE = uuid.UUID("5b5d9a0e-1f0f-5a43-9d5d-3a0b2c7f6e11")
"""Names of everything on golden images, for UUIDs of version 5 (RFC 9562 5.5)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: where it lies, in bytes from the disk's start."""

    name: str
    type_uuid: str
    uuid: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """A disk with a GUID partition table that boots with BIOS and UEFI; the root file system is last, to grow."""

    size: int
    """Bytes."""
    uuid: str
    bios: Partition
    """GRUB for BIOS lies here without a file system."""
    esp: Partition
    """EFI system partition, FAT32."""
    root: Partition
    """Root file system, ext4; its UUID is the partition's."""
    hash_seed: str
    """UUID that ext4 hashes names with."""
    esp_serial: str
    """Volume serial number of the FAT file system, eight hexadecimal digits."""


def make_disk_plan(description: ImageDescription, epoch: int) -> DiskPlan:
    """Return the disk's plan; the same name, version and ``epoch`` (seconds since 1970) give the same identifiers.

    Raises:
        UsageError: the disk is too small.
    """
    size = int(description.size) // _MIB * _MIB
    esp_start = _MIB + _BIOS_BYTES
    root_start = esp_start + _ESP_BYTES
    root_size = size - root_start - _SPARE_BYTES
    if root_size < _SMALLEST_ROOT_BYTES:
        raise UsageError(f"{description.name}: a disk of {size // _MIB} MiB is too small", hint="size: 10GiB is usual")

    def make_uuid(what: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{description.name} {description.version} {epoch} {what}"))

    # Types: GRUB manual, "BIOS installation"; UEFI specification 5.3.3; Discoverable Partitions Specification (x86-64)
    return DiskPlan(
        size=size,
        uuid=make_uuid("disk"),
        bios=Partition("bios", "21686148-6449-6e6f-744e-656564454649", make_uuid("bios"), _MIB, _BIOS_BYTES),
        esp=Partition("esp", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", make_uuid("esp"), esp_start, _ESP_BYTES),
        root=Partition("root", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", make_uuid("root"), root_start, root_size),
        hash_seed=make_uuid("hash seed"),
        esp_serial=make_uuid("esp serial")[:8],
    )
