from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from b2ct.plan.cloud_model import Kind
from b2ct.plan.one_grammar import parse_template
from b2ct.plan.publication import Publication, make_publication
from b2ct.render.bundle import ByName, render_user_data, render_vm_template
from b2ct.render.opennebula import render_template
from b2ct.render.publication import Numbers, render_bundle_files, render_wanted
from b2ct.site.model import Site
from tests.unit.plan.bundles import BUNDLES, FACTS
from tests.unit.site.sites import KEY, SITE

if TYPE_CHECKING:
    from b2ct.plan.attributes import Template

SUM = "sha256:" + "0" * 64


def publication(*, onegate: bool = True, **vm: Any) -> tuple[Publication, Site]:  # noqa: ANN401 - any YAML value
    wish = {"bundle": "belle2-worker", "vo": "belle", **vm}
    community = {"name": "belle", "cvmfs": ["belle.cern.ch"], "ssh_keys": [KEY]}
    site = Site.model_validate({**SITE, "vms": [wish], "vo": [community]})
    made, findings = make_publication(site, BUNDLES, FACTS, onegate=onegate)
    assert findings == ()
    return made, site


def vm_template(*, onegate: bool = True, **vm: Any) -> Template:  # noqa: ANN401 - any YAML value
    made, _ = publication(onegate=onegate, **vm)
    wanted = made.templates[0]
    bundle = made.bundle(wanted.bundle, wanted.version)
    return render_vm_template(bundle, wanted, ByName(wanted.image, "oneadmin"), 7)


def vectors(template: Template, name: str) -> list[dict[str, str]]:
    return [dict(a.value) for a in template if a.name == name and isinstance(a.value, tuple)]


def test_no_placeholder_is_left_and_the_text_parses_to_the_same() -> None:
    template = vm_template(cores="8", pinning="core", hugepages="2MiB")
    text = render_template(template)
    assert "@" not in text.replace(KEY, "")
    assert parse_template(text, "template.txt") == template


def test_disks_are_virtio_discard_and_scratch_grows_with_the_cores() -> None:
    system, scratch = vectors(vm_template(cores="2", scratch_per_core="10GiB"), "DISK")
    assert (system["IMAGE"], system["IMAGE_UNAME"]) == ("worker-el9-1.0.0", "oneadmin")
    assert {disk["DISCARD"] for disk in (system, scratch)} == {"unmap"}
    assert (scratch["SIZE"], scratch["TARGET"]) == ("20480", "vdb")
    assert len(vectors(vm_template(scratch_per_core="0"), "DISK")) == 1


def test_pinning_and_huge_pages_only_when_asked_for() -> None:
    assert vectors(vm_template(), "TOPOLOGY") == []
    (topology,) = vectors(vm_template(cores="4", pinning="thread", hugepages="1GiB"), "TOPOLOGY")
    assert (topology["PIN_POLICY"], topology["CORES"], topology["HUGEPAGE_SIZE"]) == ("THREAD", "4", "1024")


def test_network_by_number_security_group_and_cluster() -> None:
    template = vm_template(cluster="fast")
    (nic,) = vectors(template, "NIC")
    assert (nic["NETWORK_ID"], nic["SECURITY_GROUPS"], nic["MODEL"]) == ("7", "100", "virtio")
    assert ("SCHED_REQUIREMENTS", "CLUSTER_ID = 101") in [(a.name, a.value) for a in template]


@pytest.mark.parametrize("onegate", [True, False])
def test_ready_is_reported_only_where_onegate_is(*, onegate: bool) -> None:
    (context,) = vectors(vm_template(onegate=onegate), "CONTEXT")
    assert ("TOKEN" in context) == onegate
    assert context["SET_HOSTNAME"] == "$NAME"
    assert context["SSH_PUBLIC_KEY"] == KEY


def test_a_squid_gets_the_sites_networks_in_its_user_data() -> None:
    made, _ = publication(bundle="squid", vo="belle", address="192.168.100.20")
    bundle = made.bundle("squid", "1.0.0")
    (context,) = vectors(render_vm_template(bundle, made.templates[0], 1, 2), "CONTEXT")
    data = yaml.safe_load(base64.b64decode(context["USERDATA"]))
    files = {entry["path"]: entry["content"] for entry in data["write_files"]}
    assert files["/etc/squid/b2ct-clients.txt"] == "10.10.0.0/24\n192.168.100.0/24\n"
    assert set(data) == {"write_files", "runcmd"}


def test_user_data_without_own_content_stays_as_it_is() -> None:
    assert render_user_data("#cloud-config\n# as it is\n", ()) == "#cloud-config\n# as it is\n"


def test_each_template_is_wanted_once_by_name_and_once_by_version() -> None:
    made, site = publication()
    wanted = render_wanted(made, site, {"worker-el9-1.0.0": SUM}, FACTS)
    assert [item.name for item in wanted] == [
        "worker-el9-1.0.0",
        "belle-belle2-worker-el9-1core-v1-0-0",
        "belle-belle2-worker-el9-1core",
    ]
    image, versioned, current = wanted
    assert image.mark is not None
    assert (image.mark.checksum, image.permissions) == (SUM, 0o644)
    assert (current.group, current.permissions) == ("belle", 0o640)
    assert current.template == versioned.template
    (nic,) = vectors(current.template, "NIC")
    assert (nic["NETWORK"], nic["NETWORK_UNAME"]) == ("private", "netadmin")


def test_an_ordinary_user_gives_nothing_to_groups() -> None:
    made, site = publication()
    facts = type(FACTS)(FACTS.version, "alice", "users", admin=False, objects=FACTS.objects)
    _, _, current = render_wanted(made, site, {"worker-el9-1.0.0": SUM}, facts)
    assert (current.group, current.permissions) == (None, 0o600)
    assert Kind.GROUP not in {need.kind for need in current.needs}


def test_a_member_of_the_community_imports_for_the_community() -> None:
    made, site = publication()
    facts = type(FACTS)(FACTS.version, "alice", "belle", admin=False, objects=FACTS.objects)
    _, _, current = render_wanted(made, site, {"worker-el9-1.0.0": SUM}, facts)
    assert current.permissions == 0o640


def test_files_for_opennebulas_own_tools_are_filled_in_by_name_or_number() -> None:
    made, _ = publication()
    files = {a.path: a.data.decode() for a in render_bundle_files(made, "/var/tmp", Numbers(image_id=4))}  # noqa: S108 - a path on the front-end
    assert 'PATH = "/var/tmp/worker-el9-1.0.0.qcow2"' in files["worker-el9-1.0.0/image.one"]
    text = files["belle-belle2-worker-el9-1core/template.txt"]
    assert 'IMAGE_ID = "4"' in text
    assert 'NETWORK = "private"' in text
