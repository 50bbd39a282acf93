"""Starts DIRAC's services on loopback, on ports that are free, below one folder, and ends them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from b2ct_vmagent.diset import Diset

from tests.rigs.dirac.certificates import Identity, issue, make_authority, write_authority
from tests.rigs.dirac.configuration import (
    SERVICES,
    SETUP,
    SITE,
    SMALL,
    VM_HOST,
    VO,
    make_local,
    make_served,
    make_who,
    render_cfg,
    url_of,
)
from tests.rigs.dirac.database import Database, run_database
from tests.rigs.dirac.software import TOOLS, load_software
from tests.rigs.process import RigError
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.rigs.dirac.configuration import Section

MANAGER = "WorkloadManagement/VirtualMachineManager"
START_S = 60.0
END_S = 10.0
_OPTIMIZERS = "WorkloadManagement/Optimizers"
_PEOPLE = {"admin": "Rig Admin", "user": "Rig User"}


@dataclass(slots=True)
class Central:
    """A running DIRAC."""

    folder: Path
    """Holds all that it reads and writes; ``log/`` has a log for each service."""
    software: Path
    """The virtual environment that it runs from."""
    ports: Mapping[str, int]
    database: Database
    identities: Mapping[str, Identity]
    """``host`` (administrator), ``vm``, ``vmbad`` (unknown to the registry), ``vmold`` (out of date), ``vmother``
    (of another CA), ``admin``, ``user``."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def ca_path(self) -> Path:
        """The folder of CA certificates."""
        return self.folder / "grid-security/certificates"

    def url(self, service: str = MANAGER) -> str:
        """The URL of a service."""
        return url_of(service, self.ports)

    def diset(self, who: str = "host", service: str = MANAGER, timeout_s: float = 20.0) -> Diset:
        """A way to a service, as one of ``identities``."""
        one = self.identities[who]
        places = (str(one.certificate), str(one.key), str(self.ca_path))
        return Diset(self.url(service), *places, setup=SETUP, vo=VO, timeout_s=timeout_s)

    def start(self, *services: str, variables: Mapping[str, str] | None = None) -> None:
        """Start services, with more ``variables`` in their environment.

        One starts after the other, for two that make the same tables at once get in each other's way.

        Raises:
            RigError: one ended, or did not listen in a minute; carries the end of its log.
        """
        for service in services:
            kind = "executor" if service == _OPTIMIZERS else "service"
            options = ["--cfg", str(self.folder / "etc/dirac.cfg"), "-o", "LogLevel=VERBOSE"]
            argv = [str(self.software / f"bin/dirac-{kind}"), service, *options]
            with self.log(service).open("ab") as log:
                self.running[service] = subprocess.Popen(
                    argv,
                    cwd=self.folder / "work",
                    env={**self.environment(), **(variables or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if service in self.ports:
                self._wait(service)

    def stop(self, *services: str) -> None:
        """End services, and whatever they started."""
        for service in services:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running[service].pid, signal.SIGTERM)
        for service in services:
            process = self.running.pop(service)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextmanager
    def without(self, service: str) -> Iterator[None]:
        """Have a service down as long as the context lasts."""
        self.stop(service)
        try:
            yield
        finally:
            self.start(service)

    @contextmanager
    def answering_json(self, service: str) -> Iterator[None]:
        """Have a service answer as those of DIRAC 9 do, as long as the context lasts."""
        with self.without(service):
            self.start(service, variables={"DIRAC_USE_JSON_ENCODE": "yes"})
            try:
                yield
            finally:
                self.stop(service)

    def log(self, service: str) -> Path:
        """The log of a service."""
        return self.folder / "log" / (service.replace("/", "_") + ".log")

    def root(self, who: str) -> Path:
        """The folder that a program takes for its own when it runs as one of ``identities``."""
        return self.folder / "clients" / who

    def environment(self, who: str = "") -> dict[str, str]:
        """The environment of a program of DIRAC: of a service, or of one who uses DIRAC, see ``write_client``."""
        root = self.root(who) if who else self.folder
        one = self.identities.get(who)
        own = {"CERT": one.certificate, "KEY": one.key, "PROXY": root / "proxy"} if one and who in _PEOPLE else {}
        return {
            **{f"X509_USER_{name}": str(path) for name, path in own.items()},
            "PATH": f"{self.software / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "DIRAC": str(root),
            "DIRAC_ROOT_PATH": str(root),
            "DIRACSYSCONFIG": str(root / "etc/dirac.cfg"),
            "X509_CERT_DIR": str(self.ca_path),
            "X509_VOMS_DIR": str(self.folder / "grid-security/vomsdir"),
            "DIRAC_FEWER_CFG_LOCKS": "1",
        }

    def write_client(self, who: str, more: Section | None = None) -> None:
        """Write the configuration of one who uses this DIRAC, with further sections."""
        one = self.identities[who]
        section = make_who(self.folder, self.ports, one.certificate, one.key, person=who in _PEOPLE)
        (self.root(who) / "etc").mkdir(parents=True, exist_ok=True)
        sections = {"DIRAC": section, "LocalSite": {"Site": SITE}, **(more or {})}
        (self.root(who) / "etc/dirac.cfg").write_text(render_cfg(sections))

    def _wait(self, service: str) -> None:
        due_s = time.monotonic() + START_S
        while self.running[service].poll() is None and time.monotonic() < due_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.ports[service])) == 0:
                    return
            time.sleep(0.1)
        raise RigError(f"{service} does not run:\n{self.log(service).read_text(errors='replace')[-3000:]}")


