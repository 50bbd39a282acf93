"""The agent's reports to a real VirtualMachineManager: what is in its tables afterwards, and what comes back."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent.reports import Delivery, News, Order, Outcome, Phase, ReportError
from b2ct_vmagent.vmdirac import Instance, VmDirac, make_endpoint

from tests.rigs.dirac import central as rig
from tests.rigs.dirac.central import MANAGER, Central
from tests.rigs.dirac.configuration import CE, SITE, VO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEWS = News(ready=True, state=Phase.WORKING, load=0.5, jobs=2, moved_bytes=5_000_000_000, uptime_s=321)
HALTING = NEWS._replace(state=Phase.HALTING, load=0.25, outcome=Outcome(300, "No more work available"))
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine as DIRAC knows it, and its agent's way to DIRAC."""

    central: Central
    instance: Instance

    def reporter(self, who: str = "vm") -> VmDirac:
        return VmDirac(self.central.diset(who), self.instance)

    def ask(self, statement: str) -> list[tuple[str, ...]]:
        return self.central.database.ask(f"{statement} WHERE UniqueID = '{self.instance.uid}'")

    def row(self, *columns: str) -> tuple[str, ...]:
        names = ", ".join(f"`{name}`" for name in columns)
        rows = self.ask(f"SELECT {names} FROM vm_Instances")  # noqa: S608 - names of columns
        assert len(rows) == 1
        return rows[0]

    def status(self) -> str:
        return self.row("Status")[0]

    def history(self) -> list[tuple[str, ...]]:
        columns = "vm_History.Status, vm_History.`Load`, vm_History.Jobs, TransferredFiles, TransferredBytes"
        return self.ask(f"SELECT {columns} FROM vm_Instances JOIN vm_History USING (InstanceID)")  # noqa: S608 - the same

    def set_status(self, status: str) -> None:
        self.ask(f"UPDATE vm_Instances SET Status = '{status}'")  # noqa: S608 - a test's own word

    def stop_from_the_centre(self) -> None:
        answer = self.central.diset("host").call("declareInstancesStopping", [int(self.row("InstanceID")[0])])
        assert answer["OK"], answer


@pytest.fixture
def make_machine(central: Central) -> Callable[..., Machine]:
    def make(**more: Any) -> Machine:  # noqa: ANN401 - fields of an Instance
        uid = f"site-7-{uuid.uuid4().hex[:8]}"
        instance = Instance(uid, "one-7", "el9", make_endpoint(SITE, CE), VO)
        return Machine(central, instance._replace(**more))

    return make


@pytest.fixture
def machine(make_machine: Callable[..., Machine]) -> Machine:
    return make_machine()


def test_a_new_machine_is_declared_and_its_heartbeats_are_stored(machine: Machine) -> None:
    reporter = machine.reporter()
    assert reporter.report(NEWS) is Order.NONE
    assert reporter.report(NEWS._replace(load=1, jobs=0, moved_bytes=6_000_000_000, uptime_s=622)) is Order.NONE
    columns = ("Name", "Endpoint", "RunningPod", "Status", "PublicIP", "Uptime", "Load", "Jobs", "ErrorMessage")
    assert machine.row(*columns) == (
        "one-7",
        "CLOUD.Rig.eu::one.rig.eu (b2ct)",
        "rigvo",
        "Running",
        "127.0.0.1",
        "622",
        "1",
        "0",
        "",
    )
    assert machine.history() == [
        ("Submitted", "0", "0", "0", "0"),
        ("Running", "0", "0", "0", "0"),
        ("Running", "0.5", "2", "0", "5000000000"),
        ("Running", "1", "0", "0", "6000000000"),
    ]


def test_an_agent_that_starts_anew_is_the_same_machine(machine: Machine) -> None:
    machine.reporter().report(NEWS)
    assert machine.reporter().report(NEWS) is Order.NONE
    assert machine.status() == "Running"


def test_two_machines_with_one_cloud_id_are_two(make_machine: Callable[..., Machine]) -> None:
    first, second = make_machine(), make_machine()
    assert first.instance.name == second.instance.name
    first.reporter().report(NEWS)
    second.reporter().report(NEWS._replace(jobs=7))
    assert (first.row("Jobs"), second.row("Jobs")) == (("2",), ("7",))


