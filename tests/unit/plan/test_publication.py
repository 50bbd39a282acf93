from __future__ import annotations

from typing import Any

import pytest

from b2ct.errors import Severity
from b2ct.plan.publication import Publication, VmTemplate, check_bundles, choose_bundle, make_publication
from b2ct.site.model import Site
from tests.unit.plan.bundles import BUNDLES, FACTS, shipped_bundle
from tests.unit.plan.test_agent import DIRAC
from tests.unit.site.sites import KEY, SITE


def site_with(*vms: dict[str, Any], **top: Any) -> Site:  # noqa: ANN401 - any YAML value
    return Site.model_validate({**SITE, "vms": list(vms), **top})


def publish(*vms: dict[str, Any], **top: Any) -> tuple[Publication, list[str]]:  # noqa: ANN401 - any YAML value
    publication, findings = make_publication(site_with(*vms, **top), BUNDLES, FACTS, onegate=True)
    return publication, [f"{'.'.join(map(str, f.loc))}: {f.message}" for f in findings]


def one_template(**vm: Any) -> VmTemplate:  # noqa: ANN401 - any YAML value
    publication, findings = publish({"bundle": "belle2-worker", "vo": "belle", **vm})
    assert findings == []
    (template,) = publication.templates
    return template


def test_a_worker_gets_the_newest_bundle_its_first_guest_and_two_gib_a_core() -> None:
    template = one_template(cores="8")
    assert (template.name, template.image) == ("belle-belle2-worker-el9-8core", "worker-el9-1.0.0")
    assert (template.cores, template.memory_mib, template.scratch_mib) == (8, 16384, 8 * 19073)
    assert (template.group, template.cluster_id, template.security_group_id) == ("belle", 0, 100)


def test_flavours_come_from_one_description() -> None:
    publication, findings = publish({"bundle": "belle2-worker", "vo": "belle", "cores": ["1", "8", "whole-node"]})
    assert findings == []
    names = [template.name.removeprefix("belle-belle2-worker-el9-") for template in publication.templates]
    assert names == ["1core", "8core", "whole-node"]
    assert len(publication.images) == 1


def test_a_whole_node_is_as_big_as_the_smallest_node_and_leaves_it_some_memory() -> None:
    template = one_template(cores="whole-node", memory_per_core="4GiB")
    assert (template.cores, template.memory_mib) == (32, 64_000 - 2048)


def test_a_whole_node_of_a_cluster_that_was_not_monitored_yet_is_refused() -> None:
    _, findings = publish({"bundle": "belle2-worker", "vo": "belle", "cores": "whole-node", "cluster": "fast"})
    assert findings == ["vms.0.cores: the cores of the nodes of the cluster fast are not known yet"]


def test_the_site_gives_the_name_and_the_flavour_is_added_only_when_there_are_several() -> None:
    assert one_template(name="w").name == "w"
    publication, _ = publish({"bundle": "belle2-worker", "vo": "belle", "name": "w", "cores": ["1", "2"]})
    assert [template.name for template in publication.templates] == ["w-1core", "w-2core"]


def test_two_templates_of_one_name_are_refused() -> None:
    vm = {"bundle": "belle2-worker", "vo": "belle"}
    _, findings = publish(vm, vm)
    assert findings == ["vms.1: the VM template belle-belle2-worker-el9-1core is used twice"]


def test_without_the_cloud_only_what_the_bundles_say_is_checked() -> None:
    good = {"bundle": "belle2-worker", "vo": "belle", "cluster": "fast", "cores": ["1", "whole-node"]}
    wrong = {**good, "guest": "debian11"}
    old = {**good, "version": "0.9", "name": "old"}
    found = list(check_bundles(site_with(good, wrong, old, good), BUNDLES))
    assert [(".".join(map(str, f.loc)), f.message, f.severity) for f in found] == [
        ("vms.1.guest", "belle2-worker has no guest debian11", Severity.ERROR),
        ("vms.2.version", "belle2-worker has no version 0.9", Severity.WARNING),
        ("vms.3", "the VM template belle-belle2-worker-el9-1core is used twice", Severity.ERROR),
        ("vms.3", "the VM template belle-belle2-worker-el9-whole-node is used twice", Severity.ERROR),
    ]


@pytest.mark.parametrize(
    ("vm", "finding"),
    [
        ({"bundle": "none", "vo": "belle"}, "vms.0.bundle: there is no bundle none"),
        ({"bundle": "belle2-worker", "vo": "belle", "version": "9"}, "vms.0.version: belle2-worker has no version 9"),
        ({"bundle": "belle2-worker", "vo": "belle", "guest": "el5"}, "vms.0.guest: belle2-worker has no guest el5"),
        ({"bundle": "generic-worker"}, "vms.0: generic-worker works for a community, and none is named"),
    ],
)
def test_what_cannot_be_is_said(vm: dict[str, Any], finding: str) -> None:
    assert publish(vm)[1] == [finding]


