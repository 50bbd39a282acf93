"""Reads the header of a disk image: what it really is, and what it leans on (QEMU, docs/interop/qcow2.txt)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

HEADER_BYTES = 68 * 1024
"""What has to be read of an image to tell its format and its header, bytes."""

_QCOW2_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_NAME_LIMIT = 1023
_EXTERNAL_DATA = 1 << 2
_CORRUPT = 1 << 1


class DiskFormat(StrEnum):
    """What a file is, whatever its name says."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VMDK = "vmdk"
    VDI = "vdi"
    VHD = "vhd"
    VHDX = "vhdx"
    QED = "qed"
    ISO = "iso9660"
    GZIP = "gzip"
    XZ = "xz"
    BZIP2 = "bzip2"
    ZSTD = "zstd"
    ZIP = "zip"


_SIGNATURES = (
    (0, _QCOW2_MAGIC, DiskFormat.QCOW2),
    (0, b"KDMV", DiskFormat.VMDK),
    (0, b"COWD", DiskFormat.VMDK),
    (0, b"# Disk DescriptorFile", DiskFormat.VMDK),
    (0x40, b"\x7f\x10\xda\xbe", DiskFormat.VDI),
    (0, b"vhdxfile", DiskFormat.VHDX),
    (0, b"conectix", DiskFormat.VHD),
    (0, b"QED\0", DiskFormat.QED),
    (0, b"\x1f\x8b", DiskFormat.GZIP),
    (0, b"\xfd7zXZ\0", DiskFormat.XZ),
    (0, b"BZh", DiskFormat.BZIP2),
    (0, b"\x28\xb5\x2f\xfd", DiskFormat.ZSTD),
    (0, b"PK\x03\x04", DiskFormat.ZIP),
    (0x8001, b"CD001", DiskFormat.ISO),
)
"""Where and how formats begin: QEMU's block drivers, ECMA-119 8.1, RFC 1952, RFC 8878, the programs' own documents."""


@dataclass(frozen=True, slots=True)
class Qcow2Header:
    """What a qcow2 file says of itself."""

    version: int
    virtual_bytes: int
    cluster_bytes: int
    backing_file: str
    """Name of the image that it is a difference to; empty: none. Unprintable characters are escaped."""
    external_data: bool
    """True when its data are in another file."""
    encrypted: bool
    snapshots: int
    marked_corrupt: bool
    """True when QEMU found it damaged before."""


class Qcow2Error(ValueError):
    """A file that begins as qcow2 is none."""


def detect_format(head: bytes) -> DiskFormat:
    """Return the format of a file that begins with ``head`` (up to HEADER_BYTES); what is nothing else is raw."""
    for at, signature, disk_format in _SIGNATURES:
        if head.startswith(signature, at):
            return disk_format
    return DiskFormat.RAW


def parse_qcow2(head: bytes) -> Qcow2Header:
    """Return the header at the beginning of a qcow2 file.

    Raises:
        Qcow2Error: it is damaged, or of a version that no QEMU since 0.8.3 writes.
    """
    if len(head) < _HEADER.size:
        raise Qcow2Error(f"a qcow2 header of {len(head)} bytes")
    fields = _HEADER.unpack_from(head)
    version, backing_at, backing_length, cluster_bits, virtual_bytes, crypt = fields[1:7]
    if version not in (2, 3):
        raise Qcow2Error(f"qcow version {version}, not 2 or 3")
    if not 9 <= cluster_bits <= 21:
        raise Qcow2Error(f"clusters of 2^{cluster_bits} bytes")
    incompatible = 0
    if version == 3:
        if len(head) < _HEADER.size + _V3.size:
            raise Qcow2Error(f"a qcow2 header of {len(head)} bytes")
        (incompatible, *_) = _V3.unpack_from(head, _HEADER.size)
    return Qcow2Header(
        version=version,
        virtual_bytes=virtual_bytes,
        cluster_bytes=1 << cluster_bits,
        backing_file=_backing_file(head, backing_at, backing_length),
        external_data=bool(incompatible & _EXTERNAL_DATA),
        encrypted=crypt != 0,
        snapshots=fields[11],
        marked_corrupt=bool(incompatible & _CORRUPT),
    )


def _backing_file(head: bytes, at: int, length: int) -> str:
    """Return the printable name of the backing file; it lies in the first cluster."""
    if at == 0:
        return ""
    if length > _NAME_LIMIT or at + length > len(head):
        return "a name that cannot be read"
    name = head[at : at + length].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name) or "an empty name"
