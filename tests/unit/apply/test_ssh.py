from __future__ import annotations

from pathlib import Path

import pytest

from b2ct.apply.ssh import SshFailure, SshTarget, make_error, ssh_argv
from b2ct.errors import UsageError


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "", "a b", "a;id", "$(id)", "a\n", "h/x", "u@h", "ünder"])
def test_refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(UsageError):
        SshTarget(host)


@pytest.mark.parametrize("user", ["-l", "", "a b", "a;id", "a@b", "a\n"])
def test_refuses_what_is_no_user(user: str) -> None:
    with pytest.raises(UsageError):
        SshTarget("host", user)


def test_the_command_line() -> None:
    argv = ssh_argv(SshTarget("2001:db8::1", "admin", 2222, Path("/k 1"), Path("/known 100%")), "sh -s")
    assert argv[-6:] == ["2222", "-l", "admin", "--", "2001:db8::1", "sh -s"]
    assert "BatchMode=yes" in argv
    assert "StrictHostKeyChecking=yes" in argv
    assert 'UserKnownHostsFile="/known 100%%"' in argv
    assert argv[argv.index("-i") + 1] == "/k 1"
    plain = ssh_argv(SshTarget("host", accept_new=True), "sh -s")
    assert "StrictHostKeyChecking=accept-new" in plain
    assert not {"-i", "-p"} & set(plain)
    assert not any("KnownHosts" in word for word in plain)


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "host-key-changed"),
        ("No ED25519 host key is known for x\nHost key verification failed.", "host-key-unknown"),
        ("root@x: Permission denied (publickey).", "refused"),
        ("Received disconnect from x: 2: Too many authentication failures", "refused"),
        ("ssh: connect to host x port 22: Connection refused", "unreachable"),
        ("ssh: Could not resolve hostname x: Name or service not known", "unreachable"),
        ("", "unreachable"),
    ],
)
def test_tells_apart_why_ssh_gave_up(said: str, failure: str) -> None:
    error = make_error(SshTarget("x"), said)
    assert error.failure is SshFailure(failure)
    assert error.message.startswith("x: ")
