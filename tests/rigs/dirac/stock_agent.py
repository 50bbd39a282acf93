"""Runs DIRAC's own VirtualMachineMonitorAgent step by step, under DIRAC's Python.

Each line on standard input is a step, ``initialize``, ``execute`` or ``halt``, and is answered with a line of JSON.
What the agent wants to give to a shell is only told.
"""

from __future__ import annotations

import json
import os
import sys

import DIRAC  # type: ignore[import-not-found]  # only DIRAC's Python has it

DIRAC.initialize()

# DIRAC has to know its configuration before
from DIRAC.Core.Utilities import Network  # type: ignore[import-not-found]  # noqa: E402
from DIRAC.WorkloadManagementSystem.Agent import (  # type: ignore[import-not-found]  # noqa: E402
    VirtualMachineMonitorAgent as Module,
)

NAME = "WorkloadManagement/VirtualMachineMonitorAgent"
shell: list[str] = []
"""What a shell was asked for: ``halt`` would be this machine's own end."""
os.system = shell.append  # type: ignore[assignment]  # its result is of no interest
Network.discoverInterfaces = lambda: {"eth0": {"ip": "10.0.0.5"}}

agent = Module.VirtualMachineMonitorAgent(NAME, NAME)
steps = {
    "initialize": agent.am_initialize,
    "execute": agent.execute,
    "halt": agent._VirtualMachineMonitorAgent__haltInstance,  # noqa: SLF001 - the oracle is the whole agent
}
for line in sys.stdin:
    result = steps[line.strip()]()
    answer = {"ok": result is None or bool(result["OK"]), "shell": shell, "root": DIRAC.rootPath}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
