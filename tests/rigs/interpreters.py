"""Pythons of other Debians: unpacked into the cache and run there by their own loader; nothing is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rigs.cache import make_cached
from tests.rigs.fresh import SUITE, find_mirror, read_sources
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = {
    "3.7": ("bullseye", "pypy3"),
    "3.9": ("bullseye", "python3.9"),
    "3.11": ("bookworm", "python3.11"),
    "3.13": ("trixie", "python3.13"),
}
"""Suite and package of each Python that Debian's mirrors have. No suite there has CPython 3.7 (PyPy 7.3.5 has its
language and library), nor any 3.6, 3.8, 3.10 or 3.12."""

_RUN = """\
#!/bin/sh
# Found from where this file is: the folder gets its name when it is whole.
root=$(dirname "$(readlink -f "$0")")/root
exec "$root/{loader}" --library-path "$root/{libraries}:$root/usr/{libraries}" "$root/{program}" "$@"
"""


def make_python(version: str) -> Path | None:
    """Return a program that runs Python ``version``, unpacked the first time, then cached; None if no suite has it.

    The mirror is the one of this machine's own release; it has every suite.
    """
    if version not in RELEASES:
        return None
    need_tool("mmdebstrap")
    suite, package = RELEASES[version]

    def unpack(out: Path) -> None:
        proxy = run_tool(["apt-config", "shell", "P", "Acquire::http::Proxy"])
        variables = {"http_proxy": proxy.split("'")[1]} if proxy else {}
        root = out / "root"
        source = f"deb {find_mirror(read_sources(), SUITE)} {suite} main"
        argv = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={package}", suite, str(root), source]
        run_tool(argv, env=variables)
        loader = next(path for place in ("lib", "usr/lib") for path in root.glob(f"{place}/*/ld-linux-*.so.*"))
        libraries = loader.parent.relative_to(root).as_posix().removeprefix("usr/")
        program = (root / "usr/bin" / package).resolve().relative_to(root.resolve())
        run = out / "python"
        run.write_text(_RUN.format(loader=loader.relative_to(root), libraries=libraries, program=program))
        run.chmod(0o755)

    return make_cached("python", (suite, package, _RUN), unpack) / "python"
