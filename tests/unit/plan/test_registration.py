from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from diraccfg import CFG

from b2ct.plan.dirac_cfg import get_option, read_cfg
from b2ct.plan.publication import make_publication
from b2ct.plan.registration import HOST_PROPERTIES, MachineCertificate, Registration, make_registration
from b2ct.plan.registration_merge import merge, unmerge
from b2ct.site.model import Site
from tests.unit.plan.bundles import BUNDLES, FACTS
from tests.unit.plan.test_agent import DIRAC
from tests.unit.site.sites import SITE

CLOUD = {"cloud": "https://one.to.infn.it:2634/RPC2"}
VMS = [{"bundle": "belle2-worker", "vo": "belle", "cores": ["1", "8", "whole-node"]}]
DN = "/C=IT/O=INFN/CN=vm.to.infn.it"
CE = ("Resources", "Sites", "CLOUD", "CLOUD.Torino.it", "CEs", "belle.cn01.to.infn.it")
NAME = "belle-belle2-worker-el9"


def certificate(dn: str | None) -> MachineCertificate | None:
    return MachineCertificate(dn, "/C=IT/O=INFN/CN=CA", date(2027, 6, 10)) if dn else None


def register(dn: str | None = DN, central: Any = CLOUD, **top: Any) -> Registration:  # noqa: ANN401 - any YAML value
    site = Site.model_validate({**SITE, "vms": VMS, **top, "central": {**DIRAC, **central}})
    registration, findings = make_registration(site, site.central, BUNDLES, certificate(dn))  # type: ignore[arg-type] # it is DIRAC
    assert findings == ()
    return registration


def options(registration: Registration, *path: str) -> dict[str, str]:
    (found,) = (section for section in registration.sections if section.path == path)
    return dict(found.options)


def test_dirac_starts_virtual_machines_through_the_driver_that_works() -> None:
    found = options(register(), *CE)
    assert found["CEType"] == "Cloud"
    assert found["CloudType"].endswith(".CloudProviders.OpenNebula.OpenNebula_6_0_NodeDriver")
    driver = (found["Driver_host"], found["Driver_port"], found["Driver_secure"])
    assert driver == ("one.to.infn.it", "2634", "True")
    assert found["VO"] == "belle"


def test_a_url_without_a_port_means_that_of_https() -> None:
    assert options(register(central={"cloud": "https://one.x.org/RPC2"}), *CE)["Driver_port"] == "443"


def test_nothing_that_is_known_to_break_is_registered() -> None:
    for registration in (register(), register(central={})):
        paths = [section.path for section in registration.sections]
        assert not [path for path in paths if path[0] == "Resources" and "Cloud" in path]
        assert not [name for section in registration.sections for name, _ in section.options if "Network" in name]


def test_without_a_cloud_dirac_has_nothing_to_start() -> None:
    registration = register(central={})
    assert options(registration, *CE)["CEType"] == "Vac"
    names = {name for section in registration.sections for name, _ in section.options}
    assert not [name for name in names if name.startswith(("Driver", "Instance", "Cloud"))]


def test_queues_are_the_templates_that_an_import_makes() -> None:
    site = Site.model_validate({**SITE, "vms": VMS, "central": {**DIRAC, **CLOUD}})
    publication, _ = make_publication(site, BUNDLES, FACTS, onegate=True)
    registration = register()
    (element,) = registration.elements
    assert [queue.name for queue in element.queues] == [template.name for template in publication.templates]
    assert {queue.image for queue in element.queues} == {template.image for template in publication.templates}
    contexts = [dict(template.context) for template in publication.templates]
    assert [context["B2CT_DIRAC_QUEUE"] for context in contexts] == [queue.name for queue in element.queues]
    assert {context["B2CT_DIRAC_CE"] for context in contexts} == {element.name}


