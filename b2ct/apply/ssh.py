"""Runs commands on another machine through the OpenSSH client, and tells apart why it cannot."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from b2ct.apply.tool import Program, need_programs
from b2ct.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

SSH = Program("ssh", debian="openssh-client", el="openssh-clients")
CONNECT_TIMEOUT_S = 10
ALIVE_INTERVAL_S = 10
OWN_FAILURE = 255
"""Exit code of ssh(1) itself; any other is the remote command's."""

_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:%-]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class SshFailure(StrEnum):
    """Why ssh could not run a command."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke: worth another try."""
    HOST_KEY_CHANGED = "host-key-changed"
    HOST_KEY_UNKNOWN = "host-key-unknown"
    REFUSED = "refused"
    """The host does not take the key, or not yet."""


class SshError(RemoteError):
    """ssh could not run a command on the other machine; ``failure`` says why."""

    def __init__(self, failure: SshFailure, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A machine, and how it is reached; what is None is left to the user's own ssh configuration."""

    host: str
    user: str = "root"
    port: int | None = None
    identity: Path | None = None
    """Private key file; no other key is offered then."""
    known_hosts: Path | None = None
    """File with the host keys to trust, instead of ~/.ssh/known_hosts."""
    accept_new: bool = False
    """Trust and remember the key of a host that was never seen; a changed key is refused all the same."""

    def __post_init__(self) -> None:
        """Refuse names that ssh could take for an option or the shell for its own; raises UsageError."""
        if not _HOST.fullmatch(self.host):
            raise UsageError(f"{self.host!r} is no name or address of a host")
        if not _USER.fullmatch(self.user):
            raise UsageError(f"{self.user!r} is no name of a user")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a remote command did: exit code and all that it wrote."""

    exit_code: int
    stdout: str
    stderr: str


def ssh_argv(target: SshTarget, command: str) -> list[str]:
    """Return the argument vector that runs ``command`` in the login shell of ``target``; never asks anything."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new" if target.accept_new else "yes",
        "ConnectTimeout": str(CONNECT_TIMEOUT_S),
        "ServerAliveInterval": str(ALIVE_INTERVAL_S),
        "ServerAliveCountMax": "3",
        "ClearAllForwardings": "yes",
        "LogLevel": "ERROR",
    }
    if target.known_hosts is not None:
        # ssh_config(5): blanks separate files unless quoted, and % begins a token
        options["UserKnownHostsFile"] = '"{}"'.format(str(target.known_hosts).replace("%", "%%"))
        options["GlobalKnownHostsFile"] = "none"
    if target.identity is not None:
        options["IdentitiesOnly"] = "yes"
    argv = ["ssh", "-T", "-x", "-a", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    argv += ["-i", str(target.identity)] if target.identity is not None else []
    argv += ["-p", str(target.port)] if target.port is not None else []
    return [*argv, "-l", target.user, "--", target.host, command]


def run_ssh(target: SshTarget, command: str, data: bytes, timeout_s: float) -> Answer:
    """Run ``command`` on ``target`` with ``data`` as its input, for at most ``timeout_s`` seconds.

    ``command`` is readable in both machines' process lists: secrets belong into ``data``.

    Raises:
        SshError: ssh could not run it, or it took too long.
        UsageError: there is no ssh here.
    """
    need_programs((SSH,))
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(  # noqa: S603 - a list; host and user are checked, no shell here reads it
            ssh_argv(target, command),
            input=data,
            capture_output=True,
            check=False,
            env=environment,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{target.host}: no answer within {timeout_s:.0f} s"
        raise SshError(SshFailure.UNREACHABLE, message) from error
    answer = Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if answer.exit_code == OWN_FAILURE:
        raise make_error(target, answer.stderr)
    return answer


def make_error(target: SshTarget, said: str) -> SshError:
    """Return the error for what ssh wrote before it gave up (OpenSSH, sshconnect.c and sshconnect2.c)."""
    host = target.host
    if "HOST IDENTIFICATION HAS CHANGED" in said:
        return SshError(
            SshFailure.HOST_KEY_CHANGED,
            f"{host}: its host key is not the known one; it was installed anew, or it is another machine",
            hint=f"if it was installed anew: ssh-keygen -R {host}, with -f FILE for a known-hosts file of your own",
        )
    if "Host key verification failed" in said:
        return SshError(
            SshFailure.HOST_KEY_UNKNOWN,
            f"{host}: its host key is not known",
            hint="--known-hosts names the file that holds it; --accept-new takes the key of a host that was never seen",
        )
    if "Permission denied" in said or "Too many authentication failures" in said:
        return SshError(
            SshFailure.REFUSED,
            f"{host}: it does not let {target.user} in with the keys at hand",
            hint="--identity names the private key whose public half is in the image, --user the user that it is for",
        )
    lines = said.strip().splitlines()
    return SshError(SshFailure.UNREACHABLE, f"{host}: {lines[-1] if lines else 'ssh ended without a word'}")
