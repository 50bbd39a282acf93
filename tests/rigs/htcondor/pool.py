"""HTCondor of Debian 13: a central manager with a queue, and machines that reach it, but that nothing reaches."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from b2ct.render.htcondor_pool import AUTHORIZATIONS, render_pool_config
from tests.rigs.cache import make_cached
from tests.rigs.container import Container, start_container
from tests.rigs.fresh import SUITE, find_mirror, read_sources
from tests.rigs.process import RigError, run_tool
from tests.rigs.tools import need_root, need_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

DOMAIN = "pool.example.org"
COLLECTOR = f"central.{DOMAIN}:9618"
CENTRAL, MACHINE = "10.99.0.1", "10.99.0.2"
PATIENCE_S = 60.0

_SUITE = "trixie"
_PACKAGES = ("condor", "dbus", "iproute2", "procps", "python3", "systemd", "systemd-sysv")
_TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup")
"""They would work beside the test."""

_CONFIG = f"""\
CONDOR_HOST = central.{DOMAIN}
TRUST_DOMAIN = {DOMAIN}
UID_DOMAIN = {DOMAIN}
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD
NETWORK_INTERFACE = {CENTRAL}
ENABLE_KERNEL_TUNING = False
NEGOTIATOR_INTERVAL = 3
NEGOTIATOR_MIN_INTERVAL = 3
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 3
COLLECTOR_DEBUG = D_MACHINE
"""
"""Beside these it is the package's own configuration (``use security:recommended_v9_0``), only quicker."""

_JOB = (
    "executable = job.sh",
    "copy_to_spool = true",
    "output = $(Cluster).out",
    "error = $(Cluster).err",
    "should_transfer_files = yes",
    "request_cpus = 1",
    "request_memory = 64",
    "request_disk = 1024",
)

_ONLY_OUTWARDS = f"""
ip rule add pref 100 to {MACHINE} ipproto tcp sport 9618 lookup main
ip rule add pref 101 to {MACHINE} blackhole
"""
"""Of all that goes to the machine, the central manager sends only answers."""


def make_condor_debian() -> Path:
    """Return a folder with a minimal Debian 13 that holds HTCondor; the first time it is installed, then cached."""
    need_tool("mmdebstrap")

    def install(out: Path) -> None:
        proxy = run_tool(["apt-config", "shell", "P", "Acquire::http::Proxy"])
        variables = {"http_proxy": proxy.split("'")[1]} if proxy else {}
        mirror = find_mirror(read_sources(), SUITE)
        words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
        run_tool([*words, _SUITE, out / "root", mirror], env=variables)
        wanted = out / "root/etc/systemd/system"
        for name in _TIMERS:
            (wanted / f"timers.target.wants/{name}.timer").unlink(missing_ok=True)
        (wanted / "multi-user.target.wants/condor.service").unlink(missing_ok=True)

    return make_cached("htcondor", (_SUITE, *_PACKAGES), install) / "root"


