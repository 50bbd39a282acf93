from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from b2ct.apply import contextualize
from b2ct.apply.contextualize import ContextualizeRequest, contextualize_host, make_archive
from b2ct.apply.ssh import Answer, SshError, SshFailure, SshTarget
from b2ct.assets import Assets
from b2ct.errors import RemoteError
from b2ct.render.agent_conf import AgentSettings

EVERYTHING = ("root", "systemd", "python", "tar", "sha256sum", "stat", "mktemp", "shell")
READY = {"format": 2, "ready": True, "error": "", "checks": [{"name": "disk", "state": "ok", "detail": "free"}]}
NOT_READY = {"format": 2, "ready": False, "error": "disk: full", "checks": []}

Reply = Answer | SshError


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Host:
    """Answers each kind of command from a list of replies, the last one again and again."""

    def __init__(self, **replies: list[Reply]) -> None:
        self.replies = {"probe": [have(*EVERYTHING)], "install": [installed()], "status": [said(READY)]} | replies
        self.commands: list[str] = []

    def __call__(self, target: SshTarget, command: str, data: bytes, timeout_s: float) -> Answer:
        assert timeout_s > 0
        kind = "probe" if command == "sh -s" else "status" if "status" in command else "install"
        self.commands.append(command)
        replies = self.replies[kind]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, SshError):
            raise reply
        assert bool(data) == (kind != "status"), target
        return reply


def have(*things: str) -> Answer:
    return Answer(0, "Welcome!\n" + "".join(f"b2ct:have {thing}\n" for thing in things), "")


def installed(*changed: str) -> Answer:
    return Answer(0, "".join(f"b2ct:changed {what}\n" for what in changed) + "b2ct:installed\n", "")


def said(document: dict[str, Any]) -> Answer:
    return Answer(0 if document["ready"] else 1, json.dumps(document) + "\n", "")


def failed(failure: SshFailure) -> SshError:
    return SshError(failure, f"host: {failure}")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(contextualize, "time", clock)
    return clock


@pytest.fixture
def run(clock: Clock) -> Callable[[Host], contextualize.ContextualizeReport]:
    assert clock.monotonic() == 0
    request = ContextualizeRequest(SshTarget("host"), AgentSettings(vo="belle"), timeout_s=100)
    return lambda host: contextualize_host(request, Assets(), ssh=host)


Run = Callable[[Host], contextualize.ContextualizeReport]


def test_reports_what_was_changed(run: Run) -> None:
    report = run(Host(install=[installed("/etc/b2ct-vm/agent.conf", "started b2ct-vm-agent.service")]))
    assert report.changed == ("/etc/b2ct-vm/agent.conf", "started b2ct-vm-agent.service")
    assert report.checks == (("disk", "ok", "free"),)


def test_waits_for_ssh_and_for_the_agent(run: Run) -> None:
    lost = failed(SshFailure.UNREACHABLE)
    host = Host(
        probe=[lost, failed(SshFailure.REFUSED), have(*EVERYTHING)],
        status=[Answer(1, "", "not written yet"), lost, said(NOT_READY), said(READY)],
    )
    assert run(host).changed == ()
    assert len(host.commands) == 3 + 1 + 4


def test_sudo_is_used_where_it_is_needed(run: Run) -> None:
    host = Host(probe=[have("sudo", *EVERYTHING[1:])])
    run(host)
    assert [command.startswith("sudo -n ") for command in host.commands] == [False, True, True]


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("shell", "no POSIX shell"),
        ("root", "cannot become root"),
        ("systemd", "does not run systemd"),
        ("python", r"no Python 3\.6"),
        ("tar", "has no tar"),
        ("sha256sum", "has no sha256sum"),
    ],
)
def test_what_a_host_lacks_is_told_before_anything_is_sent(run: Run, missing: str, told: str) -> None:
    host = Host(probe=[have(*(thing for thing in EVERYTHING if thing != missing))])
    with pytest.raises(RemoteError, match=told):
        run(host)
    assert host.commands == ["sh -s"]


@pytest.mark.parametrize(
    ("failure", "least_s", "most_s"),
    [
        (SshFailure.HOST_KEY_CHANGED, 0, 0),
        (SshFailure.HOST_KEY_UNKNOWN, 0, 0),
        (SshFailure.REFUSED, 30, 31),
        (SshFailure.UNREACHABLE, 100, 101),
    ],
)
def test_only_what_may_pass_is_waited_for(
    run: Run, clock: Clock, failure: SshFailure, least_s: float, most_s: float
) -> None:
    with pytest.raises(SshError, match=failure):
        run(Host(probe=[failed(failure)]))
    assert least_s <= clock.now_s <= most_s


def test_what_went_wrong_while_installing_is_told(run: Run) -> None:
    with pytest.raises(RemoteError, match="could not be installed: tar: no space"):
        run(Host(install=[Answer(2, "", "tar: no space\n")]))
    with pytest.raises(RemoteError, match="could not be installed"):
        run(Host(install=[Answer(0, "", "")]))


def test_what_is_not_ready_in_time_is_told(run: Run) -> None:
    with pytest.raises(RemoteError, match="not ready in time; the agent says: disk: full"):
        run(Host(status=[said(NOT_READY)]))
    with pytest.raises(RemoteError, match="not ready in time; the agent has not written its status"):
        run(Host(status=[Answer(1, "", "")]))


def test_a_wrong_setting_is_not_waited_for(run: Run, clock: Clock) -> None:
    wrong = NOT_READY | {"checks": [{"name": "settings", "state": "failed", "detail": "x"}]}
    with pytest.raises(RemoteError, match="disk: full"):
        run(Host(status=[said(wrong)]))
    assert clock.now_s == 0


def test_the_archive_holds_the_settings_once_and_for_root_only() -> None:
    data = make_archive(Assets(), AgentSettings(vo="belle"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive}
        conf = archive.extractfile("tree/etc/b2ct-vm/agent.conf")
        listed = archive.extractfile("FILES")
        assert conf is not None
        assert listed is not None
        assert b"\nvo = belle\n" in conf.read()
        assert b"600 etc/b2ct-vm/agent.conf\n" in listed.read()
    assert list(members)[-1] == "install.sh"
    assert {member.mode for member in members.values()} == {0o600}
    assert make_archive(Assets(), AgentSettings(vo="belle")) == data
