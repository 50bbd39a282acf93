"""A machine that knows only SSH keys: a Debian in a container, its sshd reached by the real ssh client."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.ssh import SshTarget
from tests.rigs.container import Container, make_debian, start_container
from tests.rigs.process import run_tool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEOPLE = {
    "admin": "admin ALL=(ALL) NOPASSWD: ALL",
    "guest": "",
}
"""Users beside root, and what sudoers says about them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The running machine, the key that it knows, and what ssh was called with."""

    container: Container
    identity: Path
    stranger: Path
    """A private key that the machine does not know."""
    known_hosts: Path
    calls: Path
    """Every argument vector of ssh, one a line."""

    def target(self, user: str = "root") -> SshTarget:
        return SshTarget("127.0.0.1", user, identity=self.identity, known_hosts=self.known_hosts)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need_root()
    need_tool("systemd-nspawn", "debootstrap", "ssh", "ssh-keygen", "nsenter")
    folder = tmp_path_factory.mktemp("machine")
    for name in ("key", "stranger"):
        run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    with start_container(make_debian(), folder / "container") as container:
        container.tell("sh", "-c", "systemctl is-active --quiet ssh || systemctl start ssh")
        for user, rule in PEOPLE.items():
            container.tell("useradd", "--create-home", "--shell", "/bin/sh", user)
            container.tell("tee", f"/etc/sudoers.d/{user}", data=f"{rule}\n".encode())
        public = (folder / "key.pub").read_bytes()
        for home in ("/root", *(f"/home/{user}" for user in PEOPLE)):
            script = f"umask 077; mkdir -p {home}/.ssh; cat >{home}/.ssh/authorized_keys; "
            container.tell("sh", "-c", script + f"chown -R --reference={home} {home}/.ssh", data=public)
        host_key = container.tell("cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        (folder / "known_hosts").write_text(f"127.0.0.1 {host_key[0]} {host_key[1]}\n", encoding="ascii")
        yield Machine(container, folder / "key", folder / "stranger", folder / "known_hosts", folder / "calls")


@pytest.fixture
def machine(running: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine without an agent; ``ssh`` on PATH is the real one, run in the machine's network."""
    wrapper = tmp_path / "bin/ssh"
    wrapper.parent.mkdir()
    enter = " ".join(running.container.beside(["/usr/bin/ssh"]))
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{running.calls}\nexec {enter} "$@"\n', encoding="ascii")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    running.calls.write_text("", encoding="ascii")
    running.container.tell("sh", "-c", _CLEAN)
    return running


_CLEAN = """
systemctl disable --now --quiet b2ct-vm-agent.service b2ct-vm-scratch.service b2ct-vm-context.service 2>/dev/null || :
rm -rf /etc/b2ct-vm /usr/libexec/b2ct-vm /usr/bin/b2ct-agent /run/b2ct-vm /var/lib/b2ct-vm /etc/cvmfs
rm -f /usr/lib/systemd/system/b2ct-vm-* /usr/lib/tmpfiles.d/b2ct-vm.conf /usr/bin/cvmfs_config
systemctl daemon-reload
systemctl start ssh
"""
