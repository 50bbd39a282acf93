"""Jobs from submission to Done, in a pilot that our scripts start and drain: the whole workload management of DIRAC."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.dirac_pilot import make_pilot
from b2ct_vmagent.pilot_files import Slot
from b2ct_vmagent.settings import Settings

from tests.rigs.dirac import central as rig
from tests.rigs.dirac.central import start_dirac
from tests.rigs.dirac.configuration import CE, SETUP, SITE, VO
from tests.rigs.dirac.software import VERSION
from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from b2ct_vmagent.pilot_files import PilotFiles

    from tests.rigs.dirac.central import Central

pytestmark = pytest.mark.nightly

PATIENCE_S = 120.0
JOB = """[ Executable = "/bin/sleep"; Arguments = "{sleeps_s}"; JobName = "{name}"; JobType = "User"; CPUTime = 600;
StdOutput = "std.out"; StdError = "std.err"; Site = "{site}"; {more} ]"""
TWO_CORES = 'NumberOfProcessors = 2; Tags = {"2Processors", "MultiProcessor"};'


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    """All of DIRAC, with the site in the mask and a user whose proxy is there."""
    with start_dirac(tmp_path_factory.mktemp("all"), "all") as central:
        allowed = central.diset("host", "WorkloadManagement/WMSAdministrator").call("allowSite", SITE, "a test")
        assert allowed["OK"], allowed
        central.write_client("user")
        run_tool(["dirac-proxy-init", "-g", "rig_user", "-v", "240:00"], env=central.environment("user"))
        yield central


@dataclass(frozen=True, slots=True)
class Jobs:
    """What users see."""

    central: Central

    def submit(self, name: str, sleeps_s: int, more: str = "") -> str:
        path = self.central.folder / f"work/{name}.jdl"
        path.write_text(JOB.format(name=name, sleeps_s=sleeps_s, site=SITE, more=more))
        text = run_tool(["dirac-wms-job-submit", path], env=self.central.environment("user"))
        found = re.search(r"JobID = (\d+)", text)
        assert found, text
        self.wait(lambda: self.status(found[1]) == "Waiting")
        return found[1]

    def status(self, job: str) -> str:
        return {row[0]: row[1] for row in self.central.database.ask("SELECT JobID, Status FROM Jobs", "JobDB")}[job]

    def wait(self, wanted: Callable[[], bool]) -> None:
        due_s = time.monotonic() + PATIENCE_S
        while not wanted():
            assert time.monotonic() < due_s, self.central.database.ask("SELECT JobID, Status FROM Jobs", "JobDB")
            time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pilot's scripts are, and its home."""

    central: Central
    folder: Path
    pilot: PilotFiles

    def write(self) -> None:
        place, home = self.folder / "pilots/0", self.folder / "home"
        for one in (place, home):
            one.mkdir(parents=True)
        before = f"cd {shlex.quote(str(home))} || exit 1\n"
        (place / "start").write_text(before + self.pilot.start)
        (place / "drain").write_text(before + self.pilot.drain)
        for name, (text, mode) in self.pilot.files.items():
            (place / name).write_text(text)
            (place / name).chmod(mode)
        for name, source in self.pilot.copies:
            (place / name).write_bytes(Path(source).read_bytes())
            (place / name).chmod(0o400)

    def argv(self, script: str) -> list[str]:
        return ["/bin/sh", str(self.folder / "pilots/0" / script)]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "log").open("ab") as log:
            home = str(self.folder / "home")
            variables = {**self.central.environment("vm"), "HOME": home, "TMPDIR": home}
            process = subprocess.Popen(
                self.argv("start"), env=variables, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def payloads(self) -> set[str]:
        """The jobs that the agent would count."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            match = re.search(self.pilot.payloads, command)
            if match and str(self.folder) in command:
                found.add(match[1])
        return found


@pytest.fixture
def place(workload: Central, tmp_path: Path) -> Place:
    identity = workload.identities["vm"]
    settings = Settings(
        vo=VO,
        pilot_kind="dirac",
        dirac_pilot=str(Path(rig.__file__).with_name("standin_pilot.py")),
        dirac_servers=(workload.url("Configuration/Server"),),
        dirac_setup=SETUP,
        dirac_site=SITE,
        dirac_ce=CE,
        dirac_queue="worker",
        dirac_version=VERSION,
        pilot_isolation="process",
        certificate=str(identity.certificate),
        key=str(identity.key),
        ca_path=str(workload.ca_path),
    )
    slot = Slot(0, 2, 4000, str(tmp_path / "home"), "/mf", "/jf", "worker-7", "site-7-ab")
    made = Place(workload, tmp_path, make_pilot(settings, slot))
    made.write()
    return made


def test_jobs_run_the_largest_first_and_a_drained_pilot_ends_with_its_job(workload: Central, place: Place) -> None:
    jobs = Jobs(workload)
    small = jobs.submit("small", 3)
    large = jobs.submit("large", 25, TWO_CORES)
    with place.running() as process:
        jobs.wait(lambda: jobs.status(large) == "Running" and place.payloads() == {large})
        run_tool(place.argv("drain"))
        jobs.wait(lambda: process.poll() is not None)
        assert process.returncode == 0
    assert jobs.status(large) == "Done"
    assert jobs.status(small) == "Waiting"
    assert place.payloads() == set()

    with place.running() as process:
        jobs.wait(lambda: jobs.status(small) == "Done")
        run_tool(place.argv("drain"))
        jobs.wait(lambda: process.poll() is not None)
        assert process.returncode == 0
