from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import doctor
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.context import load_context
from b2ct_vmagent.doctor import central_services, check_agent, check_service, examine
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.reports import News, Phase
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.status import Status, make_document, write_status

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


def test_an_agent_that_does_not_run(paths: Paths) -> None:
    check = check_agent(paths)
    assert check.state is State.FAILED
    assert check.detail.endswith("systemctl status b2ct-vm-agent")


@pytest.mark.parametrize(
    ("state", "check"),
    [
        ("ok", Check("agent", State.OK, "runs, working")),
        ("waiting", Check("agent", State.WARNING, "vmdirac: connection refused")),
    ],
)
def test_an_agent_and_whom_it_tells(paths: Paths, state: str, check: Check) -> None:
    reports = {"vmdirac": {"state": state, "detail": "connection refused"}, "file": {"state": "ok", "detail": ""}}
    write_status(paths, make_document(Status(()), Settings(), News(state=Phase.WORKING), reports, "u"), 60)
    assert check_agent(paths) == check


def test_every_service_that_is_needed() -> None:
    assert central_services(Settings(dirac_servers=("dips://d:9135/C/S",))) == {}
    settings = Settings(
        pilot_kind="dirac",
        dirac_servers=("dips://d.example.org:9135/Configuration/Server", "dips://e:1/C/S"),
        dirac_manager="dips://m.example.org:9163/WorkloadManagement/VirtualMachineManager",
        diracx_url="https://x.example.org",
        onegate_endpoint="http://[fd00::1]:5030",
    )
    assert central_services(settings) == {
        "dirac_servers": "d.example.org:9135",
        "dirac_manager": "m.example.org:9163",
        "diracx_url": "x.example.org:443",
        "onegate_endpoint": "fd00::1:5030",
    }
    condor = Settings(pilot_kind="htcondor", condor_collector="cm.example.org:9618")
    assert central_services(condor) == {"condor_collector": "cm.example.org:9618"}


def test_a_service_that_answers_and_ones_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connection:
        def close(self) -> None:
            """Be closed."""

    def connect(address: tuple[str, int], timeout_s: float) -> Connection:
        assert timeout_s > 0
        if address == ("d.example.org", 9135):
            return Connection()
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr("socket.create_connection", connect)
    assert check_service("dirac", "d.example.org:9135").state is State.OK
    lost = check_service("dirac", "e.example.org:1")
    assert lost.state is State.FAILED
    assert "Connection refused; is it let through by firewalls?" in lost.detail


def test_all_is_looked_at(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/b2ct-vm/context.sh").write_text("B2CT_DIRACX_URL='https://x.example.org'\n", encoding="ascii")
    monkeypatch.setattr(doctor, "check_service", lambda name, address: Check(name, State.OK, address))
    checks = {check.name: check for check in examine(paths, load_context(paths), lambda *_: Done(0, ""))}
    assert {"settings", "clock", "disk", "pilot", "agent", "condor_token", "diracx_url"} <= set(checks)
    assert checks["diracx_url"].detail == "x.example.org:443"
