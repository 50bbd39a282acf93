"""Runs the Configuration Service of DIRAC 9 on loopback: no setups, and answers in JSON."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.cache import make_cached
from tests.rigs.dirac.certificates import Identity, issue, make_authority, name_of, write_authority
from tests.rigs.dirac.configuration import render_cfg
from tests.rigs.process import RigError, run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rigs.dirac.configuration import Section

VERSION = "9.1.22"
REQUIREMENTS = Path(__file__).with_name("dirac9.txt")
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Dirac9:
    """A running configuration server."""

    url: str
    ca_path: Path
    identities: dict[str, Identity]
    """``host`` (administrator) and ``vm``."""


@contextmanager
def start_dirac9(folder: Path) -> Iterator[Dirac9]:
    """Run it below ``folder``, which is empty, until the context ends; skips or fails the test without its tools."""
    need_tool("/usr/bin/python3", "openssl", "swig", "g++")
    software = make_cached("dirac9", (VERSION, REQUIREMENTS.read_bytes()), _build)
    security = folder / "grid-security"
    (security / "private").mkdir(parents=True, mode=0o700)
    for name in ("etc", "work", "home", "grid-security/vomsdir"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    authority = make_authority("Rig CA")
    write_authority(authority, security / "certificates")
    host = issue(authority, "localhost", security / "private/host", addresses="127.0.0.1")
    vm = issue(authority, "vm.site.example", security / "private/vm")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"dips://localhost:{port}/Configuration/Server"
    (folder / "etc/dirac.cfg").write_text(render_cfg(_make_local(folder, host, url, port)))
    (folder / "etc/Rig9.cfg").write_text(render_cfg(_make_served(url)))
    with _run(folder, software, port):
        yield Dirac9(url, security / "certificates", {"host": host, "vm": vm})


def _build(folder: Path) -> None:
    """Fill ``folder``, which will move; M2Crypto is compiled, for a minute."""
    run_tool(["/usr/bin/python3", "-m", "venv", folder])
    pip: list[str | Path] = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_tool([*pip, "--requirement", REQUIREMENTS])
    run_tool([*pip, "--no-deps", f"DIRAC=={VERSION}", f"DIRACCommon==v{VERSION}"])


def _make_local(folder: Path, host: Identity, url: str, port: int) -> Section:
    rules = {"Default": "authenticated", "commitNewData": "CSAdministrator"}
    handler = "DIRAC/ConfigurationSystem/Service/ConfigurationHandler.py"
    return {
        "DIRAC": {
            "Hostname": "localhost",
            "VirtualOrganization": "rigvo",
            "Security": {
                "UseServerCertificate": "yes",
                "CertFile": str(host.certificate),
                "KeyFile": str(host.key),
                "Grid-Security": str(folder / "grid-security"),
            },
            "Configuration": {"Servers": url, "Master": "yes", "Name": "Rig9"},
        },
        "Systems": {
            "Configuration": {"Services": {"Server": {"Port": port, "HandlerPath": handler, "Authorization": rules}}}
        },
    }


def _make_served(url: str) -> Section:
    first = {"Name": "Rig9", "Version": "2020-01-01 00:00:00.000000", "MasterServer": url, "Servers": url}
    hosts = {
        "localhost": {"DN": name_of("localhost"), "Properties": "TrustedHost, CSAdministrator, Operator"},
        "vm.site.example": {"DN": name_of("vm.site.example"), "Properties": "GenericPilot, LimitedDelegation"},
    }
    return {
        "DIRAC": {"Configuration": first},
        "Registry": {"Hosts": hosts},
        "Operations": {"Defaults": {"Pilot": {"Version": VERSION}}},
    }


@contextmanager
def _run(folder: Path, software: Path, port: int) -> Iterator[None]:
    environment = {
        "PATH": f"{software / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "DIRAC": str(folder),
        "DIRAC_ROOT_PATH": str(folder),
        "DIRACSYSCONFIG": str(folder / "etc/dirac.cfg"),
        "X509_CERT_DIR": str(folder / "grid-security/certificates"),
        "X509_VOMS_DIR": str(folder / "grid-security/vomsdir"),
    }
    start = "from DIRAC.Core.scripts.dirac_service import main; main()"
    words = ["Configuration/Server", "--cfg", str(folder / "etc/dirac.cfg")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [software / "bin/python", "-c", start, *words],
            cwd=folder / "work",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "log")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    due_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < due_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RigError(f"DIRAC 9 does not run:\n{log.read_text(errors='replace')[-3000:]}")
