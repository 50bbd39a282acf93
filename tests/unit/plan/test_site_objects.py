from __future__ import annotations

from typing import Any

from b2ct.plan.cloud_compare import find_differences
from b2ct.plan.cloud_model import Kind, Quota, Wanted
from b2ct.plan.site_objects import wanted_site_objects
from b2ct.render.opennebula import check_object_name, render_template
from b2ct.site.model import Site
from tests.unit.plan.clouds import made
from tests.unit.site.sites import SITE, changed


def objects(data: dict[str, Any]) -> dict[tuple[Kind, str], Wanted]:
    found = wanted_site_objects(Site.model_validate(data))
    assert len({(item.kind, item.name) for item in found}) == len(found)
    return {(item.kind, item.name): item for item in found}


def test_everything_of_a_small_site() -> None:
    found = objects(SITE)
    assert [f"{kind} {name}" for kind, name in found] == [
        "group belle",
        "host hv01.to.infn.it",
        "datastore system",
        "datastore default",
        "datastore files",
        "vn private",
        "secgroup b2ct-torino-worker",
    ]
    assert all(item.mark and (item.mark.site, item.mark.source) == ("torino", "site") for item in found.values())
    assert all(item.cluster is None for item in found.values())
    for item in found.values():
        check_object_name(item.name)
        render_template(item.template)
        assert find_differences(item, made(item)) == ()


def test_a_network_has_its_bridge_and_addresses() -> None:
    (network,) = [item for (kind, _), item in objects(SITE).items() if kind is Kind.NETWORK]
    assert render_template(network.template) == (
        'VN_MAD = "bridge"\nBRIDGE = "br-private"\nNETWORK_ADDRESS = "192.168.100.0"\n'
        'NETWORK_MASK = "255.255.255.0"\nGATEWAY = "192.168.100.1"\nDNS = "10.10.0.2"\n'
        'AR = [\n  TYPE = "IP4",\n  IP = "192.168.100.10",\n  SIZE = "100" ]\n'
    )


def test_a_network_that_virtual_machines_use_is_made_without_a_range_too() -> None:
    data = changed("vms", [{"bundle": "belle2-worker", "vo": "belle", "network": "service"}])
    service = objects(data)[Kind.NETWORK, "service"]
    values = {item.name: item.value for item in service.template}
    assert (values["GATEWAY"], values["DNS"]) == ("10.10.0.1", "10.10.0.2")
    assert "AR" not in values


def test_a_community_has_its_quota_and_user() -> None:
    community = {
        "name": "belle",
        "user": "dirac",
        "password": "env:X",
        "limits": {"vms": 5, "cores": 40, "memory": "80GiB"},
    }
    found = objects(changed("vo", [community]))
    assert found[Kind.GROUP, "belle"].quota == Quota(5, 40, 80 * 1024)
    assert found[Kind.USER, "dirac"].group == "belle"
    assert "env:X" not in str(found)


def test_the_sites_own_cluster_is_made_and_used() -> None:
    found = objects(changed("opennebula.cluster", "torino"))
    assert next(iter(found)) == (Kind.CLUSTER, "torino")
    members = [item.cluster for (kind, _), item in found.items() if kind in {Kind.HOST, Kind.DATASTORE, Kind.NETWORK}]
    assert members == ["torino"] * 5


def test_shared_datastores_want_the_shared_driver() -> None:
    data = changed("datastores", {"mode": "shared", "path": "/srv/one"})
    assert render_template(objects(data)[Kind.DATASTORE, "default"].template) == 'TM_MAD = "shared"\n'


def test_workers_let_in_the_management_network_and_a_squid_lets_in_workers() -> None:
    rules = render_template(objects(SITE)[Kind.SECURITY_GROUP, "b2ct-torino-worker"].template)
    assert rules.count("RULE = [") == 3
    assert 'RANGE = "22",\n  IP = "10.10.0.0",\n  SIZE = "256"' in rules
    data = changed("vms", [{"bundle": "squid", "address": "192.168.100.20"}])
    assert 'RANGE = "3128",\n  IP = "192.168.100.0"' in render_template(
        objects(data)[Kind.SECURITY_GROUP, "b2ct-torino-worker"].template
    )
