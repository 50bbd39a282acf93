"""The agent's packages in two versions, and a machine on which real package managers install them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.agent_package import PackageFormat, write_agent_packages
from b2ct.assets import Assets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rigs.container import Container

NEW_VERSION = "99.1"
CONFIG = "/etc/b2ct-vm/agent.conf"
UNITS = ("b2ct-vm-context.service", "b2ct-vm-scratch.service", "b2ct-vm-agent.service")
PILOT = "b2ct-vm-pilot@0.service"
WITH_PILOT = "[agent]\npilot = exec sleep 3600\nstop = never\n"
"""An admin's own settings."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The package as it is now, and one of a later version, whose configuration file is another."""

    old: Path
    new: Path


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return build_versions(PackageFormat.DEB, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return build_versions(PackageFormat.RPM, tmp_path_factory.mktemp("rpm"))


def build_versions(package_format: PackageFormat, folder: Path) -> Versions:
    overrides = folder / "overrides"
    release, config = "vmagent/b2ct_vmagent/__init__.py", "vmagent/files/etc/b2ct-vm/agent.conf"
    text = re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{NEW_VERSION}"', Assets().read_text(release))
    for name, content in ((release, text), (config, Assets().read_text(config) + "#new = option\n")):
        (overrides / name).parent.mkdir(parents=True)
        (overrides / name).write_text(content, encoding="utf-8")
    (old,) = write_agent_packages(Assets(), [package_format], folder)
    (new,) = write_agent_packages(Assets(overrides), [package_format], folder)
    return Versions(old, new)


def states(container: Container, question: str) -> list[str]:
    """What ``systemctl is-active`` or ``is-enabled`` says of each unit."""
    return container.run(["systemctl", question, *UNITS]).stdout.decode().split()


def main_pid(container: Container, unit: str = UNITS[-1]) -> int:
    return int(container.tell("systemctl", "show", "-p", "MainPID", "--value", unit))


def exists(container: Container, path: str) -> bool:
    return container.run(["test", "-e", path]).returncode == 0


def start_pilot(container: Container) -> int:
    """Let the agent start a pilot by an admin's own settings; return the pilot's process."""
    container.tell("tee", CONFIG, data=WITH_PILOT.encode())
    container.tell("systemctl", "restart", UNITS[-1])
    active = f"systemctl is-active --quiet {PILOT} && exit; sleep 0.1"
    container.tell("sh", "-c", f"for i in $(seq 200); do {active}; done; b2ct-agent status; exit 1")
    return main_pid(container, PILOT)


def upgrade_with_own_settings(container: Container, install: Callable[[Container, str], None], fresh: str) -> None:
    """Upgrade an agent that an admin changed: it begins anew, all else goes on, the new settings are in ``fresh``."""
    install(container, "old")
    pilot = start_pilot(container)
    container.tell("systemctl", "disable", UNITS[1])
    agent = main_pid(container)
    install(container, "new")
    assert container.tell("b2ct-agent", "--version") == f"{NEW_VERSION}\n"
    assert states(container, "is-enabled") == ["enabled", "disabled", "enabled"]
    assert container.tell("cat", CONFIG) == WITH_PILOT
    assert container.tell("stat", "-c", "%a", CONFIG) == "600\n"
    assert "#new = option" in container.tell("cat", fresh)
    assert main_pid(container) not in {0, agent}
    assert main_pid(container, PILOT) == pilot
