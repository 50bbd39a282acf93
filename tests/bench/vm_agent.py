"""Weighs the VM agent against DIRAC's own VirtualMachineMonitorAgent: same run, same central service, nothing to do.

Command line: ``python tests/bench/vm_agent.py [--seconds N]``

Both tell a real VirtualMachineManager on loopback about a machine of theirs, with a heartbeat a minute, and look after
their machine in between: ours every ten seconds, DIRAC's every minute. Memory is what a process has for itself and its
share of the rest (PSS), and all of it (RSS), at the end; processor time is that of the process and of all that it
starts, over the seconds asked for, after half a minute to settle.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "vmagent")]

from b2ct.apply.agent import build_agent  # noqa: E402 - a script finds the checkout by itself
from b2ct.assets import Assets  # noqa: E402 - as above
from tests.rigs.dirac.central import Central, start_dirac  # noqa: E402 - as above
from tests.rigs.dirac.configuration import CE, SETUP, SITE, VO  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLE_S = 30.0
MACHINE = "bench-vm"
_CONF = """[agent]
site = bench
vo = {vo}
vmid = 7
hostname = ours
dirac_manager = {url}
dirac_site = {site}
dirac_ce = {ce}
dirac_setup = {setup}
certificate = {identity.certificate}
key = {identity.key}
ca_path = {ca_path}
heartbeat_s = 60
stop = never
"""
_OURS = """
import os, runpy, sys
os.kill = print
sys.argv = [sys.argv[1], "--root", sys.argv[2], "run"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Our agent, which has no way to turn this machine off."""
_STOCK = """
import os, sys
os.system = print
sys.argv = ["dirac-agent", "WorkloadManagement/VirtualMachineMonitorAgent", "-o", "LogLevel=INFO"]
from DIRAC.Core.scripts.dirac_agent import main
main()
"""
"""DIRAC's agent; what it would give to a shell, such as halt, is only printed."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What one agent needs."""

    rss_mib: float
    pss_mib: float
    cpu_ms_a_minute: float
    threads: int


@contextmanager
def run_ours(central: Central, folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run our agent as it is shipped, below a folder that stands for a machine."""
    zipapp = folder / "agent"
    zipapp.write_bytes(build_agent(Assets()))
    conf = folder / "root/etc/b2ct-vm/agent.conf"
    for place in (conf.parent, folder / "root/var/lib"):
        place.mkdir(parents=True)
    identity = central.identities["vm"]
    values = {"url": central.url(), "identity": identity, "ca_path": central.ca_path}
    conf.write_text(_CONF.format(vo=VO, site=SITE, ce=CE, setup=SETUP, **values))
    for file in (identity.certificate, identity.key):  # checks look below the machine's root, reports do not
        below = folder / "root" / file.relative_to("/")
        below.parent.mkdir(parents=True, exist_ok=True)
        below.write_bytes(file.read_bytes())
        below.chmod(0o600)
    argv = [sys.executable, "-I", "-c", _OURS, str(zipapp), str(folder / "root")]
    with _running(argv, folder / "ours.log", variables) as process:
        yield process


@contextmanager
def run_stock(central: Central, folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run DIRAC's agent for a machine that DIRAC has started."""
    inserted = central.diset().call("insertInstance", "bench-uid", "el9", MACHINE, f"{SITE}::{CE} (bench)", VO)
    if not inserted["OK"]:
        raise RuntimeError(inserted["Message"])
    central.write_client("vm", {"LocalSite": {"Site": SITE, "RunningPod": VO, "VMID": MACHINE}})
    environment = {**central.environment("vm"), "PATH": f"{central.software / 'bin'}:{variables['PATH']}"}
    with _running([str(central.software / "bin/python"), "-c", _STOCK], folder / "stock.log", environment) as process:
        yield process


@contextmanager
def _running(argv: list[str], log: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, env=variables, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{argv[0]} has ended:\n{log.read_text(errors='replace')[-3000:]}")
    finally:
        process.kill()
        process.wait()


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time of a process and of its children that have ended (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def weigh(process: subprocess.Popen[bytes], seconds: float, used_s: float) -> Weight:
    """What a process is now, and what it used in ``seconds``."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
    threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
    return Weight(sizes["Rss"] / 1024, sizes["Pss"] / 1024, used_s / seconds * 60_000, threads)


def measure(central: Central, folder: Path, seconds: float) -> dict[str, Weight]:
    """Run both at once and weigh them; checks that both were heard."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("halt", "poweroff", "systemctl"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    variables = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    with run_ours(central, folder, variables) as ours, run_stock(central, folder, variables) as stock:
        contenders = {"b2ct": ours, "DIRAC": stock}
        time.sleep(SETTLE_S)
        before = {name: cpu_s(process) for name, process in contenders.items()}
        time.sleep(seconds)
        found = {name: weigh(one, seconds, cpu_s(one) - before[name]) for name, one in contenders.items()}
    heard = central.database.ask("SELECT COUNT(*) FROM vm_History WHERE Status = 'Running' GROUP BY InstanceID")
    if len(heard) != len(contenders):
        logs = "".join((folder / f"{name}.log").read_text(errors="replace")[-2000:] for name in ("ours", "stock"))
        raise RuntimeError(f"not both were heard:\n{logs}")
    return found


def print_table(results: dict[str, Weight]) -> None:
    """Print a line for each contender, and ours as a ratio of the other."""
    names = list(Weight.__dataclass_fields__)
    print(f"{'':10}" + "".join(f"{name:>17}" for name in names))  # noqa: T201 - this is the output
    for contender, result in results.items():
        print(f"{contender:10}" + "".join(f"{getattr(result, name):17.2f}" for name in names))  # noqa: T201 - as above
    ratios = (getattr(results["b2ct"], name) / getattr(results["DIRAC"], name) for name in names)
    print(f"{'/ DIRAC':10}" + "".join(f"{ratio:17.3f}" for ratio in ratios))  # noqa: T201 - as above


def main() -> None:
    """Start DIRAC's central service and let the contenders run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=180)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="b2ct-bench-") as name:
        folder = Path(name)
        with start_dirac(folder / "dirac") as central:
            print_table(measure(central, folder, float(chosen.seconds)))


if __name__ == "__main__":
    main()
