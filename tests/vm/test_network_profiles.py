"""A machine with two cards makes bond, VLANs and bridges of the keyfiles that a kickstart's %post writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rigs.kickstarts import keyfiles, load_case, render_texts
from tests.rigs.network_machine import bring_up
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.vm


def test_the_address_is_on_the_bridge_over_a_vlan_over_the_bond(tmp_path: Path) -> None:
    need_tool("qemu-system-x86_64", "cpio", "NetworkManager", "dbus-daemon", "busybox", "ip")
    profiles = keyfiles(render_texts(load_case("cluster"))["b2ct/cn01.ks"])
    links, addresses, routes = bring_up(profiles, ["52:54:00:10:00:01", "52:54:00:10:00:02"], tmp_path)
    known = {link["ifname"]: link for link in links}
    masters = {name: link.get("master") for name, link in known.items() if name != "lo"}
    assert masters == {
        "eth0": "bond0",
        "eth1": "bond0",
        "bond0": None,
        "bond0.10": "br-service",
        "bond0.66": "br-pub",
        "br-service": None,
        "br-pub": None,
    }
    assert known["bond0"]["linkinfo"]["info_data"]["mode"] == "802.3ad"
    assert known["bond0.10"]["linkinfo"]["info_data"]["id"] == 10
    assert known["bond0.10"]["link"] == known["bond0.66"]["link"] == "bond0"
    mtus = {name: link["mtu"] for name, link in known.items() if name != "lo"}
    large = dict.fromkeys(("eth0", "eth1", "bond0", "bond0.10", "br-service"), 9000)
    assert mtus == {**large, "bond0.66": 1500, "br-pub": 1500}
    found = {
        (device["ifname"], address["local"], address["prefixlen"])
        for device in addresses
        for address in device["addr_info"]
        if address["scope"] == "global"
    }
    assert found == {("br-service", "10.10.0.11", 24), ("br-pub", "193.205.66.11", 26)}
    assert [(route["gateway"], route["dev"]) for route in routes if route["dst"] == "default"] == [
        ("10.10.0.1", "br-service")
    ]
    assert known["br-service"]["address"] == "52:54:00:10:00:01"
