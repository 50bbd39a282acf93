"""A fresh Debian with nothing but git and python3, in which a command runs on a clone of this checkout's HEAD.

It proves the README's commands: ``python -m tests.rigs.fresh -- 'make demo'``, as root on Debian with debootstrap.
The machine's own apt and pip configuration is carried over, so that package sources are reached as they are outside.
All mounts live in a namespace of their own and vanish with it; devices are made anew; the tree is removed unless
``--keep`` is given.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.rigs.process import RigError, run_tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CHECKOUT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"

_CLONE = "/root/b2ct"
_COPIED = (
    "etc/apt/sources.list etc/apt/sources.list.d etc/apt/apt.conf etc/apt/apt.conf.d etc/apt/auth.conf "
    "etc/apt/auth.conf.d etc/apt/keyrings etc/apt/trusted.gpg.d usr/share/keyrings usr/local/share/ca-certificates "
    "etc/ssl/certs/ca-certificates.crt etc/resolv.conf etc/hosts etc/pip.conf root/.config/pip root/.pip"
)
_PASSED_ON = re.compile(
    r"(PIP_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(https?|no|all)_proxy)", re.IGNORECASE
)
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

_ENTER = 'pivot_root . mnt && umount -l /mnt && cd / && exec "$@"'
"""Makes the current folder the root: in a mere chroot, tests could not make namespaces of their own."""


def find_mirror(sources: Iterable[str], suite: str) -> str:
    """The first URI that serves ``suite`` in apt sources, given as the texts of .list and .sources files.

    Raises:
        RigError: none does.
    """
    for text in sources:
        for uris, suites in (*_deb822_entries(text), *_one_line_entries(text)):
            if suite in suites:
                return uris[0]
    raise RigError(f"apt's sources name no mirror of {suite}")


def find_pip_folders(settings: str) -> list[Path]:
    """The local folders that pip's ``settings`` name: of a file:// index the folder above it, where its files lie."""
    folders = set()
    for word in re.split(r"[\s,=]+", settings):
        if word.startswith("file://"):
            folders.add(Path(unquote(urlsplit(word).path)).parent)
        elif word.startswith("/"):
            folders.add(Path(word))
    return sorted(folder for folder in folders if folder.is_dir())


def _deb822_entries(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """URIs and suites of each enabled binary source of a .sources file (sources.list(5), DEB822-STYLE FORMAT)."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*(?:\n[ \t]+.*)*)", "\n".join(lines), re.MULTILINE))
        values = {name.lower(): value.split() for name, value in fields.items()}
        if "deb" in values.get("types", []) and values.get("enabled", ["yes"]) != ["no"]:
            yield values.get("uris", []), values.get("suites", [])


def _one_line_entries(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """URI and suite of each binary source of a .list file (sources.list(5), ONE-LINE-STYLE FORMAT)."""
    for uri, suite in re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
        yield [uri], [suite]


def read_sources() -> list[str]:
    """The texts of apt's own source files on this machine."""
    """The texts of this machine's apt sources."""
    apt = Path("/etc/apt")
    paths = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    return [
        path.read_text(encoding="utf-8") for path in paths if path.is_file() and path.suffix in {".list", ".sources"}
    ]


def _passed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def _pip_settings() -> str:
    """Everything that configures pip for root: variables and files (pip, user guide, Configuration)."""
    files = [Path("/etc/pip.conf"), Path("/root/.config/pip/pip.conf"), Path("/root/.pip/pip.conf")]
    variables = [value for name, value in os.environ.items() if name.startswith("PIP_")]
    return "\n".join([*variables, *(path.read_text(encoding="utf-8") for path in files if path.exists())])


def _make_system(tree: Path) -> None:
    """Install the base system and carry the machine's configuration over."""
    proxy = run_tool(["apt-config", "shell", "P", "Acquire::http::Proxy"])
    variables = {"http_proxy": proxy.split("'")[1]} if proxy else {}
    argv: list[str | Path] = ["debootstrap", "--variant=minbase", "--include=git,python3,ca-certificates", SUITE, tree]
    run_tool([*argv, find_mirror(read_sources(), SUITE)], env=variables)
    tree.chmod(0o755)  # apt's own user has to enter it
    (tree / "etc/apt/sources.list").unlink()  # the mirror alone; the machine's sources say it again
    for name in _COPIED.split():
        source, target = Path("/", name), tree / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    no_services = tree / "usr/sbin/policy-rc.d"  # Debian policy 9.3.3.1: 101 forbids the action
    no_services.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    no_services.chmod(0o755)
    run_tool(["git", "clone", "-q", "--no-hardlinks", CHECKOUT, f"{tree}{_CLONE}"])


def _mount_system(tree: Path) -> None:
    """Make the system a mount of its own, with kernel file systems, its own devices, pip's local folders read-only."""
    run_tool(["mount", "--bind", tree, tree])
    for kind, place in (("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "dev")):
        run_tool(["mount", "-t", kind, kind, tree / place])
    for name, (major, minor) in _DEVICES.items():
        run_tool(["mknod", "-m", "666", tree / "dev" / name, "c", str(major), str(minor)])
    for name, goal in _LINKS.items():
        (tree / "dev" / name).symlink_to(goal)
    for kind, place, options in (("devpts", "pts", "newinstance,ptmxmode=0666"), ("tmpfs", "shm", "mode=1777")):
        (tree / "dev" / place).mkdir()
        run_tool(["mount", "-t", kind, "-o", options, kind, tree / "dev" / place])
    for folder in find_pip_folders(_pip_settings()):
        target = Path(f"{tree}{folder}")
        target.mkdir(parents=True, exist_ok=True)
        run_tool(["mount", "--bind", folder, target])
        run_tool(["mount", "-o", "remount,bind,ro", target])


def _run_inside(tree: Path, command: str) -> int:
    """Make the system in this namespace and run ``command`` in the clone; its exit code."""
    _make_system(tree)
    _mount_system(tree)
    variables = {
        "HOME": "/root",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
    }
    words = [f"{name}={value}" for name, value in {**variables, **_passed_on()}.items()]
    argv = ["/usr/bin/env", "-i", *words, "/bin/sh", "-c", f"cd {_CLONE} && {command}"]
    enter = ["sh", "-c", _ENTER, "sh", *argv]
    return subprocess.run(enter, cwd=tree, stdin=subprocess.DEVNULL, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is the command's."""
    parser = argparse.ArgumentParser(prog="python -m tests.rigs.fresh", description=__doc__)
    parser.add_argument("command", help="shell command to run in the clone")
    parser.add_argument("--keep", action="store_true", help="leave the system behind and say where")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside:
        return _run_inside(chosen.inside, chosen.command)
    tree = Path(tempfile.mkdtemp(prefix="b2ct-fresh-"))
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    again = [sys.executable, "-m", "tests.rigs.fresh", "--inside", str(tree), "--", chosen.command]
    try:
        return subprocess.run([*namespaces, *again], cwd=CHECKOUT, check=False).returncode
    finally:
        if chosen.keep:
            sys.stderr.write(f"kept: {tree}\n")
        else:
            shutil.rmtree(tree)


if __name__ == "__main__":
    sys.exit(main())
