"""Builds Debian and Ubuntu guests from packages: mmdebstrap fills a folder, which becomes the root file system."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import requests

from b2ct.apply.agent import AGENT_UNITS, agent_files
from b2ct.apply.image.builder import MadeDisk
from b2ct.apply.image.disk import disk_programs, write_disk
from b2ct.apply.image.guest_root import NAMESPACES, ROOT_PROGRAMS, clean_root, run_steps, write_files
from b2ct.apply.repository.download import explain_failure
from b2ct.apply.tool import Program, ToolError, run_tool
from b2ct.errors import RemoteError, UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.guest_debian import (
    WARM_PROGRAM,
    archive_of,
    make_packages,
    make_repository_source,
    make_sources,
    make_steps,
)
from b2ct.plan.image_disk import make_disk_plan
from b2ct.render.guest_debian import (
    WARM_SCRIPT,
    render_early_files,
    render_late_files,
    render_source,
    render_sources,
)

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.apply.image.builder import ImageRequest
    from b2ct.plan.guest_debian import PackageSource
    from b2ct.plan.image import ImageDescription, Repository

_KEY_TIMEOUT_S = 60
_KEY_BLOCK = 1 << 16
_LARGEST_KEY = 1 << 20
_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"

_SKIPPED = "chroot/mount/dev,chroot/mount/sys,check/signed-by"
"""The guest's /dev has nodes of its own; nothing of the build host is mounted. Keys of repositories lie outside."""


class PackageBuilder:
    """Makes the disk of a Debian or Ubuntu guest; needs root, for the guest's owners and its own namespaces."""

    def programs(self, description: ImageDescription) -> tuple[Program, ...]:
        """Return the programs that it needs, and the archive's keys.

        Raises:
            UsageError: the description does not fit, or the user is not root.
        """
        archive = archive_of(description)
        if os.geteuid() != 0:
            raise UsageError(
                f"{description.name}: only root can make a guest's files with their owners", hint="run it with sudo"
            )
        return (
            Program("mmdebstrap", debian="mmdebstrap", el=None),
            Program("gpg", debian="gpg", el="gnupg2"),
            Program(archive.keyring, debian=archive.keyring_debian, el=archive.keyring_el),
            *ROOT_PROGRAMS,
            *disk_programs(),
        )

    def make_disk(self, description: ImageDescription, request: ImageRequest, workspace: Path) -> MadeDisk:
        """Make the disk inside ``workspace``.

        Raises:
            UsageError, RemoteError, ToolError, OutputError: the description is wrong, a key cannot be had, packages
                cannot be installed, the disk is too small.
        """
        plan = make_disk_plan(description, request.epoch)
        root, disk = workspace / "root", workspace / "disk.raw"
        sources = make_sources(description, request.mirror, request.security_mirror)
        repositories = description.repositories if request.with_repositories else ()
        keys = tuple(load_key(repository, workspace) for repository in repositories)
        more = tuple(make_repository_source(repository) for repository in repositories)
        outside = [replace(source, keyring=str(workspace / key.path)) for source, key in zip(more, keys, strict=True)]
        write_files(workspace, keys)
        write_files(workspace / "early", render_early_files(plan))
        request.log("installing packages")
        install_packages(description, request, (*sources, *outside), workspace)
        write_files(root, (*render_late_files(plan), *render_sources((*make_sources(description), *more)), *keys))
        units: tuple[str, ...] = ()
        if description.agent:
            write_files(root, agent_files(request.assets))
            units = AGENT_UNITS
        write_files(root, [Artifact(WARM_PROGRAM, WARM_SCRIPT.encode(), 0o755)])
        run_steps(root, make_steps(description, units, with_repositories=request.with_repositories), request.log)
        packages = read_packages(root)
        clean_root(root)
        request.log("making the disk")
        write_disk(root, plan, disk, request.epoch)
        shutil.rmtree(root)
        return MadeDisk(disk, packages, tuple(f"{source.url} {source.suite}" for source in (*sources, *more)))


def install_packages(
    description: ImageDescription, request: ImageRequest, sources: tuple[PackageSource, ...], workspace: Path
) -> None:
    """Fill ``workspace/root`` with the guest's packages; the files in ``workspace/early`` are there before them.

    Raises:
        ToolError: mmdebstrap failed; carries what apt and dpkg said.
    """
    packages = make_packages(description, with_repositories=request.with_repositories)
    argv = ["mmdebstrap", "--mode=root", "--variant=apt", "--format=directory", f"--skip={_SKIPPED}"]
    argv += [f"--include={','.join(packages)}", '--essential-hook=cp -a "$B2CT_EARLY/." "$1/"']
    argv += [str(description.source.suite), str(workspace / "root"), *map(render_source, sources)]
    env = {
        "B2CT_EARLY": str(workspace / "early"),
        "SOURCE_DATE_EPOCH": str(request.epoch),
        "TMPDIR": str(workspace),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    try:
        run_tool([*NAMESPACES, *argv], program=argv[0], env=env)
    except ToolError as error:
        error.hint = error.hint or f"is the mirror's address right, {sources[0].url}? --mirror names another"
        raise


def read_packages(root: Path) -> tuple[tuple[str, str], ...]:
    """Return name and version of every package that is installed below ``root``."""
    text = run_tool(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\\n"])
    return tuple((name, version) for name, version in (line.split() for line in text.splitlines()))


def load_key(repository: Repository, workspace: Path) -> Artifact:
    """Return a repository's signing key as the file that apt reads: binary, whatever its server sends.

    Raises:
        RemoteError: it cannot be had, is far too large for a key, or https leads to http.
        ToolError: it is no key.
    """
    try:
        with requests.get(repository.key, timeout=_KEY_TIMEOUT_S, stream=True) as answer:
            answer.raise_for_status()
            hops = (*answer.history, answer)
            if hops[0].url.startswith("https:") and not all(hop.url.startswith("https:") for hop in hops):
                raise RemoteError(f"{repository.key} leads to http, where anybody can replace the key")
            data = b""
            for block in answer.iter_content(_KEY_BLOCK):
                data += block
                if len(data) > _LARGEST_KEY:
                    raise RemoteError(f"{repository.key}: too large for a key")
    except requests.RequestException as error:
        message = f"repository {repository.name}: its key {repository.key} cannot be had: {explain_failure(error)}"
        raise RemoteError(message, hint="--without-repositories leaves it out") from error
    raw, key = workspace / "key.raw", workspace / "key.gpg"
    raw.write_bytes(data)
    home = workspace / "gnupg"
    home.mkdir(mode=0o700, exist_ok=True)
    gpg: list[str | Path] = ["gpg", "--batch", "--yes", "--no-autostart", "--homedir", home]
    run_tool([*gpg, "--show-keys", raw])
    if data.lstrip().startswith(_ARMOR):
        run_tool([*gpg, "--dearmor", "-o", key, raw])
        data = key.read_bytes()
    return Artifact(make_repository_source(repository).keyring.lstrip("/"), data)