def test_stop_from_the_centre_drains_then_the_end_is_stored(machine: Machine) -> None:
    reporter = machine.reporter()
    reporter.report(NEWS)
    machine.stop_from_the_centre()
    assert reporter.report(NEWS) is Order.DRAIN
    assert machine.reporter().report(NEWS) is Order.DRAIN
    assert machine.status() == "Stopping"
    assert reporter.report(HALTING) is Order.NONE
    assert machine.status() == "Halted"
    assert [row[:2] for row in machine.history()][-2:] == [("Stopping", "0"), ("Halted", "0.25")]


def test_halt_from_the_centre_halts(machine: Machine) -> None:
    reporter = machine.reporter()
    reporter.report(NEWS)
    machine.set_status("Stalled")
    machine.stop_from_the_centre()
    assert machine.status() == "Halted"
    assert reporter.report(NEWS) is Order.HALT
    assert machine.reporter().report(NEWS) is Order.HALT
    assert reporter.report(HALTING) is Order.NONE


def test_a_heartbeat_revives_a_stalled_machine(machine: Machine) -> None:
    reporter = machine.reporter()
    reporter.report(NEWS)
    machine.set_status("Stalled")
    assert reporter.report(NEWS) is Order.NONE
    assert machine.status() == "Running"


def test_a_machine_that_dirac_forgot_is_declared_again(machine: Machine) -> None:
    reporter = machine.reporter()
    reporter.report(NEWS)
    machine.ask("DELETE FROM vm_Instances")
    with pytest.raises(ReportError, match="forgotten"):
        reporter.report(NEWS)
    assert reporter.report(NEWS) is Order.NONE
    assert machine.status() == "Running"


def test_a_machine_that_dirac_started_is_not_inserted(make_machine: Callable[..., Machine]) -> None:
    machine = make_machine(given=True)
    with pytest.raises(ReportError, match="Unknown UniqueID"):
        machine.reporter().report(NEWS)
    insert(machine)
    assert machine.reporter().report(NEWS) is Order.NONE


def test_an_end_that_dirac_also_tells_its_cloud_is_an_end(make_machine: Callable[..., Machine]) -> None:
    """An endpoint that names a cloud of the configuration makes the service fail, after it has stored the end."""
    machine = make_machine(endpoint=f"{SITE}::{CE}")
    reporter = machine.reporter()
    reporter.report(NEWS)
    assert not machine.central.diset().call("declareInstanceHalting", machine.instance.uid, 0.0)["OK"]
    machine.set_status("Running")
    assert reporter.report(HALTING) is Order.NONE
    assert machine.status() == "Halted"


@pytest.mark.parametrize("ce", [CE, ""])
def test_a_stalled_machine_never_keeps_the_service_down(make_machine: Callable[..., Machine], ce: str) -> None:
    machine = make_machine(endpoint=make_endpoint(SITE, ce))
    reporter = machine.reporter()
    reporter.report(NEWS)
    machine.set_status("Stalled")
    with machine.central.without(MANAGER):
        pass
    assert reporter.report(NEWS) is Order.NONE
    assert machine.status() == "Running"


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("vmbad", "has to be a host's with VmRpcOperation"),
        ("vmold", "it does not take our certificate: .*certificate expired"),
        ("vmother", "it does not take our certificate: .*unknown ca"),
    ],
)
def test_a_wrong_certificate_is_told(machine: Machine, who: str, said: str) -> None:
    with pytest.raises(ReportError, match=said) as caught:
        machine.reporter(who).report(NEWS)
    assert caught.value.refused


def test_a_service_of_an_unknown_ca_is_not_trusted(machine: Machine, tmp_path: Path) -> None:
    other = machine.central.identities["vmother"].certificate
    (tmp_path / "ca.pem").write_bytes(other.read_bytes())
    for place in (tmp_path / "ca.pem", tmp_path):
        reporter = VmDirac(machine.central.diset("vm")._replace(ca_path=str(place)), machine.instance)
        with pytest.raises(ReportError, match="its certificate does not hold") as caught:
            reporter.report(NEWS)
        assert caught.value.refused


def test_a_service_of_another_name_is_not_trusted(machine: Machine) -> None:
    url = machine.central.url().replace("localhost", "127.0.0.2")
    reporter = VmDirac(machine.central.diset("vm")._replace(url=url), machine.instance)
    with pytest.raises(ReportError, match="its certificate does not hold: IP address mismatch"):
        reporter.report(NEWS)


