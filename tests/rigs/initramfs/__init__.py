"""The initial RAM disk of the look-alikes: busybox, the modules that find a medium, and ``init`` beside this file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.cache import make_cached
from tests.rigs.debian import load_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

INIT = Path(__file__).with_name("init")
BUSYBOX = Path("/bin/busybox")
"""Debian's busybox-static."""

_DIRECTORY, _REGULAR, _CHARACTER = 0o040755, 0o100755, 0o020600


def make_initrd(generation: int) -> Path:
    """The initrd of EL ``generation`` (6 to 10), gzip; made once, then taken from the cache."""
    kernel = load_kernel()
    files = {
        "init": INIT.read_bytes(),
        "generation": f"{generation}\n".encode(),
        "bin/busybox": BUSYBOX.read_bytes(),
        "modules/order": "".join(f"{path.stem}\n" for path in kernel.modules).encode(),
        **{f"modules/{path.name}": path.read_bytes() for path in kernel.modules},
    }
    archive = make_archive(files)
    home = make_cached("initrd", [archive], lambda out: _write_gzip(out / "initrd.img", archive))
    return home / "initrd.img"


def make_archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive in newc format (kernel, Documentation/driver-api/early-userspace/buffer-format.rst).

    Holds ``files`` (path without leading slash: content), their directories and /dev/console; all times are 0.
    """
    directories = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."} | {"dev"})
    members = [(name, _DIRECTORY, b"", (0, 0)) for name in directories]
    members.append(("dev/console", _CHARACTER, b"", (5, 1)))
    members += [(name, _REGULAR, data, (0, 0)) for name, data in files.items()]
    members.append(("TRAILER!!!", 0, b"", (0, 0)))
    return b"".join(_member(number, *member) for number, member in enumerate(members, start=1))


def _member(inode: int, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    path = name.encode() + b"\0"
    numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4)


def _write_gzip(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data, compresslevel=6, mtime=0))
