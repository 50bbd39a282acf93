"""Changes a guest's root folder from outside: writes files, runs steps in it, cleans it."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from b2ct.apply.tool import Program, ToolError, run_tool
from b2ct.plan.guest_debian import EMPTIED, LINKS, LOGS, REMOVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from b2ct.plan.artifact import Artifact
    from b2ct.plan.guest_debian import Step

NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
"""Whatever is mounted or started behind this ends with it."""

ROOT_PROGRAMS = (
    Program("unshare", debian="util-linux", el="util-linux"),
    Program("chroot", debian="coreutils", el="coreutils"),
)

_ENTER = 'mount -t proc proc "$1/proc" && exec chroot "$@"'


def write_files(root: Path, files: Iterable[Artifact]) -> None:
    """Write ``files`` below ``root``, over those that are there; missing folders are made for all to read."""
    for file in files:
        path = root / PurePosixPath(file.path)
        _make_folder(path.parent)
        path.unlink(missing_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)


def run_steps(root: Path, steps: Iterable[Step], log: Callable[[str], None]) -> None:
    """Run ``steps`` inside ``root`` with its own /proc, and the build host's name servers.

    Raises:
        ToolError: a step that must work does not.
    """
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    if (ours := Path("/etc/resolv.conf")).exists():
        shutil.copyfile(ours, root / "etc/resolv.conf")
    for step in steps:
        log(f"in the guest: {' '.join(step.argv)}")
        try:
            argv: list[str | Path] = [*NAMESPACES, "sh", "-c", _ENTER, "sh", root, *step.argv]
            run_tool(argv, program=" ".join(step.argv), timeout_s=step.timeout_s)
        except ToolError as error:
            if step.must_work:
                raise
            log(f"warning: {error.message}")


def clean_root(root: Path) -> None:
    """Take away what belongs to the build, and what has to differ from guest to guest."""
    for name in EMPTIED:
        for path in (root / name).iterdir() if (root / name).is_dir() else ():
            _remove(path)
    for path in (root / LOGS).rglob("*"):
        if path.is_symlink() or path.is_file():
            path.unlink()
    for pattern in REMOVED:
        for path in sorted(root.glob(pattern)):
            _remove(path)
    for name, goal in LINKS:
        path = root / name
        path.unlink(missing_ok=True)
        _make_folder(path.parent)
        path.symlink_to(goal)


def _make_folder(path: Path) -> None:
    """Make a folder for all to read, whatever the builder's umask."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
