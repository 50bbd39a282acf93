"""A MariaDB with DIRAC's databases, on loopback, below one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rigs.cache import make_cached
from tests.rigs.dirac.software import VERSION, find_sources
from tests.rigs.process import RigError, run_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD = "Dirac", "rig"
DATABASES = {
    "JobDB": "WorkloadManagementSystem",
    "JobLoggingDB": "WorkloadManagementSystem",
    "TaskQueueDB": "WorkloadManagementSystem",
    "PilotAgentsDB": "WorkloadManagementSystem",
    "SandboxMetadataDB": "WorkloadManagementSystem",
    "VirtualMachineDB": "WorkloadManagementSystem",
    "ProxyDB": "FrameworkSystem",
}
"""Each with the system whose folder holds its tables."""
START_S = 60.0
_SMALL = ("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M")


@dataclass(frozen=True, slots=True)
class Database:
    """A running server."""

    socket: Path

    def ask(self, statement: str, database: str = "VirtualMachineDB") -> list[tuple[str, ...]]:
        """The rows that a statement gives, as text; NULL is ``NULL``."""
        output = run_tool([*self._client(), "--batch", "--skip-column-names", "--execute", statement, database])
        return [tuple(line.split("\t")) for line in output.splitlines()]

    def feed(self, text: str) -> None:
        """Run a file of statements."""
        subprocess.run(self._client(), input=text, text=True, check=True)

    def _client(self) -> list[str]:
        return ["mariadb", "--no-defaults", "--user=root", f"--socket={self.socket}"]


@contextmanager
def run_database(software: Path, folder: Path, port: int) -> Iterator[Database]:
    """Run a server with DIRAC's databases, all of them empty, on ``port`` until the context ends."""
    version = run_tool(["mariadbd", "--version"])
    ingredients = (VERSION, version, Path(__file__).read_bytes())
    kept = make_cached("dirac-database", ingredients, lambda out: _make_databases(software, out))
    shutil.copytree(kept / "data", folder / "data")
    with _running(folder, "--bind-address=127.0.0.1", f"--port={port}") as database:
        yield database


def _make_databases(software: Path, out: Path) -> None:
    run_tool(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={out / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_SMALL,
            *_as_root(),
        ]
    )
    with _running(out, "--skip-networking") as database:
        for name, system in DATABASES.items():
            database.feed(
                f"CREATE DATABASE {name}; GRANT ALL ON {name}.* TO {USER}@127.0.0.1 IDENTIFIED BY '{PASSWORD}'"
            )
            tables = find_sources(software) / system / f"DB/{name}.sql"
            database.feed(f"USE {name};\n" + tables.read_text(encoding="utf-8"))


@contextmanager
def _running(folder: Path, *options: str) -> Iterator[Database]:
    database = Database(folder / "mariadb.sock")
    argv = [
        "mariadbd",
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        f"--socket={database.socket}",
        f"--pid-file={folder / 'mariadb.pid'}",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-flush-method=fsync",
        "--performance-schema=OFF",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--sql-mode=",
        *_SMALL,
        *_as_root(),
        *options,
    ]
    with (folder / "mariadb.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(process, database, folder / "mariadb.log")
        yield database
    finally:
        process.terminate()
        process.wait(START_S)


def _wait(process: subprocess.Popen[bytes], database: Database, log: Path) -> None:
    due_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < due_s:
        try:
            database.ask("SELECT 1", "")
        except RigError:
            time.sleep(0.1)
        else:
            return
    raise RigError(f"mariadbd did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _as_root() -> list[str]:
    """MariaDB runs under root's rights only when it is told to."""
    return ["--user=root"] if os.geteuid() == 0 else []
