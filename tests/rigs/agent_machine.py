"""A machine in a container in which the agent runs: what it reports, and when it turns itself off."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rigs.container import Container

REPORT = "/var/lib/b2ct-vm/report.json"
"""What the setting ``report_file`` has to be."""
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class AgentMachine:
    """A machine with the agent, and the folder that outlives it."""

    container: Container
    written: Path
    """What the machine wrote to its disk, as this machine sees it."""

    def said(self) -> str:
        """Return what the agent and its pilots wrote."""
        return self.container.tell("journalctl", "-u", "b2ct-vm-*")

    def report(self) -> dict[str, Any]:
        """Return the newest report; also when the machine is gone."""
        document: dict[str, Any] = json.loads((self.written / REPORT[1:]).read_text(encoding="utf-8"))
        return document

    def wait_report(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first report of which ``holds`` is true."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                report = self.report()
                if holds(report):
                    return report
            time.sleep(0.2)
        raise AssertionError(f"{self.report()}\n{self.said()}")

    def wait_gone(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the machine has turned itself off."""
        deadline = time.monotonic() + timeout_s
        while Path(f"/proc/{self.container.leader}").exists():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)