@contextmanager
def start_dirac(folder: Path, services: Literal["vm", "all"] = "vm") -> Iterator[Central]:
    """Run DIRAC below ``folder``, which is empty, until the context ends; ``vm`` is just what a machine talks to.

    Skips or fails the test where a program is missing.
    """
    need_tool(*TOOLS)
    software = load_software()
    for name in ("etc", "log", "work", "home", "sandboxes", "database", "grid-security/vomsdir"):
        (folder / name).mkdir(parents=True)
    database_port, *free = _free_ports(len(SERVICES) + 1)
    ports = dict(zip(SERVICES, free, strict=True))
    identities = _make_identities(folder / "grid-security")
    (folder / "etc/dirac.cfg").write_text(render_cfg(make_local(folder, ports, database_port)))
    (folder / "etc/Rig.cfg").write_text(render_cfg(make_served(folder, ports)))
    with ExitStack() as stack:
        database = stack.enter_context(run_database(software, folder / "database", database_port))
        central = Central(folder, software, ports, database, identities)
        stack.callback(lambda: central.stop(*central.running))
        central.start(SMALL[0])
        central.start(*(SMALL[1:] if services == "vm" else (*SERVICES[1:], _OPTIMIZERS)))
        yield central


def _make_identities(grid_security: Path) -> dict[str, Identity]:
    private = grid_security / "private"
    private.mkdir(mode=0o700)
    authority = make_authority("Rig CA")
    write_authority(authority, grid_security / "certificates")
    identities = {
        "host": issue(authority, "localhost", private / "host", addresses="127.0.0.1"),
        "vm": issue(authority, VM_HOST, private / "vm"),
        "vmbad": issue(authority, "stranger.example", private / "vmbad"),
        "vmold": issue(authority, VM_HOST, private / "vmold", days=-1),
        "vmother": issue(make_authority("Other CA"), VM_HOST, private / "vmother"),
        **{name: issue(authority, full, private / name) for name, full in _PEOPLE.items()},
    }
    (grid_security / "hostcert.pem").symlink_to(identities["host"].certificate)
    (grid_security / "hostkey.pem").symlink_to(identities["host"].key)
    return identities


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
