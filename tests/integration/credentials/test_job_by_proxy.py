"""A job runs to Done in a DIRAC pilot that shows a proxy, as its machine got it from its site."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.credentials import pilot_ca_path, settle_credentials
from b2ct_vmagent.dirac_pilot import make_pilot
from b2ct_vmagent.pilot_files import Slot

from tests.integration.credentials.test_loop import DIRAC
from tests.integration.dirac.test_job import Jobs
from tests.integration.dirac.test_job import Place as Pilot
from tests.rigs.dirac import central as rig
from tests.rigs.dirac.central import start_dirac
from tests.rigs.dirac.configuration import CE, SETUP, SITE, VO
from tests.rigs.dirac.software import VERSION
from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from tests.integration.credentials.conftest import Place

pytestmark = pytest.mark.nightly


def test_a_job_is_done_in_a_pilot_that_shows_a_proxy(place: Place, tmp_path: Path) -> None:
    with start_dirac(tmp_path / "dirac", "all") as central:
        central.diset("host", "WorkloadManagement/WMSAdministrator").call("allowSite", SITE, "a test")
        central.write_client("user")
        run_tool(["dirac-proxy-init", "-g", "rig_user", "-v", "240:00"], env=central.environment("user"))
        host = central.identities["vm"]
        place.write_site({**DIRAC, "certificate": f"file:{host.certificate}", "key": f"file:{host.key}"})
        guest = place.make_guest(place.start_vm(place.make_template()), pilot_kind="dirac", ca_path="/certificates")
        (guest.root / "certificates").symlink_to(central.ca_path)
        for _ in range(2):
            guest.agent.step(time.time())
            place.acts()
        assert guest.path("certificate").exists()
        settled = settle_credentials(guest.settings)
        settings = settled._replace(
            vo=VO,
            dirac_pilot=str(Path(rig.__file__).with_name("standin_pilot.py")),
            dirac_servers=(central.url("Configuration/Server"),),
            dirac_setup=SETUP,
            dirac_site=SITE,
            dirac_ce=CE,
            dirac_queue="worker",
            dirac_version=VERSION,
            pilot_isolation="process",
            certificate=str(guest.path("certificate")),
            key=str(guest.path("key")),
            ca_path=str(guest.root / pilot_ca_path(settled).lstrip("/")),
        )
        slot = Slot(0, 1, 4000, str(tmp_path / "pilot/home"), "/mf", "/jf", "worker-7", "site-7-ab")
        pilot = Pilot(central, tmp_path / "pilot", make_pilot(settings, slot))
        pilot.write()
        jobs = Jobs(central)
        job = jobs.submit("small", 3)
        with pilot.running() as process:
            jobs.wait(lambda: jobs.status(job) == "Done")
            run_tool(pilot.argv("drain"))
            jobs.wait(lambda: process.poll() is not None)
            assert process.returncode == 0