def test_the_size_of_a_queue() -> None:
    registration = register()
    one = options(registration, *CE, "Queues", f"{NAME}-1core")
    assert (one["NumberOfProcessors"], one["MaxRAM"], "Tag" in one) == ("1", "2048", False)
    eight = options(registration, *CE, "Queues", f"{NAME}-8core")
    assert (eight["NumberOfProcessors"], eight["MaxRAM"], eight["Tag"]) == ("8", "16384", "MultiProcessor")
    assert eight["LocalCEType"] == "Pool"
    whole = options(registration, *CE, "Queues", f"{NAME}-whole-node")
    assert ("NumberOfProcessors" in whole, whole["Tag"]) == (False, "WholeNode, MultiProcessor")


@pytest.mark.parametrize(
    ("per", "flavour", "wanted"),
    [
        ("core", "1core", ("1", "2048", None, None)),
        ("core", "8core", ("1", "2048", None, None)),
        ("core", "whole-node", ("1", None, None, None)),
        ("2", "8core", ("4", "8192", "MultiProcessor", "Pool")),
        ("16", "8core", ("1", "1024", None, None)),
        ("2", "whole-node", (None, None, "MultiProcessor", "Pool")),
        ("node", "8core", ("8", "16384", "MultiProcessor", "Pool")),
    ],
)
def test_a_queue_has_the_size_of_one_pilot(per: str, flavour: str, wanted: tuple[str | None, ...]) -> None:
    vo = [{**SITE["vo"][0], "pilot": {"kind": "dirac", "script": "/cvmfs/d/pilot.py", "per": per}}]
    found = options(register(vo=vo, central={}), *CE, "Queues", f"{NAME}-{flavour}")
    assert tuple(map(found.get, ("NumberOfProcessors", "MaxRAM", "Tag", "LocalCEType"))) == wanted
    whole = options(register(vo=vo), *CE, "Queues", f"{NAME}-8core")
    assert whole["NumberOfProcessors"] == "8", "DIRAC starts one pilot in a machine of its own"


def test_the_example_of_the_how_to_registers_something() -> None:
    text = (Path(__file__).parents[3] / "docs/how-to/register.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(central:\n  kind: dirac.*?)```", text, re.DOTALL)
    assert example
    registration = register(None, **yaml.safe_load(example[1]))
    assert [queue.cores for element in registration.elements for queue in element.queues] == [1, 8]


@pytest.mark.parametrize("vms", [[], [{"bundle": "squid", "address": "192.168.100.10", "name": "squid"}]])
def test_a_site_without_workers_has_nothing_to_register(vms: list[dict[str, Any]]) -> None:
    site = Site.model_validate({**SITE, "vms": vms, "central": DIRAC})
    _, findings = make_registration(site, site.central, BUNDLES, certificate(DN))  # type: ignore[arg-type] # it is DIRAC
    assert [(finding.loc, finding.message) for finding in findings] == [
        (("vms",), "no worker of a community is listed, so there is nothing to register")
    ]


@pytest.mark.parametrize(("stop", "minutes"), [({}, "18000"), ({"lifetime_s": "86400"}, "1440"), ("never", "18000")])
def test_a_job_has_at_most_the_machines_lifetime(stop: object, minutes: str) -> None:
    registration = register(vo=[{**SITE["vo"][0], "stop": stop}])
    assert options(registration, *CE, "Queues", f"{NAME}-1core")["maxCPUTime"] == minutes


def test_the_quota_is_the_most_that_dirac_starts() -> None:
    assert "MaxTotalJobs" not in options(register(), *CE)
    assert options(register(vo=[{**SITE["vo"][0], "limits": {"vms": "7"}}]), *CE)["MaxTotalJobs"] == "7"


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        (DN, "vm.to.infn.it"),
        ("/O=Grid/CN=host/vm.to.infn.it", "vm.to.infn.it"),
        ("/O=Grid/CN=Ada Lovelace", "vm.torino.to.infn.it"),
    ],
)
def test_the_host_is_called_by_its_certificate(dn: str, name: str) -> None:
    assert options(register(dn), "Registry", "Hosts", name) == {"DN": dn, "Properties": HOST_PROPERTIES["8"]}


def test_without_a_certificate_there_is_no_host() -> None:
    assert not [section for section in register(None).sections if section.path[0] == "Registry"]


