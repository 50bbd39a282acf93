"""The agent as it is shipped asks by itself, and is ready when its site has answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from b2ct.apply.agent import build_agent
from b2ct.assets import Assets
from tests.integration.credentials.conftest import TOKEN
from tests.integration.credentials.test_loop import DIRAC
from tests.rigs.dirac.certificates import issue, make_authority, write_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.credentials.conftest import Place

PATIENCE_S = 40.0
CONTEXT = {
    "B2CT_CREDENTIALS": "onegate",
    "B2CT_VO": "belle",
    "B2CT_DIRAC_SITE": "CLOUD.Torino.it",
    "B2CT_DIRAC_MANAGER": "dips://127.0.0.1:1/WorkloadManagement/VirtualMachineManager",
    "B2CT_PERIOD_S": "1",
    "B2CT_STOP": "never",
}


@contextmanager
def running(root: Path) -> Iterator[None]:
    """Run the agent below a folder until the context ends."""
    zipapp = root / "agent.pyz"
    zipapp.write_bytes(build_agent(Assets()))
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-I", zipapp, "--root", root, "run"], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def wait_for(root: Path, words: str) -> dict[str, Any]:
    """Return the check of credentials as soon as its detail holds some words."""
    deadline = time.monotonic() + PATIENCE_S
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        try:
            document = json.loads((root / "run/b2ct-vm/status.json").read_text())
            (found,) = (one for one in document["checks"] if one["name"] == "credentials")
        except FileNotFoundError:
            pass
        if words in found.get("detail", ""):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found}\n{(root / 'log').read_text()}")


def test_it_asks_waits_and_is_answered(place: Place) -> None:
    authority = make_authority("Rig CA")
    issue(authority, "vm.site.example", place.folder / "host")
    place.write_site(DIRAC)
    number = place.start_vm(place.make_template())
    root = place.folder / "machine"
    write_authority(authority, root / "etc/grid-security/certificates")
    (root / "run/b2ct-vm").mkdir(parents=True)
    (root / "var/lib/b2ct-vm").mkdir(parents=True)
    context = {**CONTEXT, "VMID": str(number), "ONEGATE_ENDPOINT": place.gate.endpoint}
    (root / "run/b2ct-vm/context.sh").write_text("".join(f"{name}='{text}'\n" for name, text in context.items()))
    (root / "run/b2ct-vm/token.txt").write_text(TOKEN)
    with running(root):
        assert wait_for(root, "has not answered")["state"] == "failed"
        deadline = time.monotonic() + PATIENCE_S
        while place.acts()[number][0] != "answer" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert wait_for(root, "hours left")["state"] == "ok"
    told = dict(place.gate.machines[number].attributes)
    assert {"B2CT_REQUEST", "B2CT_ANSWER", "B2CT_AGENT", "READY"} <= told.keys()
    key = (root / "var/lib/b2ct-vm/credentials/hostkey.pem").read_text().splitlines()[5]
    assert key not in (root / "log").read_text() + json.dumps(told)
    assert TOKEN not in (root / "log").read_text()
