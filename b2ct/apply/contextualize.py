"""Makes a worker of a machine that knows only an SSH key: copies the VM agent, starts it, waits until it is ready."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from b2ct.apply.agent import agent_files
from b2ct.apply.ssh import Answer, SshError, SshFailure, SshTarget, run_ssh
from b2ct.errors import RemoteError
from b2ct.plan.artifact import Artifact
from b2ct.render.agent_conf import AgentSettings, render_agent_conf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from b2ct.assets import Assets

CONF_PATH = "etc/b2ct-vm/agent.conf"
POLL_S = 1.0
REFUSAL_PATIENCE_S = 30.0
"""A machine that has just booted may answer before its keys are in place."""
PROBE_TIMEOUT_S = 30.0
INSTALL_TIMEOUT_S = 450.0
"""Formatting a scratch disk takes its time."""

UNPACK = 'umask 077; d=$(mktemp -d) || exit 1; trap "rm -rf $d" EXIT; tar -x -f - -C "$d" && sh "$d/install.sh" "$d"'
"""One line, without a single quote: every login shell passes it on as it is."""


@dataclass(frozen=True, slots=True)
class ContextualizeRequest:
    """What to make of which machine, and how long that may take altogether, seconds."""

    target: SshTarget
    settings: AgentSettings
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ContextualizeReport:
    """What was done: the worker is ready."""

    host: str
    changed: tuple[str, ...]
    """Every file and unit that was changed; empty when all was as it has to be."""
    checks: tuple[tuple[str, str, str], ...]
    """The agent's checks: name, ``ok``, ``warning`` or ``skipped``, and detail."""


class RunSsh(Protocol):
    """Runs a command on a machine: :func:`b2ct.apply.ssh.run_ssh`."""

    def __call__(self, target: SshTarget, command: str, data: bytes, timeout_s: float) -> Answer:
        """Return the answer; raises SshError."""


def contextualize_host(request: ContextualizeRequest, assets: Assets, *, ssh: RunSsh = run_ssh) -> ContextualizeReport:
    """Wait for the machine, install and start the agent, wait until it says that the worker is ready.

    A second run changes nothing.

    Raises:
        SshError: it cannot be reached, its host key is not the known one, or it refuses the key.
        RemoteError: it lacks what the agent needs, or is not ready when the time is over.
        QuotingError: a setting cannot be written into agent.conf.
    """
    target, deadline_s = request.target, time.monotonic() + request.timeout_s
    archive = make_archive(assets, request.settings)
    found = _wait_for_ssh(target, _read(assets, "probe.sh"), deadline_s, ssh)
    prefix = _need(target, found)
    answer = ssh(target, f"{prefix}sh -c '{UNPACK}'", archive, INSTALL_TIMEOUT_S)
    if answer.exit_code != 0 or "b2ct:installed" not in answer.stdout.splitlines():
        said = (answer.stderr.strip() or answer.stdout.strip())[-500:]
        raise RemoteError(f"{target.host}: the agent could not be installed: {said or 'no reason was given'}")
    changed = tuple(re.findall(r"^b2ct:changed (.+)$", answer.stdout, re.MULTILINE))
    status = _wait_for_agent(target, f"{prefix}/usr/bin/b2ct-agent status --json", deadline_s, ssh)
    return ContextualizeReport(target.host, changed, _checks(status))


def make_archive(assets: Assets, settings: AgentSettings) -> bytes:
    """Return the tar archive that is sent: ``tree/`` with every file, their list, its checksums, and what installs it.

    Raises:
        QuotingError: a setting cannot be written into agent.conf.
    """
    conf = Artifact(CONF_PATH, render_agent_conf(settings).encode(), 0o600)
    files = (*(file for file in agent_files(assets) if file.path != CONF_PATH), conf)
    members = {f"tree/{file.path}": file.data for file in files}
    members["FILES"] = "".join(f"{file.mode:o} {file.path}\n" for file in files).encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
    members["SHA256SUMS"] = sums.encode()
    members["install.sh"] = _read(assets, "install.sh")  # the last: a truncated archive has none
    return _tar(members)


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _read(assets: Assets, name: str) -> bytes:
    return assets.path(f"vmagent/remote/{name}").read_bytes()


