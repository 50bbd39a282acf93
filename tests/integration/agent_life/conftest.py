"""A worker under a real systemd, in a container that may turn itself off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.contextualize import UNPACK, make_archive
from b2ct.assets import Assets
from b2ct.render.agent_conf import AgentSettings
from tests.rigs.agent_machine import REPORT, AgentMachine
from tests.rigs.container import Container, make_debian, start_container
from tests.rigs.fresh import SUITE
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator
    from pathlib import Path

UNTIL_SAID = "for i in $(seq 300); do journalctl -u 'b2ct-vm-*' | grep -q -- \"$1\" && exit 0; sleep 0.2; done; exit 1"


@dataclass(frozen=True, slots=True)
class Worker(AgentMachine):
    """A machine with the agent."""

    def configure(self, text: str) -> None:
        """Write agent.conf (the lines below ``[agent]``) and start the agent anew."""
        conf = f"[agent]\nsite = torino\nvo = belle\nperiod_s = 1\nheartbeat_s = 1\nreport_file = {REPORT}\n{text}"
        self.container.tell("sh", "-c", "umask 077; cat >/etc/b2ct-vm/agent.conf", data=conf.encode())
        self.container.tell("systemctl", "restart", "b2ct-vm-scratch", "b2ct-vm-agent")

    def wait_said(self, words: str) -> None:
        """Wait until the journal of the agent or its pilots holds ``words``."""
        self.container.tell("sh", "-c", UNTIL_SAID, "sh", words)


def boot(suite: str, folder: Path) -> contextlib.AbstractContextManager[Container]:
    need_root()
    need_tool("debootstrap", "systemd-nspawn", "nsenter")
    return start_container(make_debian(suite), folder)


@pytest.fixture(params=[SUITE, "trixie"])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Worker]:
    """A worker of each systemd that is here: 252 and 257."""
    with boot(request.param, tmp_path / "container") as container:
        container.tell("sh", "-c", UNPACK, data=make_archive(Assets(), AgentSettings()))
        yield Worker(container, tmp_path / "container/upper")


@pytest.fixture
def debian12_worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker of Debian 12 alone, for what does not depend on systemd's version."""
    with boot(SUITE, tmp_path / "container") as container:
        container.tell("sh", "-c", UNPACK, data=make_archive(Assets(), AgentSettings()))
        yield Worker(container, tmp_path / "container/upper")