def test_a_community_without_cvmfs_and_an_old_opennebula_are_refused() -> None:
    vm = {"bundle": "belle2-worker", "vo": "belle"}
    assert publish(vm, vo=[{"name": "belle"}])[1] == ["vms.0.vo: belle has no CVMFS repositories"]
    old = publish(vm, opennebula={"version": "6.8"}, media={"distro": "almalinux", "version": "8"})[1]
    assert old == ["vms.0.bundle: belle2-worker needs OpenNebula 6.10, the site has 6.8"]


def test_the_agent_is_told_the_sites_squids_and_repositories() -> None:
    context = dict(one_template().context)
    assert context["B2CT_CVMFS_PROXY"] == "http://10.10.0.11:3128"
    assert context["B2CT_CVMFS_REPOSITORIES"] == "belle.cern.ch"
    assert (context["B2CT_VO"], context["B2CT_SITE"], context["B2CT_FLAVOUR"]) == ("belle", "torino", "1core")
    assert "B2CT_PILOT" not in context


def test_the_agent_is_told_the_pilot_of_its_community_and_a_squid_is_not() -> None:
    community = {"name": "belle", "cvmfs": ["belle.cern.ch"], "pilot": "/cvmfs/belle.cern.ch/pilot 'a b'"}
    squid = {"bundle": "squid", "vo": "belle", "network": "private", "address": "192.168.100.20"}
    publication, findings = publish({"bundle": "generic-worker", "vo": "belle"}, squid, vo=[community])
    assert findings == []
    assert [dict(template.context).get("B2CT_PILOT") for template in publication.templates] == [
        "/cvmfs/belle.cern.ch/pilot 'a b'",
        None,
    ]


def test_a_squid_on_the_cloud_has_a_fixed_address_that_the_workers_know() -> None:
    squid = {"bundle": "squid", "network": "private", "address": "192.168.100.20", "name": "squid"}
    publication, findings = publish({"bundle": "belle2-worker", "vo": "belle"}, squid)
    assert findings == []
    worker, proxy = publication.templates
    assert dict(worker.context)["B2CT_CVMFS_PROXY"] == "http://10.10.0.11:3128|http://192.168.100.20:3128"
    assert (proxy.scratch_mib, proxy.group, str(proxy.address)) == (0, None, "192.168.100.20")
    assert proxy.disk_mib > 20 * 1024
    assert dict(proxy.files)["/etc/squid/b2ct-clients.txt"] == "10.10.0.0/24\n192.168.100.0/24\n"


def test_without_scratch_the_agent_is_told_none() -> None:
    template = one_template(scratch_per_core="0")
    assert template.scratch_mib == 0
    assert "B2CT_SCRATCH" not in dict(template.context)


def test_keys_of_the_community_are_for_its_machines() -> None:
    community = {"name": "belle", "cvmfs": ["belle.cern.ch"], "ssh_keys": [KEY]}
    publication, _ = publish({"bundle": "belle2-worker", "vo": "belle"}, vo=[community])
    assert publication.templates[0].ssh_keys == (KEY,)


def test_the_newest_version_is_the_largest_number_and_an_older_one_can_be_asked_for() -> None:
    versions = [shipped_bundle("belle2-worker", version=version) for version in ("1.9.0", "1.10.0", "1.2.0")]
    newest = choose_bundle(versions, "belle2-worker")
    assert newest is not None
    assert newest.manifest.version == "1.10.0"
    asked = choose_bundle(versions, "belle2-worker", "1.2.0")
    assert asked is versions[2]


def test_the_number_of_a_cluster_has_to_be_asked_for() -> None:
    site = site_with({"bundle": "belle2-worker", "vo": "belle", "cluster": "fast"})
    publication, findings = make_publication(site, BUNDLES, FACTS, onegate=True)
    assert (publication.templates[0].cluster_id, findings) == (101, ())
    _, findings = make_publication(site, BUNDLES, None, onegate=True)
    assert [f.message for f in findings] == ["OpenNebula's number of the cluster fast is not known"]


def test_only_what_an_import_marks_asks_for_credentials() -> None:
    central = {**DIRAC, "certificate": "file:c", "key": "file:k"}
    site = site_with({"bundle": "belle2-worker", "vo": "belle"}, central=central)
    (imported,), (by_hand,) = (
        make_publication(site, BUNDLES, facts, onegate=True)[0].templates for facts in (FACTS, None)
    )
    assert dict(imported.context)["B2CT_CREDENTIALS"] == "onegate"
    assert "B2CT_CREDENTIALS" not in dict(by_hand.context)
    assert by_hand.onegate
