"""A site with a replaying front-end of each version, for the tests of import-templates."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from b2ct.apply.opennebula.client import OneClient
from b2ct.assets import Assets
from b2ct.cli import main as cli
from tests.rigs.opennebula import more_objects  # noqa: F401 - it registers its calls
from tests.rigs.opennebula.server import OpenNebulaServer
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VM = {"bundle": "belle2-worker", "vo": "belle", "guest": "debian12", "name": "worker"}
READING = ("info", "version", "config")


@dataclass
class Case:
    """A site, its folder, and its front-end."""

    one: OpenNebulaServer
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def write_site(self, *vms: dict[str, Any], **top: Any) -> None:  # noqa: ANN401 - any YAML value
        one = {"version": "7.2", "endpoint": self.one.endpoint, "onegate": "true", **top.pop("opennebula", {})}
        (self.folder / "site.yaml").write_text(json.dumps({**SITE, "vms": list(vms), "opennebula": one, **top}))

    def run(self, *arguments: str, command: str = "import-templates") -> tuple[int, str, str]:
        site = str(self.folder / "site.yaml")
        commands = {
            "remove": ["bundle", "remove", *arguments, "--site", site],
            "render": ["bundle", "render", site, *arguments],
        }
        words = commands.get(command, [command, site, *arguments])
        code = cli.main(words)
        out, err = self.capsys.readouterr()
        return code, out, err

    def steps(self, *arguments: str) -> dict[str, str]:
        """Return what each step is, by kind and name; the command has to succeed."""
        code, out, err = self.run("--json", *arguments)
        assert code == 0, out + err
        return {f"{step['kind']} {step['name']}": step["verb"] for step in json.loads(out)["steps"]}

    def make_image(self, name: str) -> None:
        path = self.folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        raw = self.folder / "disk.raw"
        raw.write_bytes(bytes(510) + b"\x55\xaa")  # a boot record: without one, nobody would publish it
        run_tool(["qemu-img", "resize", "-q", "-f", "raw", raw, "64M"])
        run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path])

    def make_bundle(self, version: str, image_version: str) -> None:
        """Write a version of belle2-worker into the site's bundles/."""
        target = self.folder / "bundles" / "belle2-worker" / version
        source = Assets().path("templates/belle2-worker/bundle.yaml").parent
        shutil.copytree(source, target)
        manifest = yaml.safe_load((target / "bundle.yaml").read_text())
        manifest["version"] = version
        for image in manifest["images"]:
            image["version"] = image_version
        (target / "bundle.yaml").write_text(json.dumps(manifest))
        self.make_image(f"worker-debian12-{image_version}.qcow2")

    def templates(self) -> dict[str, Any]:
        pool = OneClient(self.one.endpoint, self.one.session).call("templatepool.info", -2, -1, -1)
        return {item.NAME: item for item in pool.VMTEMPLATE}

    def writes(self) -> list[str]:
        return [name for name in self.one.methods() if name.split(".")[1] not in READING]


@pytest.fixture(params=["6.10", "7.4"])
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Case]:
    need_tool("qemu-img")
    with OpenNebulaServer(version=request.param) as one:
        (tmp_path / "one_auth").write_text(f"{one.session}\n")
        monkeypatch.setenv("ONE_AUTH", str(tmp_path / "one_auth"))
        made = Case(one, tmp_path, capsys)
        made.write_site(VM)
        made.make_image("worker-debian12-1.0.0.qcow2")
        yield made
