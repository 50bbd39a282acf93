"""A site with a front-end, OneGate and machines that ask for credentials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent.credentials import Credentials, settle_credentials
from b2ct_vmagent.onegate import OneGate
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import Settings

from b2ct.apply.opennebula.client import OneClient
from b2ct.cli import main as cli
from b2ct.plan.attributes import Attribute
from b2ct.render.opennebula import render_template
from tests.rigs.opennebula import more_objects  # noqa: F401 - it registers its calls
from tests.rigs.opennebula.onegate import OneGateServer
from tests.rigs.opennebula.server import OpenNebulaServer
from tests.rigs.tools import need_tool
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "onegate-token"  # noqa: S105 - of a pretended VM


@dataclass
class Guest:
    """A virtual machine: its files, and the part of its agent that asks."""

    id: int
    root: Path
    settings: Settings
    agent: Credentials

    def restart(self, gate: OneGateServer) -> None:
        """Begin anew with the same files, as after a reboot."""
        entry = OneGate(gate.endpoint, str(self.id), TOKEN)
        self.agent = Credentials(Paths(str(self.root)), self.settings, entry)

    def path(self, name: str) -> Path:
        """Return where a delivered file is: ``certificate``, ``key``, ``condor_token``, ``diracx_token``."""
        return self.root / str(getattr(settle_credentials(self.settings), name)).lstrip("/")


@dataclass
class Place:
    """A site, its folder, its front-end and OneGate."""

    one: OpenNebulaServer
    gate: OneGateServer
    folder: Path
    capsys: pytest.CaptureFixture[str]
    users: dict[str, str]
    """Sessions by user: ``belle`` and ``t2k`` are in the groups of these names."""

    def write_site(self, central: dict[str, Any], vos: tuple[str, ...] = ("belle",)) -> None:
        one = {"version": "7.2", "endpoint": self.one.endpoint}
        vo = [{"name": name, "cvmfs": [f"{name}.cern.ch"]} for name in vos]
        (self.folder / "site.yaml").write_text(
            json.dumps({**SITE, "opennebula": one, "vo": vo, "central": central}), encoding="utf-8"
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()  # what agents said
        code = cli.main(["credentials", str(self.folder / "site.yaml"), *arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def acts(self, *arguments: str) -> dict[int, tuple[str, str]]:
        """Return what happened to each machine, and why; the command has to succeed."""
        code, out, err = self.run("--json", *arguments)
        assert code == 0, out + err
        return {one["id"]: (one["act"], one["reason"]) for one in json.loads(out)["machines"]}

    def client(self, session: str = "") -> OneClient:
        return OneClient(self.one.endpoint, session or self.one.session)

    def make_template(self, vo: str = "belle", *, site: str = "torino", session: str = "", kind: str = "worker") -> int:
        """Make a VM template as an import does, in the VO's group."""
        context = (("B2CT_KIND", kind), ("B2CT_SITE", site), ("B2CT_VO", vo), ("TOKEN", "YES"))
        attributes = (
            Attribute("NAME", f"{vo}-{kind}"),
            Attribute("B2CT_SITE", site),
            Attribute("B2CT_SOURCE", "belle2-worker"),
            Attribute("CPU", "1"),
            Attribute("MEMORY", "128"),
            Attribute("CONTEXT", context),
        )
        number = self.client(session).call("template.allocate", render_template(attributes))
        group = next(one.ID for one in self.client().call("grouppool.info").GROUP if vo == one.NAME)
        self.client().call("template.chown", number, -1, group)
        self.client().call("template.chmod", number, 1, 1, 0, 1, 0, 0, 0, 0, 0)
        return int(number)

    def start_vm(self, template: int, user: str = "belle", extra: str = "") -> int:
        """Start a virtual machine and make it known to OneGate."""
        session = self.users.get(user, self.one.session)
        number = int(self.client(session).call("template.instantiate", template, "", False, extra))  # noqa: FBT003
        self.client().call("vm.info", number, False)  # noqa: FBT003 - it runs as soon as somebody looks
        self.gate.add_vm(number, TOKEN, cloud=self.one.cloud)
        return number

    def make_guest(self, number: int, **settings: Any) -> Guest:  # noqa: ANN401 - any setting
        root = self.folder / f"vm-{number}"
        root.mkdir()
        known = Settings(credentials="onegate", vmid=str(number), vo="belle", dirac_site="CLOUD.Rig.eu", **settings)
        entry = OneGate(self.gate.endpoint, str(number), TOKEN)
        return Guest(number, root, known, Credentials(Paths(str(root)), known, entry))


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Place]:
    """A place whose front-end is 7.4; ``indirect`` says another."""
    need_tool("openssl")
    version = getattr(request, "param", "7.4")
    with OpenNebulaServer(version=version) as one, OneGateServer(version) as gate:
        (tmp_path / "one_auth").write_text(f"{one.session}\n")
        monkeypatch.setenv("ONE_AUTH", str(tmp_path / "one_auth"))
        users = {name: one.add_user(name, groups=(one.add_group(name), 1)) for name in ("belle", "t2k")}
        yield Place(one, gate, tmp_path, capsys, users)