def _wait_for_ssh(target: SshTarget, probe: bytes, deadline_s: float, ssh: RunSsh) -> frozenset[str]:
    """Return what the machine has, as soon as it answers; a host key that is wrong is not waited for."""
    refused_since_s: float | None = None
    while True:
        try:
            answer = ssh(target, "sh -s", probe, PROBE_TIMEOUT_S)
        except SshError as error:
            now_s = time.monotonic()
            if error.failure is SshFailure.REFUSED and refused_since_s is None:
                refused_since_s = now_s
            patience_s = deadline_s
            if error.failure is SshFailure.REFUSED and refused_since_s is not None:
                patience_s = min(deadline_s, refused_since_s + REFUSAL_PATIENCE_S)
            if error.failure in {SshFailure.HOST_KEY_CHANGED, SshFailure.HOST_KEY_UNKNOWN} or now_s >= patience_s:
                raise
            time.sleep(POLL_S)
        else:
            return frozenset(re.findall(r"^b2ct:have (\S+)$", answer.stdout, re.MULTILINE))


def _need(target: SshTarget, found: frozenset[str]) -> str:
    """Return what has to stand before a command that root runs.

    Raises:
        RemoteError: the machine lacks something that the agent needs.
    """
    host = target.host
    if "shell" not in found:
        raise RemoteError(f"{host}: {target.user} gets no POSIX shell there", hint="log in as another user")
    if not found & {"root", "sudo"}:
        hint = f"log in as root, or allow `{target.user} ALL=(ALL) NOPASSWD: ALL` in sudoers"
        raise RemoteError(f"{host}: {target.user} cannot become root without a password", hint=hint)
    if "systemd" not in found:
        raise RemoteError(f"{host}: it does not run systemd, which starts the agent")
    if "python" not in found:
        hint = "install the package python3 there (python3-minimal is not enough), better in the image"
        raise RemoteError(f"{host}: it has no Python 3.6 or later with its standard library", hint=hint)
    missing = sorted({"tar", "sha256sum", "stat", "mktemp"} - found)
    if missing:
        raise RemoteError(f"{host}: it has no {', '.join(missing)}", hint="install the packages tar and coreutils")
    return "" if "root" in found else "sudo -n "


def _wait_for_agent(target: SshTarget, command: str, deadline_s: float, ssh: RunSsh) -> dict[str, Any]:
    """Return the agent's status once it is ready.

    Raises:
        RemoteError: a setting is wrong, or the time is over; says what fails.
    """
    last = "the agent has not written its status"
    while True:
        try:
            status = _parse_status(ssh(target, command, b"", PROBE_TIMEOUT_S))
        except SshError as error:
            status, last = None, str(error)
        if status is not None:
            if status["ready"]:
                return status
            last = f"the agent says: {status['error']}"
            if any(check[0] == "settings" and check[1] == "failed" for check in _checks(status)):
                raise RemoteError(f"{target.host}: {last}", hint="nothing waits for a setting that is wrong")
        if time.monotonic() >= deadline_s:
            hint = "journalctl -u b2ct-vm-agent on the machine says more; a second run goes on from here"
            raise RemoteError(f"{target.host}: not ready in time; {last}", hint=hint)
        time.sleep(POLL_S)


def _parse_status(answer: Answer) -> dict[str, Any] | None:
    """Return the status document, None if the agent has none yet."""
    for line in answer.stdout.splitlines():
        if line.startswith('{"format": 2,'):
            document: dict[str, Any] = json.loads(line)
            return document
    return None


def _checks(status: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    checks: Sequence[dict[str, str]] = status["checks"]
    return tuple((check["name"], check["state"], check["detail"]) for check in checks)
