"""``contextualize_host`` against a real sshd and a real systemd."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.agent import agent_files
from b2ct.apply.contextualize import UNPACK, ContextualizeRequest, contextualize_host, make_archive
from b2ct.apply.ssh import SshError, SshFailure, SshTarget
from b2ct.assets import Assets
from b2ct.errors import RemoteError
from b2ct.render.agent_conf import AgentSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.contextualize.conftest import Machine

SETTINGS = AgentSettings(site="CLOUD.Example.org", vo="belle", kind="worker", hostname='o\'brien "x" 100% $(id) #;')


def test_installs_what_it_should_and_then_changes_nothing(machine: Machine) -> None:
    request = ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60)
    first = contextualize_host(request, Assets())
    assert "/usr/libexec/b2ct-vm/agent.pyz" in first.changed
    assert ("settings", "ok", "all readable") in first.checks
    for file in agent_files(Assets()):
        assert machine.container.tell("stat", "-c", "%a %U", f"/{file.path}").split() == [f"{file.mode:o}", "root"]
    assert machine.container.tell("systemctl", "is-enabled", "b2ct-vm-agent").strip() == "enabled"
    assert 'o\'brien "x" 100% $(id) #;' in machine.container.tell("b2ct-agent", "context")
    started = machine.container.tell("systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", "b2ct-vm-agent")

    second = contextualize_host(request, Assets())
    assert second.changed == ()
    assert started == machine.container.tell(
        "systemctl", "show", "-p", "ActiveEnterTimestampMonotonic", "b2ct-vm-agent"
    )
    assert machine.container.tell("sh", "-c", "ls /tmp/tmp.* 2>/dev/null || :") == ""


def test_a_new_setting_changes_one_file_and_restarts(machine: Machine) -> None:
    contextualize_host(ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60), Assets())
    other = AgentSettings(vo="other")
    report = contextualize_host(ContextualizeRequest(machine.target(), other, timeout_s=60), Assets())
    assert report.changed == ("/etc/b2ct-vm/agent.conf", "started b2ct-vm-agent.service")
    assert '"vo": "other"' in machine.container.tell("b2ct-agent", "status", "--json")


def test_an_older_agent_of_the_image_is_upgraded(machine: Machine) -> None:
    request = ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60)
    contextualize_host(request, Assets())
    old = b"#!/bin/sh\nmkdir -p /run/b2ct-vm; echo '{\"ready\": true}' >/run/b2ct-vm/status.json; exec sleep 1000\n"
    machine.container.tell("sh", "-c", "cat >/usr/libexec/b2ct-vm/agent; systemctl restart b2ct-vm-agent", data=old)
    report = contextualize_host(request, Assets())
    assert report.changed == ("/usr/libexec/b2ct-vm/agent", "started b2ct-vm-agent.service")
    assert ("settings", "ok", "all readable") in report.checks


def test_a_stopped_agent_is_started_again(machine: Machine) -> None:
    request = ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60)
    contextualize_host(request, Assets())
    machine.container.tell("systemctl", "disable", "--now", "--quiet", "b2ct-vm-agent")
    report = contextualize_host(request, Assets())
    assert report.changed == ("enabled b2ct-vm-agent.service", "started b2ct-vm-agent.service")


def test_a_user_with_sudo_will_do(machine: Machine) -> None:
    report = contextualize_host(ContextualizeRequest(machine.target("admin"), SETTINGS, timeout_s=60), Assets())
    assert "/etc/b2ct-vm/agent.conf" in report.changed
    assert machine.container.tell("stat", "-c", "%a %U", "/etc/b2ct-vm/agent.conf").split() == ["600", "root"]


def test_no_setting_is_in_any_command_line(machine: Machine) -> None:
    contextualize_host(ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60), Assets())
    calls = machine.calls.read_text(encoding="utf-8")
    assert "BatchMode=yes" in calls
    assert "CLOUD.Example.org" not in calls


def test_a_machine_that_is_still_booting_is_waited_for(machine: Machine) -> None:
    machine.container.tell("systemctl", "stop", "ssh")
    begin = threading.Timer(3, lambda: machine.container.tell("systemctl", "start", "ssh"))
    begin.start()
    try:
        started = time.monotonic()
        contextualize_host(ContextualizeRequest(machine.target(), SETTINGS, timeout_s=60), Assets())
    finally:
        begin.join()
    assert time.monotonic() - started > 3


def test_a_broken_connection_installs_nothing(machine: Machine) -> None:
    archive = make_archive(Assets(), SETTINGS)
    for length in (0, 512, 10240, len(archive) // 2, len(archive) - 10240):
        assert machine.container.run(["sh", "-c", UNPACK], data=archive[:length]).returncode != 0
    assert machine.container.run(["ls", "/usr/libexec/b2ct-vm"]).returncode != 0
    assert machine.container.run(["sh", "-c", UNPACK], data=archive).returncode == 0


def test_damaged_on_the_way_installs_nothing(machine: Machine) -> None:
    archive = make_archive(Assets(), SETTINGS)
    damaged = archive.replace(b"CLOUD.Example.org", b"CLOUD.Exemple.org")
    assert machine.container.run(["sh", "-c", UNPACK], data=damaged).returncode != 0
    assert machine.container.run(["ls", "/etc/b2ct-vm"]).returncode != 0


def test_unreachable(machine: Machine) -> None:
    machine.container.tell("systemctl", "stop", "ssh")
    with pytest.raises(SshError, match=r"^127.0.0.1: .*Connection refused") as caught:
        contextualize_host(ContextualizeRequest(machine.target(), SETTINGS, timeout_s=3), Assets())
    assert caught.value.failure is SshFailure.UNREACHABLE


def test_another_host_key(machine: Machine, tmp_path: Path) -> None:
    known = tmp_path / "known hosts"
    kind, key = machine.stranger.with_suffix(".pub").read_text(encoding="ascii").split()[:2]
    known.write_text(f"127.0.0.1 {kind} {key}\n", encoding="ascii")
    for accept_new in (False, True):
        target = SshTarget("127.0.0.1", identity=machine.identity, known_hosts=known, accept_new=accept_new)
        with pytest.raises(SshError, match="not the known one") as caught:
            contextualize_host(ContextualizeRequest(target, SETTINGS), Assets())
        assert caught.value.failure is SshFailure.HOST_KEY_CHANGED


def test_an_unknown_host_key_is_taken_only_when_told(machine: Machine, tmp_path: Path) -> None:
    known = tmp_path / "100%known"
    target = SshTarget("127.0.0.1", identity=machine.identity, known_hosts=known)
    with pytest.raises(SshError, match="host key is not known") as caught:
        contextualize_host(ContextualizeRequest(target, SETTINGS), Assets())
    assert caught.value.failure is SshFailure.HOST_KEY_UNKNOWN
    trusting = SshTarget("127.0.0.1", identity=machine.identity, known_hosts=known, accept_new=True)
    contextualize_host(ContextualizeRequest(trusting, SETTINGS, timeout_s=60), Assets())
    contextualize_host(ContextualizeRequest(target, SETTINGS, timeout_s=60), Assets())


def test_a_key_that_is_refused(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("b2ct.apply.contextualize.REFUSAL_PATIENCE_S", 3.0)
    target = SshTarget("127.0.0.1", identity=machine.stranger, known_hosts=machine.known_hosts)
    with pytest.raises(SshError, match="does not let root in") as caught:
        contextualize_host(ContextualizeRequest(target, SETTINGS), Assets())
    assert caught.value.failure is SshFailure.REFUSED
    assert machine.calls.read_text(encoding="utf-8").count("sh -s") > 1


def test_a_user_without_sudo(machine: Machine) -> None:
    with pytest.raises(RemoteError, match="guest cannot become root"):
        contextualize_host(ContextualizeRequest(machine.target("guest"), SETTINGS), Assets())


def test_a_machine_without_python(machine: Machine) -> None:
    machine.container.tell("mv", "/usr/bin/python3", "/usr/bin/python3.away")
    try:
        with pytest.raises(RemoteError, match=r"no Python 3\.6"):
            contextualize_host(ContextualizeRequest(machine.target(), SETTINGS), Assets())
    finally:
        machine.container.tell("mv", "/usr/bin/python3.away", "/usr/bin/python3")


def test_what_is_not_ready_in_time_is_said(machine: Machine) -> None:
    settings = AgentSettings(cvmfs_repositories=("belle.cern.ch",))
    with pytest.raises(RemoteError, match="not ready in time; the agent says: cvmfs: there is no CVMFS client"):
        contextualize_host(ContextualizeRequest(machine.target(), settings, timeout_s=4), Assets())


def test_a_wrong_setting_is_not_waited_for(machine: Machine) -> None:
    settings = AgentSettings(cvmfs_proxy="squid")
    with pytest.raises(RemoteError, match="'squid' is no proxy"):
        contextualize_host(ContextualizeRequest(machine.target(), settings), Assets())


def test_the_cvmfs_client_is_set_up_and_asked(machine: Machine) -> None:
    container = machine.container
    container.tell("mkdir", "-p", "/etc/cvmfs")
    client = b'#!/bin/sh\n[ "$1" = probe ] && . /etc/cvmfs/default.local && echo "$CVMFS_HTTP_PROXY" && id -u\n'
    container.tell("sh", "-c", "cat >/usr/bin/cvmfs_config; chmod 755 /usr/bin/cvmfs_config", data=client)
    settings = AgentSettings(cvmfs_repositories=("belle.cern.ch",), cvmfs_proxy="http://127.0.0.1:3128;DIRECT")
    report = contextualize_host(ContextualizeRequest(machine.target(), settings, timeout_s=60), Assets())
    assert ("cvmfs:belle.cern.ch", "ok", "mounted") in report.checks
    written = container.tell("cat", "/etc/cvmfs/default.local")
    assert 'CVMFS_REPOSITORIES="belle.cern.ch"\nCVMFS_HTTP_PROXY="http://127.0.0.1:3128;DIRECT"\n' in written
