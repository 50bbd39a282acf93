"""A pool, and a machine with the agent that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.contextualize import UNPACK, make_archive
from b2ct.assets import Assets
from b2ct.render.agent_conf import AgentSettings
from b2ct.render.htcondor_pool import pool_identity
from tests.rigs.agent_machine import REPORT, AgentMachine
from tests.rigs.htcondor.pool import COLLECTOR, DOMAIN, Pool, start_machine, start_pool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = "CLOUD.Torino.it"
VOS = ("belle", "t2k.org")
BELLE = pool_identity("belle", SITE, DOMAIN)


@dataclass(frozen=True, slots=True)
class Node(AgentMachine):
    """A machine with the agent, HTCondor, and a network that ends at the pool."""

    def start(self, token: bytes, vo: str = "belle", flavour: str = "whole-node") -> None:
        """Hand over the token and the settings, and start the agent."""
        settings = AgentSettings(
            site=SITE,
            vo=vo,
            flavour=flavour,
            pilot_kind="htcondor",
            condor_collector=COLLECTOR,
            condor_domain=DOMAIN,
            heartbeat_s="2",
            report_file=REPORT,
            period_s=1,
        )
        self.container.tell("sh", "-c", "umask 077; cat >/etc/b2ct-vm/condor.token", data=token)
        self.container.tell("sh", "-c", UNPACK, data=make_archive(Assets(), settings))

    def call(self, script: str) -> str:
        """Run a Python script as the agent runs: root without capabilities; return its output."""
        run = ["systemd-run", "--wait", "--quiet", "--pipe", "-p", "CapabilityBoundingSet=", "python3", "-"]
        return self.container.tell(*run, data=script.encode())

    def said(self) -> str:
        """Return what the agent and HTCondor wrote."""
        logs = "tail -n 40 /var/lib/b2ct-vm-pilot/0/log/*Log*"
        return self.container.tell("sh", "-c", f"journalctl -u 'b2ct-vm-*' 2>&1; {logs} 2>&1 || :")


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    need_root()
    need_tool("systemd-nspawn", "nsenter", "mmdebstrap", "ip")
    with start_pool(tmp_path_factory.mktemp("pool") / "central", SITE, VOS) as pool:
        yield pool


@pytest.fixture
def node(pool: Pool, tmp_path: Path) -> Iterator[Node]:
    with start_machine(tmp_path / "node", "worker") as container:
        pool.connect(container)
        container.tell("mkdir", "-p", "/etc/b2ct-vm")
        yield Node(container, tmp_path / "node/upper")
    pool.clean_up()