def test_a_service_that_is_away_for_a_while_is_told_all_afterwards(machine: Machine) -> None:
    reporter = machine.reporter()
    reporter.report(NEWS)
    with machine.central.without(MANAGER):
        with pytest.raises(ReportError, match="nothing listens there") as caught:
            reporter.report(NEWS)
        assert not caught.value.refused
    assert reporter.report(NEWS._replace(jobs=3)) is Order.NONE
    assert machine.row("Status", "Jobs") == ("Running", "3")


def test_a_restart_in_the_middle_costs_no_machine(machine: Machine) -> None:
    delivery = Delivery(machine.reporter(), 0.05)
    delivery.start()
    delivery.offer(NEWS)
    assert delivery.wait_arrived(PATIENCE_S)
    with machine.central.without(MANAGER):
        time.sleep(0.3)
    delivery.offer(NEWS._replace(state=Phase.DRAINING, jobs=1))
    assert delivery.wait_arrived(PATIENCE_S)
    assert machine.row("Status", "Jobs") == ("Running", "1")
    delivery.offer(HALTING)
    assert delivery.wait_arrived(PATIENCE_S)
    assert machine.status() == "Halted"


def test_a_service_may_answer_in_json(machine: Machine) -> None:
    with machine.central.answering_json(MANAGER):
        reporter = machine.reporter()
        assert reporter.report(NEWS) is Order.NONE
        machine.stop_from_the_centre()
        assert reporter.report(NEWS) is Order.DRAIN
        assert reporter.report(HALTING) is Order.NONE
        assert machine.reporter().report(NEWS) is Order.HALT
    assert machine.status() == "Halted"


def insert(machine: Machine) -> None:
    """Insert a machine as DIRAC's own director does before it starts one."""
    one = machine.instance
    answer = machine.central.diset().call("insertInstance", one.uid, one.image, one.name, one.endpoint, one.pod)
    assert answer["OK"], answer


class Stock:
    """DIRAC's own agent, in a process of its own."""

    def __init__(self, machine: Machine) -> None:
        central = machine.central
        site = {"Site": SITE, "RunningPod": VO, "VMID": machine.instance.name}
        central.write_client("vm", {"LocalSite": site})
        self.process = subprocess.Popen(
            [central.software / "bin/python", Path(rig.__file__).with_name("stock_agent.py")],
            env=central.environment("vm"),
            cwd=central.folder / "work",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def step(self, name: str) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{"ok"'):
                return json.loads(line)  # type: ignore[no-any-return]
        pytest.fail("the stock agent has ended")


@pytest.fixture
def stock(make_machine: Callable[..., Machine]) -> Iterator[tuple[Stock, Machine]]:
    machine = make_machine(name=f"vm-{uuid.uuid4().hex[:8]}", given=True)
    insert(machine)
    agent = Stock(machine)
    yield agent, machine
    agent.process.communicate(timeout=PATIENCE_S)


def test_the_tables_are_as_the_stock_agent_leaves_them(
    stock: tuple[Stock, Machine], make_machine: Callable[..., Machine]
) -> None:
    agent, theirs = stock
    assert agent.step("initialize")["ok"]
    while len(theirs.history()) < 3:  # it beats only when it is not too late in a period of 65 s
        assert agent.step("execute")["ok"]
        time.sleep(0.5)
    load = float(theirs.row("Load")[0])
    ours = make_machine(given=True)
    insert(ours)
    reporter = ours.reporter()
    assert reporter.report(NEWS._replace(load=load, jobs=0, moved_bytes=0)) is Order.NONE
    columns = ("RunningPod", "Endpoint", "VMImageID", "Status", "PublicIP", "Load", "Jobs", "ErrorMessage")
    assert ours.row(*columns) == theirs.row(*columns)
    assert ours.history() == theirs.history()

    for one in (ours, theirs):
        one.stop_from_the_centre()
    stop_file = Path(agent.step("execute")["root"], "control/WorkloadManagement/JobAgent/stop_agent")
    while not stop_file.exists():
        time.sleep(0.5)
        agent.step("execute")
    stop_file.unlink()
    assert reporter.report(NEWS) is Order.DRAIN

    assert agent.step("halt")["shell"] == ["halt"]
    assert reporter.report(HALTING._replace(load=0.0)) is Order.NONE
    assert ours.history() == theirs.history()
    assert ours.status() == theirs.status() == "Halted"
