"""The DEB under the real apt, dpkg and systemd of the Debians that workers have."""

from __future__ import annotations

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
from tests.rigs.container import Container, make_debian, start_container
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

APT = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-confold"]
POLICY = "/usr/sbin/policy-rc.d"


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    need_root()
    need_tool("debootstrap", "systemd-nspawn")
    with start_container(make_debian(request.param), tmp_path_factory.mktemp("machine") / "container") as container:
        yield container


@pytest.fixture
def machine(running: Container, debs: Versions) -> Iterator[Container]:
    """A machine that never had the agent, with the packages in /root."""
    for name, path in (("old", debs.old), ("new", debs.new)):
        running.tell("tee", f"/root/{name}.deb", data=path.read_bytes())
    yield running
    running.run([*APT, "purge", "b2ct-vm-agent"])
    running.tell("rm", "-rf", POLICY, "/etc/b2ct-vm")
    running.run(["systemctl", "reset-failed"])


def install(machine: Container, name: str) -> None:
    machine.tell(*APT, "install", f"/root/{name}.deb")


def test_it_is_installed_and_runs(machine: Container) -> None:
    install(machine, "old")
    assert states(machine, "is-active") == ["active"] * 3
    assert states(machine, "is-enabled") == ["enabled"] * 3
    assert machine.tell("dpkg", "--verify", "b2ct-vm-agent") == ""
    assert machine.tell("stat", "-c", "%a %U", CONFIG, "/var/lib/b2ct-vm", "/run/b2ct-vm") == (
        "600 root\n700 root\n755 root\n"
    )
    assert machine.tell("b2ct-agent", "--version")


def test_where_nothing_may_be_started_it_is_only_enabled(machine: Container) -> None:
    """As in the chroot of an image build (Debian Policy 9.3.3.1)."""
    machine.tell("install", "-m", "755", "/dev/stdin", POLICY, data=b"#!/bin/sh\nexit 101\n")
    install(machine, "old")
    assert states(machine, "is-active") == ["inactive"] * 3
    assert states(machine, "is-enabled") == ["enabled"] * 3


def test_an_upgrade_keeps_the_settings_and_the_pilots(machine: Container) -> None:
    upgrade_with_own_settings(machine, install, f"{CONFIG}.dpkg-dist")


def test_an_upgrade_brings_new_settings_where_nobody_changed_them(machine: Container) -> None:
    install(machine, "old")
    install(machine, "new")
    assert "#new = option" in machine.tell("cat", CONFIG)


def test_an_upgrade_starts_no_agent_that_was_stopped(machine: Container) -> None:
    install(machine, "old")
    machine.tell("systemctl", "stop", UNITS[-1])
    install(machine, "new")
    assert states(machine, "is-active")[-1] == "inactive"


def test_settings_that_were_there_first_are_kept(machine: Container) -> None:
    """As user-data writes them, before it installs the package."""
    machine.tell("mkdir", "/etc/b2ct-vm")
    machine.tell("tee", CONFIG, data=b"[agent]\nvo = belle\n")
    install(machine, "old")
    assert machine.tell("cat", CONFIG) == "[agent]\nvo = belle\n"
    works = 'b2ct-agent status --json | grep \'"vo": "belle"\' && exit; sleep 0.1'
    machine.tell("sh", "-c", f"for i in $(seq 200); do {works}; done; exit 1")


def test_removed_it_ends_all_and_keeps_the_settings(machine: Container) -> None:
    install(machine, "old")
    start_pilot(machine)
    machine.tell(*APT, "remove", "b2ct-vm-agent")
    units = machine.tell("systemctl", "list-units", "--no-legend", "--state=active", "b2ct-vm-*")
    assert units == ""
    assert machine.tell("cat", CONFIG) == WITH_PILOT
    assert exists(machine, "/var/lib/b2ct-vm")
    assert not exists(machine, "/run/b2ct-vm")
    assert not exists(machine, "/usr/libexec/b2ct-vm")
    install(machine, "new")
    assert states(machine, "is-active")[-1] == "active"
    assert machine.tell("cat", CONFIG) == WITH_PILOT


def test_purged_it_leaves_nothing(machine: Container) -> None:
    before = machine.tell("sh", "-c", "find /etc /usr /var -xdev -name '*b2ct*'")
    install(machine, "old")
    start_pilot(machine)
    machine.tell(*APT, "purge", "b2ct-vm-agent")
    assert machine.tell("sh", "-c", "find /etc /usr /var -xdev -name '*b2ct*'") == before
    assert machine.run(["dpkg", "-s", "b2ct-vm-agent"]).returncode == 1
