"""Every check of the site file, by a site that is wrong in just that way."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from b2ct.errors import Severity
from b2ct.site.check import check_site
from b2ct.site.model import Site
from tests.unit.site.sites import KEY, SITE, changed

VM = {"bundle": "w", "vo": "belle"}

WRONG: list[tuple[str, Any, str, str]] = [
    # (path, value, where it is reported, words of the message)
    ("networks.service.gateway", "10.11.0.1", "networks.service.gateway", "outside 10.10.0.0/24"),
    ("networks.service.gateway", "10.10.0.255", "networks.service.gateway", "broadcast"),
    ("networks.service.cidr", "192.168.0.0/16", "networks.private.cidr", "overlaps"),
    ("networks.service.bridge", "br-private", "networks.private.bridge", "br-private is used twice"),
    ("networks.private.ranges", [{"first": "192.168.100.250", "size": "9"}], "networks.private.ranges.0", "not fit"),
    ("networks.service.ranges", [{"first": "10.10.0.10", "size": "5"}], "hosts.0.links.0.address", "inside the range"),
    (
        "networks.private.ranges.1",
        {"first": "192.168.100.100", "size": "20"},
        "networks.private.ranges.1",
        "overlaps the range",
    ),
    ("networks.a-name-of-a-network", {"cidr": "10.9.0.0/24"}, "networks.a-name-of-a-network", "longer than 15"),
    ("networks.private.cidr", "192.168.100.0", "networks.private.cidr", "no room for hosts"),
    ("hosts.0.nics.0.mac", "01:00:5e:00:00:01", "hosts.0.nics.0.mac", "not the address of a card"),
    ("management", "storage", "management", "no network is named storage"),
    ("hosts.1.name", "cn01", "hosts.1.name", "cn01 is used twice"),
    ("hosts.1.name", "localhost", "hosts.1.name", "localhost"),
    ("domain", "a-domain-that-is-a-lot-too-long-for-the-kernel." * 2 + "org", "hosts.0.name", "longer than 64"),
    ("hosts.0.services", ["squid", "squid"], "hosts.0.services.1", "used twice"),
    ("hosts.1.nics.0.mac", "52:54:00:00:01:01", "hosts.1.nics.0.mac", "MAC address 52:54:00:00:01:01 is used twice"),
    ("hosts.1.nics.0", {}, "hosts.1.nics.0", "needs its mac or its name"),
    ("hosts.1.nics.1.name", "eno1", "hosts.1.nics.1", "eno1 is used twice"),
    ("hosts.1.bonds.0.nics", ["eno1", "eno9"], "hosts.1.bonds.0.nics.1", "no card eno9"),
    ("hosts.1.bonds.0.nics", [], "hosts.1.bonds.0.nics", "no cards"),
    ("hosts.1.bonds.1", {"name": "bond1", "nics": ["eno2"]}, "hosts.1.bonds.1.nics.0", "in a bond twice"),
    ("hosts.1.links.0.address", "10.10.0.11", "hosts.1.links.0.address", "10.10.0.11 is used twice"),
    ("hosts.1.links.0.address", "10.10.0.1", "hosts.1.links.0.address", "10.10.0.1 is used twice"),
    ("hosts.1.links.0.address", "10.10.1.1", "hosts.1.links.0.address", "outside"),
    ("hosts.1.links.0.address", "10.10.0.0", "hosts.1.links.0.address", "network or broadcast"),
    ("hosts.1.links.0.network", "private", "hosts.1.links", "no link to the management network"),
    ("hosts.1.links.1.network", "storage", "hosts.1.links.1.network", "no network is named storage"),
    ("hosts.1.links.0.on", "eno1", "hosts.1.links.0.on", "part of a bond"),
    ("hosts.1.links.0.on", "eno7", "hosts.1.links.0.on", "no card or bond eno7"),
    ("hosts.1.links.0.tagged", "true", "hosts.1.links.0.tagged", "has no vlan"),
    ("hosts.1.links.1.tagged", "false", "hosts.1.links.1", "without a VLAN is used twice"),
    ("hosts.1.bonds", [], "hosts.1.links.1", "VLAN 100 has no parent: it is not said on which port"),
    ("hosts.0.nics", [], "hosts.0.links.1", "VLAN 100 has no parent: the host names no card"),
    ("hosts.1.bonds.0.name", "bond-storage1", "hosts.1.links.1", "longer than 15"),
    ("hosts.1.disks.0.size", "20GB", "hosts.1.disks.0.size", "more than the disk's"),
    ("hosts.1.disks.0", {}, "hosts.1.disks.0", "fits any disk"),
    ("hosts.1.disks.1", {"wwn": "0x5000"}, "hosts.1.disks", "2 disks are given"),
    ("hosts.1.layout", {"raid": "1"}, "hosts.1.disks", "takes 2"),
    (
        "hosts.1.layout",
        {"volumes": [{"name": "one", "mount": "/var", "size": "9GiB"}]},
        "hosts.1.layout.volumes",
        "mounted on /",
    ),
    ("hosts.0.layout", {"volumes": [{"name": "root", "mount": "/", "size": "9GiB"}]}, "hosts.0.layout", "70 %"),
    ("users", [], "users", "nobody could administer"),
    ("users.0.ssh_keys", [], "users.0", "neither ssh_keys nor password"),
    ("users.1", {"name": "root", "ssh_keys": [KEY]}, "users.1.name", "root is an account of the system"),
    ("users.1", {"name": "admin", "ssh_keys": [KEY]}, "users.1.name", "admin is used twice"),
    ("root.policy", "keys", "root.policy", "no ssh_keys"),
    ("root.policy", "password", "root.policy", "no password"),
    ("time.zone", "Europe/Roma", "time.zone", "not a time zone"),
    ("opennebula.version", "5.8", "opennebula.version", "does not run on EL9"),
    ("opennebula.version", "9.0", "opennebula.version", "no packages"),
    ("opennebula.edition", "enterprise", "opennebula.edition", "a mirror of yours"),
    ("users.1", {"name": "oneadmin", "ssh_keys": [KEY]}, "users.1.name", "account of the system"),
    ("time.zone", "localtime", "time.zone", "not a time zone"),
    ("time.zone", "Europe", "time.zone", "not a time zone"),
    ("time.zone", "/etc/passwd", "time.zone", "not a time zone"),
    ("time.zone", "posix/Europe/Rome", "time.zone", "not a time zone"),
    ("networks.service.bridge", "eno1", "networks.service.bridge", "eno1 is used twice"),
    ("hosts.1", {"name": "hv01", "nics": [{"name": "a"}, {"name": "b"}]}, "hosts.1", "carries the management network"),
    ("hosts.0.layout", {"boot": "100MiB"}, "hosts.0.layout.boot", "needs 0.5 GiB"),
    ("media.version", "7.9", "media.version", "almalinux 7.9 is not supported"),
    ("vms", [{"bundle": "w", "vo": "atlas"}], "vms.0.vo", "no community is named atlas"),
    ("vms", [{"bundle": "w", "vo": "belle", "network": "x"}], "vms.0.network", "no network is named x"),
    ("vms", [{**VM, "address": "192.168.100.9"}], "vms.0.address", "in no range of the network private"),
    ("vms", [{**VM, "address": "192.168.100.10", "cores": ["1", "2"]}], "vms.0.address", "for one virtual machine"),
    ("vms", [{**VM, "network": "service"}], "vms.0.network", "no addresses for virtual machines"),
    ("vms", [{**VM, "cores": ["1", "1"]}], "vms.0.cores", "here twice"),
    ("vo.1", {"name": "belle"}, "vo.1.name", "belle is used twice"),
    ("vo.0.ssh_keys", [f"{KEY}$(reboot)"], "vo.0.ssh_keys.0", "one-context hands it to a shell"),
    ("vo.1", {"name": "users"}, "vo.1.name", "group of OpenNebula itself"),
    ("vo.1", {"name": "t2k", "user": "oneadmin"}, "vo.1.user", "user of OpenNebula itself"),
    ("vo.1", {"name": "t2k", "user": "t2k"}, "vo.1", "has no password"),
    ("vo.1", {"name": "t2k", "password": "file:x"}, "vo.1.password", "belongs to no user"),
    ("sources.bundles", "https://x.example.org/b", "sources.bundles", "set bundles_key"),
    ("opennebula.ca", "ca.pem", "opennebula.ca", "for an https endpoint"),
    (
        "hosts.2",
        {"name": "ask", "links": [{"network": "service", "address": "10.10.0.9"}]},
        "hosts.2.links.0.address",
        "many machines",
    ),
]

LAYOUTS = [
    ({"name": "root", "mount": "/var", "size": "1GiB"}, "volume root is used twice"),
    ({"name": "x", "mount": "/", "size": "1GiB"}, "mount point / is used twice"),
    ({"name": "x", "mount": "/boot/efi", "size": "1GiB"}, "cannot be on LVM"),
    ({"name": "x", "mount": "/a/../b", "size": "1GiB"}, "not a plain path"),
    ({"name": "x", "mount": "/etc", "size": "1GiB"}, "has to be on the volume of /"),
    ({"name": "x", "size": "1GiB", "fs": "xfs"}, "has a mount point, unless it is swap"),
    ({"name": "x", "mount": "/x", "size": "1GiB", "grow": "true"}, "more than one volume has grow"),
]

WARNINGS = [
    ("media.distro", "centos-stream", "media.distro", "does not list CentOS Stream"),
    ("hosts.0.role", "node", "hosts", "no host is the frontend"),
    ("hosts.1.role", "frontend", "hosts.1.role", "second frontend"),
    ("hosts.0.services", [], "hosts", "no host offers squid"),
]


def findings(data: dict[str, Any]) -> list[tuple[str, str, Severity]]:
    site = Site.model_validate(data)
    return [(".".join(map(str, loc)), message, severity) for loc, message, _, severity in check_site(site)]


@pytest.mark.parametrize("character", '"$`\\')
def test_a_pilot_that_a_shell_would_change_on_its_way_is_refused(character: str) -> None:
    (finding,) = findings(changed("vo", [{"name": "belle", "pilot": f"run {character}x"}]))
    assert finding[0] == "vo.0.pilot"
    assert "one-context hands it to a shell" in finding[1]
    assert findings(changed("vo", [{"name": "belle", "pilot": "run 'it' 100% & sleep 1; a | b"}])) == []


@pytest.mark.parametrize("pilot", ["", "a\nb", "run\u00a0it", "run\u200bit", "x" * 1001])
def test_a_pilot_that_the_agent_would_refuse_is_refused(pilot: str) -> None:
    with pytest.raises(ValidationError):
        Site.model_validate(changed("vo", [{"name": "belle", "pilot": pilot}]))


@pytest.mark.parametrize(("key", "empty", "lack"), [("gateway", None, "no gateway"), ("dns", [], "no name servers")])
def test_networks_from_which_virtual_machines_reach_nothing_are_reported(key: str, empty: object, lack: str) -> None:
    data = changed(f"networks.private.{key}", empty)
    assert findings(data) == []
    ((at, text, severity),) = findings({**data, "vo": [{"name": "belle"}], "vms": [VM]})
    assert (at, severity) == ("networks.private", Severity.WARNING)
    assert lack in text


def test_a_flavour_beyond_the_communitys_limits_is_reported() -> None:
    community = {"name": "belle", "limits": {"cores": "8", "memory": "8GiB"}}
    data = {**changed("vo", [community]), "vms": [{**VM, "cores": ["4", "16"]}]}
    assert [(at, text) for at, text, _ in findings(data)] == [
        ("vms.0.cores", "16 cores are more than belle may use (8)"),
        ("vms.0.memory_per_core", "16 cores need more memory than belle may use"),
    ]


def test_the_site_that_the_tests_change_is_right() -> None:
    assert findings(SITE) == []


@pytest.mark.parametrize(("path", "value", "where", "words"), WRONG)
def test_each_mistake_is_reported_where_it_is(path: str, value: object, where: str, words: str) -> None:
    found = findings(changed(path, value))
    assert any(at == where and words in text and kind is Severity.ERROR for at, text, kind in found), found


@pytest.mark.parametrize(("volume", "words"), LAYOUTS)
def test_each_mistake_in_a_layout_is_reported(volume: dict[str, str], words: str) -> None:
    root = {"name": "root", "mount": "/", "size": "40GiB", "grow": "true"}
    found = findings(changed("hosts.1.layout", {"volumes": [root, volume]}))
    assert any(words in text for _, text, _ in found), found


@pytest.mark.parametrize(("path", "value", "where", "words"), WARNINGS)
def test_what_only_looks_wrong_is_a_warning(path: str, value: object, where: str, words: str) -> None:
    found = findings(changed(path, value))
    assert any(at == where and words in text and kind is Severity.WARNING for at, text, kind in found), found


@pytest.mark.parametrize(
    ("distro", "version", "opennebula", "runs"),
    [
        ("centos", "6.7", "4.14", True),
        ("centos", "6.7", "5.0", False),
        ("centos", "7", "5.8", True),
        ("centos", "7", "6.4", True),
        ("rocky", "8", "6.10", True),
        ("rocky", "8", "7.2", False),
        ("rhel", "10", "7.0", True),
        ("rhel", "10", "6.10", False),
        ("almalinux", "10", "7.4", True),
    ],
)
def test_opennebula_versions_have_their_platforms(distro: str, version: str, opennebula: str, *, runs: bool) -> None:
    data = changed("media", {"distro": distro, "version": version})
    data["opennebula"]["version"] = opennebula
    assert any("does not run on" in text for _, text, _ in findings(data)) is not runs
