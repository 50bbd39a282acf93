"""The agent's units under a real systemd."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.agent import AGENT_UNITS, STARTED_UNITS
from b2ct.apply.contextualize import UNPACK, ContextualizeRequest, contextualize_host, make_archive
from b2ct.assets import Assets
from b2ct.render.agent_conf import AgentSettings
from tests.rigs.container import Container, make_debian, start_container
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from tests.integration.contextualize.conftest import Machine

ONEGATE = """
import json, sys
from tests.rigs.opennebula.onegate import OneGateServer
with OneGateServer() as gate:
    gate.add_vm(7, "token")
    print(gate.endpoint, flush=True)
    sys.stdin.read()
    print(json.dumps(gate.machines[7].attributes))
"""


UNTIL_TOLD = (
    "for i in $(seq 200); do b2ct-agent status | grep -q '^  ok       report to onegate: arrived' && exit 0; "
    "sleep 0.2; done; exit 1"
)
UNTIL_READY = "for i in $(seq 100); do b2ct-agent status >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1"


def install(machine: Machine, settings: AgentSettings) -> None:
    contextualize_host(ContextualizeRequest(machine.target(), settings, timeout_s=60), Assets())


def test_they_are_understood_and_the_agent_has_no_power(machine: Machine) -> None:
    install(machine, AgentSettings())
    check_units(machine.container)


def test_the_same_under_the_systemd_of_debian_13(tmp_path: Path) -> None:
    need_root()
    need_tool("debootstrap", "systemd-nspawn")
    with start_container(make_debian("trixie"), tmp_path / "container") as container:
        assert int(container.tell("systemctl", "--version").split()[1]) >= 257
        container.tell("sh", "-c", UNPACK, data=make_archive(Assets(), AgentSettings(vo="belle")))
        container.tell("sh", "-c", UNTIL_READY)
        check_units(container)


def check_units(container: Container) -> None:
    """Check that systemd knows every line of the units, and what the running agent may do."""
    done = container.run(
        ["systemd-analyze", "verify", *AGENT_UNITS, *(unit.replace("@", "@0") for unit in STARTED_UNITS)]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    pid = container.tell("systemctl", "show", "-p", "MainPID", "--value", "b2ct-vm-agent").strip()
    lines = container.tell("cat", f"/proc/{pid}/status").splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = container.tell("cat", f"/proc/{pid}/mountinfo").splitlines()
    root = next(mount.split() for mount in mounts if mount.split()[4] == "/")
    assert root[5].startswith("ro")


def test_it_becomes_ready_in_its_sandbox_and_is_gone_when_stopped(machine: Machine) -> None:
    container = machine.container
    beside = container.beside([sys.executable, "-c", ONEGATE])
    repository = Path(__file__).parents[3]
    with subprocess.Popen(beside, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gate:
        assert gate.stdout is not None
        endpoint = gate.stdout.readline().strip()
        container.tell("mkdir", "-p", "/run/one-context")
        context = f'export VMID="7"\nexport ONEGATE_ENDPOINT="{endpoint}"\nexport TOKENTXT="token"\n'
        container.tell("sh", "-c", "umask 077; cat >/run/one-context/one_env", data=context.encode())
        try:
            install(machine, AgentSettings(vo="belle"))
            container.tell("sh", "-c", UNTIL_TOLD)
            shown, _ = gate.communicate(timeout=30)
        finally:
            container.tell("rm", "-r", "/run/one-context")
    assert json.loads(shown)["READY"] == "YES"
    container.tell("systemctl", "stop", "b2ct-vm-agent")
    assert container.run(["b2ct-agent", "status"]).returncode == 1
    result = container.tell("systemctl", "show", "-p", "Result", "--value", "b2ct-vm-agent")
    assert result.strip() == "success"


def test_killed_it_comes_back_and_an_old_status_is_gone(machine: Machine) -> None:
    install(machine, AgentSettings())
    container = machine.container
    container.tell("mkdir", "-p", "/run/systemd/system/b2ct-vm-agent.service.d")
    container.tell("tee", "/run/systemd/system/b2ct-vm-agent.service.d/t.conf", data=b"[Service]\nRestartSec=1\n")
    try:
        container.tell("systemctl", "daemon-reload")
        container.tell("systemctl", "kill", "--signal=KILL", "--kill-who=main", "b2ct-vm-agent")
        gone = "for i in $(seq 50); do [ -e /run/b2ct-vm/status.json ] || exit 0; sleep 0.1; done; exit 1"
        container.tell("sh", "-c", gone)
        container.tell("sh", "-c", UNTIL_READY)
    finally:
        container.tell("rm", "-r", "/run/systemd/system/b2ct-vm-agent.service.d")


def test_it_runs_with_el8s_own_python_and_says_when_there_is_none(machine: Machine) -> None:
    install(machine, AgentSettings())
    container = machine.container
    container.tell("sh", "-c", 'mv "$(readlink -f /usr/bin/python3)" /usr/libexec/platform-python')
    try:
        assert container.tell("b2ct-agent", "--version")
        container.tell("mv", "/usr/libexec/platform-python", "/usr/libexec/python-away")
        done = container.run(["b2ct-agent", "--version"])
        assert done.returncode == 127
        assert b"install the package python3" in done.stderr
        container.tell("mv", "/usr/libexec/python-away", "/usr/libexec/platform-python")
    finally:
        container.tell("sh", "-c", 'mv /usr/libexec/platform-python "$(readlink -m /usr/bin/python3)"')