@dataclass(frozen=True, slots=True)
class Pool:
    """The running central manager."""

    central: Container

    def make_token(self, identity: str, lifetime_s: int = 3600, levels: Sequence[str] = AUTHORIZATIONS) -> bytes:
        """Return a token, signed by the pool; without ``levels`` it may do all that the pool allows the identity."""
        limits = [word for level in levels for word in ("-authz", level)]
        create = ["condor_token_create", "-identity", identity, "-lifetime", str(lifetime_s), *limits]
        return self.central.tell(*create).encode("ascii")

    def submit(self, script: str, *lines: str) -> str:
        """Have an ordinary user submit a job that runs ``script``; return its number.

        ``lines`` go into the submit file.
        """
        text = "\n".join([*_JOB, *lines, "queue", ""])
        self._as_user("umask 022; cat >job.sh", f"#!/bin/sh\n{script}\n")
        self._as_user("cat >job.sub", text)
        return self._as_user("condor_submit -terse job.sub").split(".")[0]

    def job_state(self, number: str) -> str:
        """Return ``idle``, ``running``, ``held`` and so on; ``done`` when it has left the queue."""
        names = {"": "done", "1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held", "6": "sending"}
        return names[self.central.tell("condor_q", "-allusers", number, "-af", "JobStatus").strip()]

    def output(self, number: str) -> str:
        """Return what a job wrote."""
        return self._as_user(f"cat {number}.out {number}.err")

    def clean_up(self) -> None:
        """Forget all jobs and all machines."""
        self.central.run(["condor_rm", "-all"])
        query = b'MyType = "Query"\nTargetType = "Machine"\nRequirements = True\n'
        self.central.tell("condor_advertise", "INVALIDATE_STARTD_ADS", data=query)

    def _as_user(self, command: str, text: str = "") -> str:
        return self.central.tell("su", "-", "someone", "-c", command, data=text.encode())

    def slots(self, constraint: str = "True") -> list[dict[str, Any]]:
        """Return the slots that the collector knows, as their attributes."""
        shown = self.central.tell("condor_status", "-json", "-constraint", constraint)
        slots: list[dict[str, Any]] = json.loads(shown or "[]")
        return slots

    def read_ad(self, name: str) -> dict[str, Any]:
        """Return any ad of the collector."""
        shown = self.central.tell("condor_status", "-any", "-json", "-constraint", f'Name == "{name}"')
        ads: list[dict[str, Any]] = json.loads(shown)
        return ads[0]

    def log(self) -> str:
        """Return what the collector has written down."""
        return self.central.tell("cat", "/var/log/condor/CollectorLog")

    def connect(self, machine: Container) -> None:
        """Give ``machine`` a network that ends at the central manager, who cannot open connections into it."""
        inside = ["ip", "link", "add", "b2ct0", "type", "veth", "peer", "name", "eth0", "netns", str(machine.leader)]
        run_tool(self.central.beside(inside))
        for container, card, address in ((self.central, "b2ct0", CENTRAL), (machine, "eth0", MACHINE)):
            run_tool(container.beside(["ip", "address", "add", f"{address}/24", "dev", card]))
            run_tool(container.beside(["ip", "link", "set", card, "up"]))


@contextlib.contextmanager
def start_machine(folder: Path, name: str) -> Iterator[Container]:
    """Boot a Debian with HTCondor, which does not run, until the context ends; it has no network yet."""
    need_root()
    with start_container(make_condor_debian(), folder) as container:
        hosts = f"127.0.0.1 localhost\n{CENTRAL} central.{DOMAIN} central\n{MACHINE} worker.example.org worker\n"
        container.tell("tee", "/etc/hosts", data=hosts.encode())
        container.tell("hostname", name)
        container.tell("tee", "/etc/hostname", data=f"{name}\n".encode())
        yield container


@contextlib.contextmanager
def start_pool(folder: Path, site: str, vos: Sequence[str]) -> Iterator[Pool]:
    """Run the central manager of a pool that takes a site's virtual machines, until the context ends."""
    with start_machine(folder, "central") as central:
        run_tool(central.beside(["ip", "address", "add", f"{CENTRAL}/32", "dev", "lo"]))
        run_tool(central.beside(["sh", "-ec", _ONLY_OUTWARDS]))
        central.tell("tee", "/etc/condor/config.d/50-pool.config", data=_CONFIG.encode())
        text = render_pool_config(site, vos, DOMAIN)
        central.tell("tee", f"/etc/condor/config.d/60-b2ct-{site}.config", data=text.encode())
        central.tell("useradd", "--create-home", "someone")
        central.tell("systemctl", "start", "condor")
        wait_until("the schedd is known", lambda: b"central" in central.run(["condor_status", "-schedd"]).stdout)
        yield Pool(central)


def wait_until(what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until ``holds``.

    Raises:
        RigError: it does not come so.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.3)
    raise RigError(f"in {patience_s:.0f} s it did not come so that {what}")
