"""Packs the VM agent: one file that any Python from 3.6 on runs, and everything around it that a guest needs."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from b2ct.errors import UsageError
from b2ct.plan.artifact import Artifact
from b2ct.render.man_page import ManPage, render_man_page

if TYPE_CHECKING:
    from b2ct.assets import Assets

AGENT_UNIT = "b2ct-vm-agent.service"
"""The unit to enable; it pulls in the others."""

AGENT_UNITS = ("b2ct-vm-context.service", "b2ct-vm-scratch.service", AGENT_UNIT)
"""All units that start with the machine, in that order."""

STARTED_UNITS = ("b2ct-vm-pilot@.service", "b2ct-vm-pilot-secrets@.service", "b2ct-vm-htcondor.service")
"""Units that the agent starts itself when the machine is ready."""

ZIPAPP_PATH = "usr/libexec/b2ct-vm/agent.pyz"

MANUAL_PATH = "usr/share/man/man8/b2ct-agent.8"

CONFIG_PATH = "etc/b2ct-vm/agent.conf"
"""The file that an admin edits; only root reads it."""

_SOURCES = "vmagent/b2ct_vmagent/"
_FILES = "vmagent/files/"
_PROGRAMS = ("usr/libexec/b2ct-vm/agent", "usr/bin/b2ct-agent")

_MAIN = b"from b2ct_vmagent.__main__ import start\n\nstart()\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time stamp that a zip can hold, for every member: the same sources give the same bytes."""


class Release(NamedTuple):
    """Which agent this is."""

    version: str
    released_s: int
    """When it was released, seconds since 1970."""


def read_release(assets: Assets) -> Release:
    """Return what the agent's sources say about themselves.

    Raises:
        UsageError: a site's own copy of them does not say it.
    """
    name = f"{_SOURCES}__init__.py"
    text = assets.read_text(name)
    version = re.search(r'^__version__ = "([0-9][0-9A-Za-z.]*)"$', text, re.MULTILINE)
    released = re.search(r"^RELEASED_S = ([0-9]+)$", text, re.MULTILINE)
    if version is None or released is None:
        raise UsageError(f"{assets.path(name)} does not say __version__ and RELEASED_S")
    return Release(version[1], int(released[1]))


def build_agent(assets: Assets) -> bytes:
    """Return the agent as one zip that Python runs (zipapp): the same bytes for the same sources, on any machine."""
    members = {name.removeprefix("vmagent/"): assets.path(name).read_bytes() for name in _names(assets, _SOURCES)}
    members = {name: data for name, data in members.items() if name.endswith(".py")}
    members["__main__.py"] = _MAIN
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in sorted(members.items()):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data)  # stored: zlib's versions compress differently
    return buffer.getvalue()


def agent_files(assets: Assets) -> tuple[Artifact, ...]:
    """Return every file of the agent with its place in the guest (without the leading ``/``), sorted.

    ``etc/b2ct-vm/agent.conf`` holds comments only.
    """
    files = [
        Artifact(place, assets.path(_FILES + place).read_bytes(), _mode(place))
        for place in (name.removeprefix(_FILES) for name in _names(assets, _FILES))
    ]
    files += [Artifact(ZIPAPP_PATH, build_agent(assets)), Artifact(MANUAL_PATH, render_manual(assets).encode())]
    return tuple(sorted(files, key=lambda file: file.path))


def render_manual(assets: Assets) -> str:
    """Return the manual page, which is the agent's README."""
    version, released_s = read_release(assets)
    page = ManPage(
        name="b2ct-agent",
        section=8,
        summary="makes a virtual machine a worker",
        synopsis="[--root DIR] COMMAND [OPTION]",
        version=f"b2ct-vm-agent {version}",
        date=datetime.fromtimestamp(released_s, UTC).date().isoformat(),
    )
    return render_man_page(page, assets.read_text("vmagent/README.md"))


def _names(assets: Assets, prefix: str) -> tuple[str, ...]:
    return tuple(name for name in assets.names() if name.startswith(prefix))


def _mode(place: str) -> int:
    if place in _PROGRAMS:
        return 0o755
    return 0o600 if place == CONFIG_PATH else 0o644
