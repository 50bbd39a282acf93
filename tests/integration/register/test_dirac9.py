"""register against the real Configuration Service of DIRAC 9, which has no setups and answers in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.registration.dirac import Dirac, Identity, read_snapshot
from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from b2ct.plan.dirac_cfg import get_option
from tests.integration.register.conftest import VMS, VO
from tests.rigs.dirac9 import start_dirac9
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from pathlib import Path

CE = ("Resources", "Sites", "CLOUD", "CLOUD.Torino.it", "CEs", "belle.cn01.to.infn.it")


@pytest.mark.nightly
def test_a_site_is_registered_checked_and_taken_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with start_dirac9(tmp_path / "dirac") as dirac:
        vm, host = dirac.identities["vm"], dirac.identities["host"]
        central = {
            "kind": "dirac",
            "version": "9",
            "configuration_servers": [dirac.url],
            "site_name": "CLOUD.Torino.it",
            "cloud": "https://one.to.infn.it:2634/RPC2",
            "certificate": f"file:{vm.certificate}",
            "key": f"file:{vm.key}",
            "ca_path": str(dirac.ca_path),
        }
        site = tmp_path / "site.yaml"
        site.write_text(json.dumps({**SITE, "vo": [VO], "vms": VMS, "central": central}))

        def run(*options: str, who: bool = True) -> tuple[int, str, str]:
            words = ["--certificate", str(host.certificate), "--key", str(host.key)] if who else []
            code = cli.main(["register", str(site), *options, *words])
            out, err = capsys.readouterr()
            return code, out, err

        code, _, err = run("--push", "--yes", who=False)
        assert (code, "only CSAdministrator" in err) == (ExitCode.REMOTE, True)
        code, out, err = run("--push", "--yes")
        assert code == 0, err
        assert f"+ /{'/'.join(CE)}/CEType = Cloud" in out
        ask = Dirac(Identity(host.certificate, host.key, dirac.ca_path))
        assert get_option(read_snapshot(ask, [dirac.url]).cfg, CE, "VO") == "belle"
        assert run("--push", "--yes")[1] == ""
        code, out, err = run("--check", who=False)
        assert "Registry" not in out
        assert "names no WMSAdministrator" in err
        assert run("--remove", "--yes")[0] == 0
        assert get_option(read_snapshot(ask, [dirac.url]).cfg, CE, "VO") is None
