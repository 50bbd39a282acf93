from typing import Any

import pytest

from b2ct.errors import UsageError
from b2ct.plan.generation import Network as InstallerNetwork
from b2ct.plan.model import CardFact, FromCard, Ipv4Method, Kind, NetworkPlan
from b2ct.plan.network import make_network
from b2ct.site.model import Site

NEW = InstallerNetwork(bonds=True, bond_with_vlan=True, interfacename=True)
OLD = InstallerNetwork(bonds=False, interfacename=False, nm_controlled="no")

NETWORKS: dict[str, Any] = {
    "service": {"cidr": "10.10.0.0/24", "gateway": "10.10.0.1", "dns": ["10.10.0.2"]},
    "private": {"cidr": "192.168.100.0/24", "vlan": 100},
    "public": {"cidr": "193.205.66.0/26", "gateway": "193.205.66.1", "search": ["infn.it"]},
}
A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"


def plan(
    host: dict[str, Any], networks: dict[str, Any] | None = None, installer: InstallerNetwork = NEW
) -> NetworkPlan:
    site = Site.model_validate(
        {
            "site": "lab",
            "domain": "example.org",
            "media": {"distro": "almalinux", "version": "9"},
            "opennebula": {"version": "7.2"},
            "networks": networks or NETWORKS,
            "hosts": [
                {"name": "hv01", **host},
                {"name": "cn01", "links": [{"network": "service", "address": "10.10.0.9"}]},
            ],
        }
    )
    return make_network(site, site.hosts[0], installer)


def test_the_management_address_is_on_the_bridge_and_on_nothing_else() -> None:
    made = plan({"nics": [{"mac": A}], "links": [{"network": "service", "address": "10.10.0.21"}]})
    card, bridge = made.profiles
    assert (card.kind, card.mac, card.master, card.ipv4) == (Kind.ETHERNET, A, "br-service", None)
    assert (bridge.kind, bridge.device, bridge.mac) == (Kind.BRIDGE, "br-service", A)
    assert bridge.ipv4
    assert (bridge.ipv4.address, bridge.ipv4.prefix, bridge.ipv4.gateway) == ("10.10.0.21", 24, "10.10.0.1")
    assert bridge.ipv4.search == ("example.org",)
    assert not made.in_pre


def test_a_bridge_over_a_vlan_over_a_bond() -> None:
    made = plan(
        {
            "nics": [{"mac": A}, {"mac": B}],
            "bonds": [{"name": "bond0", "nics": [A, B], "mode": "802.3ad"}],
            "links": [{"network": "service", "address": "10.10.0.21"}, {"network": "private"}],
        },
        {**NETWORKS, "service": {**NETWORKS["service"], "vlan": 10}},
    )
    by_name = {profile.name: profile for profile in made.profiles}
    assert next(iter(by_name)) == "bond0"
    assert by_name["bond0"].bond_options == (("mode", "802.3ad"), ("miimon", "100"))
    assert by_name["bond0"].master == ""
    vlan = by_name["bond0.10"]
    assert (vlan.kind, vlan.vlan_id, vlan.parent, vlan.master) == (Kind.VLAN, 10, "bond0", "br-service")
    assert vlan.parent_uuid == by_name["bond0"].uuid
    private = by_name["br-private"].ipv4
    assert private
    assert private.method is Ipv4Method.NONE
    assert made.in_pre
    (link,) = made.install_links
    assert (link.bond, link.vlan_id, link.vlan_device) == ("bond0", 10, "bond0.10")
    assert [card.match for card in link.bond_cards] == [A, B]


def test_el6_installs_over_one_card_of_the_bond() -> None:
    host = {
        "nics": [{"name": "em1"}, {"name": "em2"}],
        "bonds": [{"name": "bond0", "nics": ["em1", "em2"]}],
        "links": [{"network": "service", "address": "10.10.0.21"}],
    }
    made = plan(host, installer=OLD)
    (link,) = made.install_links
    assert (link.bond, link.card.match) == ("", "em1")
    assert not made.in_pre
    assert "bond0" in [profile.name for profile in made.profiles]


def test_nothing_known_means_that_card_and_address_are_asked() -> None:
    made = plan({})
    card, bridge = made.profiles
    assert card.mac == FromCard("asked", CardFact.MAC)
    assert bridge.mac == FromCard("asked", CardFact.MAC)
    assert made.asks_address
    assert made.in_pre
    assert [item.match for item in made.cards] == [""]


def test_a_card_with_a_mac_is_known_by_it_and_its_name_is_a_word() -> None:
    made = plan(
        {
            "nics": [{"mac": A, "name": "left"}],
            "links": [{"network": "private", "on": "left"}, {"network": "service", "address": "10.10.0.21"}],
        }
    )
    vlan = next(profile for profile in made.profiles if profile.kind is Kind.VLAN)
    assert (vlan.device, vlan.parent) == ("vlan100", FromCard("left", CardFact.DEVICE))


