"""DIRAC itself judges what register wrote: its SiteDirector's functions read the queues and make the cloud's driver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from tests.integration.register.conftest import Case

JUDGE = """
import json
import DIRAC
DIRAC.initialize()
from DIRAC.ConfigurationSystem.Client.Helpers.Resources import getQueue, getQueues
from DIRAC.WorkloadManagementSystem.Utilities.QueueUtilities import getQueuesResolved
sites = getQueues(siteList=["CLOUD.Torino.it"], community="belle")["Value"]
found = {}
for queue in getQueuesResolved(sites, {}, instantiateCEs=True)["Value"].values():
    ce = queue["CE"]
    found[queue["QueueName"]] = one = {"parameters": queue["ParametersDict"], "class": type(ce).__name__}
    one["pilot"] = getQueue(queue["Site"], queue["CEName"], queue["QueueName"])["Value"]
    if hasattr(ce, "_getDriver"):
        ce._getDriverAuth = lambda: ("user", "password")
        driver = ce._getDriver()
        driver.connection.connect()
        one["driver"] = [driver.name, driver.connection.connection.host]
print("FOUND " + json.dumps(found))
"""


def read_queues(case: Case) -> dict[str, Any]:
    """Return the queues as DIRAC's SiteDirector and a pilot find them; yaml is ours, the rig has none."""
    case.dirac.write_client("vm")
    library = case.folder / "library"
    library.mkdir()
    (library / "yaml").symlink_to(Path(yaml.__file__).parent)
    environment = {**case.dirac.environment("vm"), "PYTHONPATH": str(library)}
    out = run_tool([case.dirac.software / "bin/python", "-c", JUDGE], env=environment, cwd=case.dirac.folder / "work")
    (line,) = [line for line in out.splitlines() if line.startswith("FOUND ")]
    found: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    return found


def test_dirac_can_start_virtual_machines_on_every_queue(case: Case) -> None:
    assert case.run("--push", "--yes")[0] == 0
    queues = read_queues(case)
    assert [name.rpartition("-el9-")[2] for name in queues] == ["1core", "8core", "whole-node"]
    for name, queue in queues.items():
        assert queue["class"] == "CloudComputingElement"
        assert queue["driver"] == ["OpenNebula (v6.0)", "https://one.to.infn.it:2634"]
        parameters = queue["parameters"]
        assert (parameters["CPUTime"], parameters["Instance_Flavor"]) == (10_800_000, f"name:{name}")
        assert "Instance_Networks" not in parameters
    one, eight, whole = (queue["parameters"] for queue in queues.values())
    assert (one["NumberOfProcessors"], one["MaxRAM"], one["Tag"]) == (1, 2048, [])
    assert (eight["NumberOfProcessors"], eight["MaxRAM"], eight["Tag"]) == (8, 16384, ["MultiProcessor"])
    assert sorted(whole["Tag"]) == ["MultiProcessor", "WholeNode"]
    assert queues["belle-belle2-worker-el9-8core"]["pilot"]["LocalCEType"] == "Pool"


def test_dirac_starts_nothing_where_the_site_does_and_pilots_find_their_queue(case: Case) -> None:
    case.write_site(cloud=None)
    assert case.run("--push", "--yes")[0] == 0
    assert read_queues(case) == {}
