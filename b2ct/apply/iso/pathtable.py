"""Path tables: parsed, checked and rebuilt (ECMA-119 9.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from b2ct.apply.iso.names import sort_key
from b2ct.errors import IsoError


@dataclass(frozen=True, slots=True)
class PathEntry:
    """One directory of a path table."""

    identifier: bytes
    extent: int
    """Relative to the base of the tree."""
    parent: int
    """Number of the parent, counted from 1; the root is its own."""


def parse_path_table(data: bytes, *, big_endian: bool) -> list[PathEntry]:
    """Return the entries of a path table; raises IsoError when it is damaged."""
    order = ">" if big_endian else "<"
    entries: list[PathEntry] = []
    offset = 0
    while offset + 8 <= len(data):
        length = data[offset]
        extent, parent = struct.unpack_from(f"{order}IH", data, offset + 2)
        if length == 0 or not 1 <= parent <= max(len(entries), 1) or offset + 8 + length > len(data):
            raise IsoError(f"damaged path table at byte {offset}")
        entries.append(PathEntry(data[offset + 8 : offset + 8 + length], extent, parent))
        offset += 8 + length + length % 2
    return entries


def make_path_table(entries: list[PathEntry], *, big_endian: bool) -> bytes:
    """Return the bytes of a path table."""
    order = ">" if big_endian else "<"
    out = bytearray()
    for entry in entries:
        out += struct.pack(f"{order}BBIH", len(entry.identifier), 0, entry.extent, entry.parent)
        out += entry.identifier + bytes(len(entry.identifier) % 2)
    return bytes(out)


def insert_directories(entries: list[PathEntry], added: list[PathEntry], *, joliet: bool) -> list[PathEntry]:
    """Return a path table with directories added, in the order that ECMA-119 9.4 asks for: level, parent, name.

    ``parent`` of an added entry counts through ``entries`` and then ``added`` itself.
    """
    nodes = [*entries, *added]
    children: dict[int, list[int]] = {}
    for number, node in enumerate(nodes[1:], 2):
        children.setdefault(node.parent, []).append(number)
    order = [1]
    for number in order:
        order += sorted(children.get(number, []), key=lambda n: sort_key(nodes[n - 1].identifier, joliet=joliet))
    renumbered = {old: new for new, old in enumerate(order, 1)}
    return [
        PathEntry(nodes[old - 1].identifier, nodes[old - 1].extent, renumbered[nodes[old - 1].parent]) for old in order
    ]
