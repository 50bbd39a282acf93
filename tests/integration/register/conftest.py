"""A site, and a real DIRAC that it registers with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from diraccfg import CFG

from b2ct.apply.registration.dirac import Dirac, Identity, Snapshot, commit, read_snapshot
from b2ct.apply.registration.register import plan_registration
from b2ct.cli import main as cli
from b2ct.plan.dirac_cfg import make_section, set_option
from b2ct.site.central import DiracScheduler
from b2ct.site.load import load_site
from tests.rigs.dirac.central import Central, start_dirac
from tests.rigs.dirac.configuration import SETUP
from tests.unit.plan.bundles import BUNDLES
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from b2ct.plan.registration import Registration

MASK = "WorkloadManagement/WMSAdministrator"
CONFIGURATION = "Configuration/Server"
VMS = [{"bundle": "belle2-worker", "vo": "belle", "cores": ["1", "8", "whole-node"]}]
VO = {"name": "belle", "cvmfs": ["belle.cern.ch"], "user": "belle", "password": "env:BELLE", "limits": {"vms": "40"}}


@dataclass
class Case:
    """A site, its folder, and its DIRAC."""

    dirac: Central
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def write_site(self, vms: list[dict[str, Any]] | None = None, **central: Any) -> None:  # noqa: ANN401 - YAML
        vm = self.dirac.identities["vm"]
        known = {
            "kind": "dirac",
            "version": "8",
            "setup": SETUP,
            "configuration_servers": [self.dirac.url(CONFIGURATION)],
            "site_name": "CLOUD.Torino.it",
            "cloud": "https://one.to.infn.it:2634/RPC2",
            "vm_manager": self.dirac.url(),
            "certificate": f"file:{vm.certificate}",
            "key": f"file:{vm.key}",
            "ca_path": str(self.dirac.ca_path),
        }
        site = {**SITE, "vo": [VO], "vms": VMS if vms is None else vms, "central": {**known, **central}}
        (self.folder / "site.yaml").write_text(json.dumps(site))

    def run(self, *options: str, who: str | None = "host") -> tuple[int, str, str]:
        """Register with the options, as one of the rig's identities; None: as the site file says."""
        words = ["register", str(self.folder / "site.yaml"), *options]
        if who:
            one = self.dirac.identities[who]
            words += ["--certificate", str(one.certificate), "--key", str(one.key)]
        code = cli.main(words)
        out, err = self.capsys.readouterr()
        return code, out, err

    def run_json(self, *options: str, who: str | None = "host") -> dict[str, Any]:
        _, out, err = self.run("--json", *options, who=who)
        document = json.loads(out)
        assert isinstance(document, dict)
        assert err == ""
        return document

    def ask(self, who: str = "host") -> Dirac:
        one = self.dirac.identities[who]
        return Dirac(Identity(one.certificate, one.key, self.dirac.ca_path), SETUP)

    def registration(self) -> Registration:
        """Return what the site file asks for."""
        site = load_site(self.folder / "site.yaml")
        assert isinstance(site.central, DiracScheduler)
        return plan_registration(site, site.central, self.folder / "site.yaml", BUNDLES, None)

    def read(self) -> Snapshot:
        return read_snapshot(self.ask(), [self.dirac.url(CONFIGURATION)])

    def change(self, path: tuple[str, ...], **options: str) -> None:
        """Change DIRAC's configuration as somebody else does."""
        before = self.read()
        after = before.cfg.clone()
        for name, value in options.items():
            set_option(make_section(after, path), name, value)
        commit(self.ask(), before, str(after))

    def restore(self, text: str) -> None:
        """Give the configuration back what it held, under its present version."""
        before = self.read()
        after = CFG().loadFromBuffer(text)
        set_option(make_section(after, ("DIRAC", "Configuration")), "Version", before.version)
        commit(self.ask(), before, str(after))


@pytest.fixture(scope="session")
def dirac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    with start_dirac(tmp_path_factory.mktemp("dirac") / "d") as central:
        central.start(MASK)
        yield central


@pytest.fixture
def case(
    dirac: Central, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Case]:
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    made = Case(dirac, tmp_path, capsys)
    made.write_site()
    before = str(made.read().cfg)
    yield made
    made.restore(before)
