"""Packs files into a cpio archive that the kernel unpacks as an initial RAM disk."""

from __future__ import annotations

from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.plan.artifact import Artifact

FILE, FOLDER = 0o100000, 0o040000
"""Bits of the file type in st_mode (stat(2))."""


def render_cpio(artifacts: Iterable[Artifact]) -> bytes:
    """Return a "newc" archive (kernel documentation, "initramfs buffer format") of the files and their folders.

    Times and owners are zero, so that the same files give the same bytes.
    """
    artifacts = tuple(artifacts)
    parents = {parent for artifact in artifacts for parent in PurePosixPath(artifact.path).parents}
    folders = sorted(parent.as_posix() for parent in parents if parent.name)
    inode = count(1)
    parts = [_member(next(inode), folder, FOLDER | 0o755, b"") for folder in folders]
    parts += [_member(next(inode), artifact.path, FILE | artifact.mode, artifact.data) for artifact in artifacts]
    parts.append(_member(0, "TRAILER!!!", 0, b""))
    return b"".join(parts)


def _member(inode: int, name: str, mode: int, data: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if mode & FOLDER else 1
    numbers = (inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