def test_a_card_known_by_name_gives_its_vlans_their_names() -> None:
    made = plan(
        {"nics": [{"name": "eno1"}], "links": [{"network": "service", "address": "10.10.0.21"}, {"network": "private"}]}
    )
    assert [profile.device for profile in made.profiles] == ["eno1", "br-service", "eno1.100", "br-private"]


def test_the_default_route_is_the_management_networks() -> None:
    links = [{"network": "public", "address": "193.205.66.9"}, {"network": "service", "address": "10.10.0.21"}]
    nics = [{"mac": A, "name": "a"}, {"mac": B, "name": "b"}]
    made = plan({"nics": nics, "links": [{**links[0], "on": "b"}, {**links[1], "on": "a"}]})
    ipv4 = {profile.name: profile.ipv4 for profile in made.profiles if profile.kind is Kind.BRIDGE}
    service, public = ipv4["br-service"], ipv4["br-public"]
    assert service
    assert public
    assert (service.default_route, service.gateway) == (True, "10.10.0.1")
    assert (public.default_route, public.gateway) == (False, "")
    assert len(made.install_links) == 1


def test_without_a_gateway_there_the_first_network_with_one_is_the_way_out() -> None:
    networks = {**NETWORKS, "service": {"cidr": "10.10.0.0/24"}}
    nics = [{"mac": A, "name": "a"}, {"mac": B, "name": "b"}]
    links = [
        {"network": "service", "address": "10.10.0.21", "on": "a"},
        {"network": "public", "address": "193.205.66.9", "on": "b"},
    ]
    made = plan({"nics": nics, "links": links}, networks)
    assert [(link.card.match, link.ipv4.gateway) for link in made.install_links] == [(A, ""), (B, "193.205.66.1")]


def test_one_large_mtu_makes_every_mtu_on_that_port_be_said() -> None:
    networks = {**NETWORKS, "service": {**NETWORKS["service"], "mtu": 9000}}
    made = plan(
        {"nics": [{"mac": A}], "links": [{"network": "service", "address": "10.10.0.21"}, {"network": "private"}]},
        networks,
    )
    assert {profile.name: profile.mtu for profile in made.profiles if profile.kind is not Kind.ETHERNET} == {
        "br-service": 9000,
        "vlan100": 1500,
        "br-private": 1500,
    }
    assert made.install_links[0].mtu is None


def test_other_hosts_names_and_addresses_are_taken() -> None:
    assert plan({}).taken == ("cn01=10.10.0.9",)


def test_uuids_are_the_same_each_time_and_differ_between_devices() -> None:
    host = {"nics": [{"mac": A}], "links": [{"network": "service", "address": "10.10.0.21"}]}
    first, second = plan(host), plan(host)
    assert first == second
    assert len({profile.uuid for profile in first.profiles}) == len(first.profiles)


def test_a_link_over_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="the link to service runs over no card"):
        plan({"nics": [{"mac": A}], "links": [{"network": "service", "on": "bond7"}]})


def test_without_any_gateway_the_one_that_is_typed_or_comes_by_dhcp_is_the_way_out() -> None:
    networks = {"service": {"cidr": "10.10.0.0/24"}, "private": NETWORKS["private"]}
    links: list[dict[str, str]] = [{"network": "private", "address": "192.168.100.9"}, {"network": "service"}]
    for address in ({}, {"address": "dhcp"}, {"address": "10.10.0.21"}):
        made = plan({"nics": [{"mac": A}], "links": [links[0], {**links[1], **address}]}, networks)
        routes = {profile.name: profile.ipv4.default_route for profile in made.profiles if profile.ipv4}
        assert routes == {"br-service": True, "br-private": False}
        assert [link.ipv4.default_route for link in made.install_links] == [True]


def test_one_vlan_id_on_two_cards_makes_two_devices() -> None:
    networks = {**NETWORKS, "storage": {"cidr": "192.168.101.0/24", "vlan": 100}}
    nics = [{"mac": A, "name": "a"}, {"mac": B, "name": "b"}]
    links = [
        {"network": "service", "address": "10.10.0.21", "on": "a"},
        {"network": "private", "on": "a"},
        {"network": "storage", "on": "b"},
    ]
    made = plan({"nics": nics, "links": links}, networks)
    vlans = {profile.device: (profile.parent, profile.vlan_id) for profile in made.profiles if profile.vlan_id}
    assert vlans == {
        "vlan100": (FromCard("a", CardFact.DEVICE), 100),
        "vlan0100": (FromCard("b", CardFact.DEVICE), 100),
    }
    assert len({profile.name for profile in made.profiles}) == len({profile.uuid for profile in made.profiles}) == 7


def test_the_address_ranges_of_virtual_machines_are_taken() -> None:
    ranges = [{"first": "10.10.0.100", "size": 51}, {"first": "10.10.0.200", "size": 1}]
    networks = {**NETWORKS, "service": {**NETWORKS["service"], "ranges": ranges}}
    assert plan({}, networks).ranges_taken == ("10.10.0.100-10.10.0.150", "10.10.0.200-10.10.0.200")
    assert plan({}).ranges_taken == ()