def test_dirac_9_knows_no_virtual_machine_manager() -> None:
    registration = register(central={**CLOUD, "version": "9", "setup": None, "vm_manager": None})
    assert options(registration, "Registry", "Hosts", "vm.to.infn.it")["Properties"] == HOST_PROPERTIES["9"]
    assert not [section for section in registration.sections if section.path[0] == "Operations"]


def test_a_squid_is_no_queue_and_a_bundle_that_is_not_there_is_a_problem() -> None:
    squid = {"bundle": "squid", "address": "192.168.100.10", "name": "squid"}
    assert len(register(vms=[*VMS, squid]).elements[0].queues) == 3
    site = Site.model_validate({**SITE, "vms": [{"bundle": "none", "vo": "belle"}], "central": DIRAC})
    registration, findings = make_registration(site, site.central, BUNDLES, certificate(DN))  # type: ignore[arg-type] # it is DIRAC
    assert [finding.message for finding in findings] == ["there is no bundle none"]
    assert registration.elements == ()


OTHERS = """
Resources
{
  Sites
  {
    CLOUD
    {
      # ours since 2011
      CLOUD.Torino.it
      {
        VO = lhcb
        CEs
        {
          arc.to.infn.it
          {
            CEType = ARC
          }
        }
      }
    }
  }
}
Operations
{
  Defaults
  {
    Cloud
    {
      belle
      {
        HaltPeriod = 42
      }
    }
  }
}
"""


def test_a_merge_adds_and_keeps_the_rest() -> None:
    current = read_cfg(OTHERS, "x")
    merged = merge(current, register())
    after = read_cfg(merged.text, "x")
    site = CE[:4]
    assert get_option(after, site, "VO") == "lhcb"
    assert get_option(after, (*site, "CEs", "arc.to.infn.it"), "CEType") == "ARC"
    assert "ours since 2011" in merged.text
    pod = ("Operations", "Defaults", "Cloud", "belle")
    assert (get_option(after, pod, "HaltPeriod"), get_option(after, pod, "HeartBeatPeriod")) == ("42", "300")
    assert {change.now for change in merged.changes} == {None}
    assert merge(after, register()).changes == ()
    assert merge(after, register()).text == merged.text


def test_taking_out_restores_what_was_there() -> None:
    current = read_cfg(OTHERS, "x")
    after = read_cfg(merge(current, register()).text, "x")
    assert read_cfg(unmerge(after, "torino").text, "x").getAsDict() == {**current.getAsDict(), "Registry": {}}
    assert unmerge(after, "milano").changes == ()
    assert unmerge(current, "torino").changes == ()


def test_two_sites_share_a_section_until_the_last_one_goes() -> None:
    both = CFG()
    for name in ("torino", "milano"):
        both = read_cfg(merge(both, register(site=name)).text, "x")
    left = read_cfg(unmerge(both, "torino").text, "x")
    assert get_option(left, ("Registry", "Hosts", "vm.to.infn.it"), "DN") == DN
    assert get_option(left, CE, "CEType") == "Cloud"


def test_what_an_earlier_registration_made_goes_when_it_is_not_wanted_any_more() -> None:
    before = read_cfg(merge(CFG(), register()).text, "x")
    merged = merge(before, register(vms=[{"bundle": "belle2-worker", "vo": "belle", "cores": "1"}], central={}))
    after = read_cfg(merged.text, "x")
    assert list(after.getAsDict(f"/{'/'.join(CE)}/Queues")) == [f"{NAME}-1core"]
    assert get_option(after, CE, "CloudType") is None
    assert get_option(after, CE, "CEType") == "Vac"


def test_a_fragment_that_an_admin_merges_by_hand_is_known_as_ours() -> None:
    current = read_cfg(OTHERS, "x")
    by_hand = current.mergeWith(read_cfg(merge(CFG(), register()).text, "x"))
    after = read_cfg(str(by_hand), "x")
    assert get_option(after, ("Operations", "Defaults", "Cloud", "belle"), "HeartBeatPeriod") == "300"
    assert merge(after, register()).changes == ()
    left = read_cfg(unmerge(after, "torino").text, "x")
    assert left.getAsDict("/Resources") == current.getAsDict("/Resources")
