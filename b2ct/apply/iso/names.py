"""Identifiers of new files: what a tree calls a file that a user named freely (ECMA-119 7.5 and 7.6, Joliet 5)."""

from __future__ import annotations

from b2ct.errors import IsoError

_ISO_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_ISO_FILE, _ISO_DIRECTORY, _ISO_UNTRANSLATED = 30, 31, 37
_JOLIET_FORBIDDEN = frozenset('*/:;?\\"<>|')
_JOLIET_UNITS = 103
_NAME_BYTES = 255


def check_path(path: str) -> tuple[str, ...]:
    """Return the components of a path inside the ISO; raises IsoError when it cannot be one."""
    parts = tuple(part for part in path.split("/") if part)
    if not parts or any(part in (".", "..") or not part.isprintable() for part in parts):
        raise IsoError(f"{path!r} cannot be a path on the ISO", hint="give it relative to the root, such as ks/host.ks")
    for part in parts:
        if len(part.encode()) > _NAME_BYTES:
            raise IsoError(f"{path}: a name has {len(part.encode())} bytes, but {_NAME_BYTES} is the most")
    return parts


def make_identifier(name: str, *, directory: bool, joliet: bool, untranslated: bool, taken: set[bytes]) -> bytes:
    """Return an identifier for ``name`` that is not in ``taken``.

    ``untranslated`` trees keep names as they are, without a version number (genisoimage's -untranslated-filenames).
    """
    stem, dot, extension = name.rpartition(".") if not directory and "." in name.lstrip(".") else (name, "", "")
    for number in range(1_000_000):
        tail = f"_{number}" if number else ""
        if joliet:
            candidate = _joliet(stem, dot + extension, tail)
        elif untranslated and name.isascii() and len(name) <= _ISO_UNTRANSLATED and not number:
            candidate = name.encode()
        else:
            candidate = _iso(stem, extension, tail, directory=directory, versioned=not untranslated)
        if candidate not in taken:
            return candidate
    raise IsoError(f"{name}: no free identifier for it")


def _joliet(stem: str, extension: str, tail: str) -> bytes:
    clean = "".join("_" if char in _JOLIET_FORBIDDEN or ord(char) > 0xFFFF else char for char in stem + extension)
    stem, extension = clean[: len(stem)], clean[len(stem) :][:_NAME_BYTES]
    extension = extension[: _JOLIET_UNITS // 2]
    return (stem[: _JOLIET_UNITS - len(extension) - len(tail)] + tail + extension).encode("utf-16-be")


def _iso(stem: str, extension: str, tail: str, *, directory: bool, versioned: bool) -> bytes:
    stem, extension = ("".join(c if c in _ISO_ALLOWED else "_" for c in part.upper()) for part in (stem, extension))
    if directory:
        return (stem[: _ISO_DIRECTORY - len(tail)] + tail).encode()
    extension = extension[: _ISO_FILE // 2]
    text = stem[: _ISO_FILE - len(extension) - len(tail)] + tail + "." + extension
    return (text + ";1" if versioned else text).encode()


def sort_key(identifier: bytes, *, joliet: bool) -> tuple[bytes, bytes]:
    """Return what orders identifiers in a directory (ECMA-119 9.3): name, then extension, each padded."""
    if joliet:
        return identifier.ljust(2 * 128, b"\0"), b""
    name, _, extension = identifier.partition(b";")[0].partition(b".")
    return name.ljust(64), extension.ljust(64)
