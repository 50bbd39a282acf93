"""Reports to DIRAC with every Python from 3.6 on: TLS, its errors and their words differ between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import b2ct_vmagent
import pytest

from tests.integration.vmagent.conftest import find_python
from tests.rigs.dirac.configuration import SETUP, VO
from tests.rigs.interpreters import make_python
from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from tests.rigs.dirac.central import Central

SCRIPT = """
import json, sys
sources, url, private, ca_path, setup, vo = sys.argv[1:]
sys.path.insert(0, sources)
from b2ct_vmagent.diset import Diset
from b2ct_vmagent.reports import News, ReportError
from b2ct_vmagent.vmdirac import Instance, VmDirac, make_endpoint

def report(who, **more):
    manager = Diset(url, private + "/" + who + ".pem", private + "/" + who + ".key", ca_path, setup, vo, timeout_s=10.0)
    uid = "python-{}.{}".format(*sys.version_info)
    instance = Instance(uid, "one-7", "el9", make_endpoint("CLOUD.Rig.eu", "one.rig.eu"), vo)
    try:
        return VmDirac(manager._replace(**more), instance).report(News(load=1, moved_bytes=6 << 30)).name
    except ReportError as error:
        return [str(error), error.refused]

found = [report("vm"), report("vmbad"), report("vmold"), report("vmother"), report("vm", ca_path="/etc/hostname")]
found += [report("vm", url=url.replace("localhost", "127.0.0.2")), report("vm", url="dips://localhost:1/A/B")]
print(json.dumps(found))
"""


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_reports_and_tells_what_is_wrong(central: Central, version: str) -> None:
    python = find_python(version) or make_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here, nor in any suite on Debian's mirrors")
    private = central.identities["vm"].certificate.parent
    sources = Path(b2ct_vmagent.__file__).parents[1]
    argv = [python, "-I", "-W", "error", "-c", SCRIPT, sources, central.url(), private, central.ca_path, SETUP, VO]
    told, unknown, old, other, authority, name, absent = json.loads(run_tool([str(word) for word in argv]))
    assert told == "NONE"
    for error, words in (
        (unknown, "VmRpcOperation"),
        (old, "it does not take our certificate"),
        (other, "it does not take our certificate"),
        (authority, "no certificates of CAs"),
        (name, "its certificate does not hold"),
    ):
        assert words in error[0]
        assert error[1] is True
    assert absent == ["localhost:1/A/B: the connection is refused: nothing listens there", False]
