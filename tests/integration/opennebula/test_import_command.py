"""import-templates and bundle remove, by the public command against a replaying front-end of each version."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from b2ct.apply.opennebula.client import OneClient
from b2ct.assets import Assets
from b2ct.cli import main as cli
from b2ct.errors import ExitCode
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
        words = ["bundle", "remove", *arguments, "--site", site] if command == "remove" else [command, site, *arguments]
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
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"])

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


def test_a_dry_run_shows_everything_and_changes_nothing(case: Case) -> None:
    code, out, err = case.run("--dry-run")
    assert code == 0
    assert ["create", "template", "worker-v1-0-0"] in [line.split() for line in out.splitlines()]
    assert "6 create" in out
    assert "this was a dry run" in err
    assert case.writes() == []


def test_an_import_brings_all_that_a_worker_needs_and_the_second_changes_nothing(case: Case) -> None:
    assert set(case.steps().values()) == {"create"}
    worker = case.templates()["worker"]
    assert (worker.GNAME, worker.PERMISSIONS.GROUP_U, worker.PERMISSIONS.OTHER_U) == ("belle", 1, 0)
    template = worker.TEMPLATE
    assert template["DISK"][0]["IMAGE"] == "worker-debian12-1.0.0"
    assert template["NIC"]["SECURITY_GROUPS"] != "0"
    assert "TOKEN" in template["CONTEXT"]
    assert base64.b64decode(template["CONTEXT"]["USERDATA"]).startswith(b"#cloud-config\n")
    image = case.one.cloud.find("image", case.one.image_id("worker-debian12-1.0.0") or 0)
    assert image.findtext("STATE") == "1"
    assert case.one.cloud.contents[0] == (case.folder / "images" / "worker-debian12-1.0.0.qcow2").read_bytes()
    before = len(case.writes())
    assert set(case.steps().values()) == {"keep"}
    assert len(case.writes()) == before


def test_an_upgrade_keeps_the_old_version_and_switching_back_needs_no_bundle(case: Case) -> None:
    case.steps()
    case.make_bundle("1.1.0", "1.1.0")
    steps = case.steps()
    assert steps["template worker-v1-1-0"] == "create"
    assert steps["image worker-debian12-1.1.0"] == "create"
    assert steps["template worker"] == "update"
    assert case.templates()["worker"].TEMPLATE["DISK"][0]["IMAGE"] == "worker-debian12-1.1.0"
    case.write_site({**VM, "version": "1.0.0"})
    assert case.steps()["template worker"] == "update"
    assert case.templates()["worker"].TEMPLATE["DISK"][0]["IMAGE"] == "worker-debian12-1.0.0"
    case.write_site({**VM, "version": "1.1.0"})
    shutil.rmtree(case.folder / "bundles")
    assert case.steps() == {
        "group belle": "keep",
        "vn private": "keep",
        "secgroup b2ct-torino-worker": "keep",
        "template worker-v1-1-0": "keep",
        "template worker": "update",
    }
    assert case.templates()["worker"].TEMPLATE["B2CT_VERSION"] == "1.1.0"
    assert set(case.steps().values()) == {"keep"}


def test_pruning_takes_what_nothing_uses_and_asks_first(case: Case) -> None:
    case.steps()
    case.make_bundle("1.1.0", "1.1.0")
    case.steps()
    code, _, err = case.run("--prune")
    assert code == ExitCode.USAGE
    assert "this removes template worker-v1-0-0, image worker-debian12-1.0.0" in err
    assert "worker-v1-0-0" in case.templates()
    steps = case.steps("--prune", "--yes")
    assert {name for name, verb in steps.items() if verb == "remove"} == {
        "template worker-v1-0-0",
        "image worker-debian12-1.0.0",
    }
    assert set(case.templates()) == {"worker", "worker-v1-1-0"}


def test_pruning_spares_an_image_that_somebody_uses(case: Case) -> None:
    case.steps()
    client = OneClient(case.one.endpoint, case.one.session)
    client.call("template.allocate", 'NAME="mine"\nDISK=[IMAGE="worker-debian12-1.0.0",IMAGE_UNAME="oneadmin"]')
    case.make_bundle("1.1.0", "1.1.0")
    case.steps()
    steps = case.steps("--prune", "--yes")
    assert (steps["template worker-v1-0-0"], steps["image worker-debian12-1.0.0"]) == ("remove", "keep")
    assert "mine" in case.templates()


def test_a_change_by_hand_is_shown_and_put_back(case: Case) -> None:
    case.steps()
    client = OneClient(case.one.endpoint, case.one.session)
    client.call("template.update", int(case.templates()["worker"].ID), 'CPU="7"', 1)
    code, out, _ = case.run()
    assert code == 0
    assert "changed by hand" in out
    assert "CPU: 7 -> 1" in out
    assert case.templates()["worker"].TEMPLATE["CPU"] == "1"


def test_an_ordinary_user_imports_for_itself(case: Case) -> None:
    case.steps()  # the network is there already
    (case.folder / "one_auth").write_text(case.one.add_user("alice"))
    case.write_site({**VM, "name": "hers"}, opennebula={"user": "alice"})
    steps = case.steps()
    assert (steps["vn private"], steps["template hers"]) == ("keep", "create")
    assert case.templates()["hers"].UNAME == "alice"
    assert "group belle" not in steps


def test_a_name_that_somebody_else_took_stops_everything(case: Case) -> None:
    OneClient(case.one.endpoint, case.one.session).call("template.allocate", 'NAME="worker"\nCPU="1"')
    before = len(case.writes())
    code, out, err = case.run()
    assert code == ExitCode.FAILED
    assert "refuse" in out
    assert "the name is taken by template 0 of oneadmin" in err
    assert "nothing was changed" in err
    assert len(case.writes()) == before


def test_a_missing_image_says_how_to_build_it(case: Case) -> None:
    shutil.rmtree(case.folder / "images")
    code, _, err = case.run()
    assert code == ExitCode.USAGE
    assert "worker-debian12-1.0.0.qcow2" in err
    assert "b2ct image build worker-debian12" in err


def test_an_image_on_the_front_end_outside_of_safe_dirs_is_explained(case: Case) -> None:
    case.one.cloud.files["/opt/worker-debian12-1.0.0.qcow2"] = b"image"
    code, _, err = case.run("--via", "front-end", "--front-end-folder", "/opt")
    assert code == ExitCode.REMOTE
    assert "SAFE_DIRS" in err
    assert "running it again does the rest" in err
    assert case.one.image_id("worker-debian12-1.0.0") is None  # cleaned up
    assert case.steps()["template worker"] == "create"  # resumed


def test_wrong_things_in_vms_are_told_with_their_lines(case: Case) -> None:
    case.write_site({**VM, "guest": "el5"}, {**VM, "bundle": "none"})
    code, _, err = case.run()
    assert code == ExitCode.SITE_FILE
    assert f"{case.folder}/site.yaml:1: vms.0.guest: belle2-worker has no guest el5" in err
    assert "vms.1.bundle: there is no bundle none" in err


@pytest.mark.parametrize("auth", [None, "no colon"])
def test_without_credentials_it_says_where_they_are_looked_for(
    case: Case, auth: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(case.folder))
    (case.folder / "one_auth").unlink()
    if auth:
        (case.folder / "one_auth").write_text(auth)
    code, _, err = case.run()
    assert code == ExitCode.USAGE
    assert "user:password" in err


def test_a_wrong_password_and_a_dead_front_end_are_remote_errors_without_the_password(case: Case) -> None:
    (case.folder / "one_auth").write_text("oneadmin:swordfish")
    code, out, err = case.run()
    assert code == ExitCode.REMOTE
    assert "swordfish" not in out + err
    case.write_site(VM, opennebula={"endpoint": "http://127.0.0.1:9/RPC2"})
    code, out, err = case.run()
    assert code == ExitCode.REMOTE
    assert "swordfish" not in out + err


def test_a_communitys_user_is_made_with_its_password(case: Case) -> None:
    (case.folder / "belle.password").write_text("swordfish\n")
    community = {"name": "belle", "cvmfs": ["belle.cern.ch"], "user": "dirac", "password": "file:belle.password"}
    case.write_site(VM, vo=[{**community, "limits": {"vms": "5", "cores": "40"}}])
    code, out, err = case.run()
    assert code == 0
    assert "swordfish" not in out + err
    templates = OneClient(case.one.endpoint, "dirac:swordfish").call("templatepool.info", -2, -1, -1).VMTEMPLATE
    assert {item.NAME for item in templates} == {"worker", "worker-v1-0-0"}
    stranger = case.one.add_user("t2k")
    assert OneClient(case.one.endpoint, stranger).call("templatepool.info", -2, -1, -1).VMTEMPLATE == []


def test_bundle_remove_takes_away_what_the_import_brought_and_nothing_else(case: Case) -> None:
    case.steps()
    OneClient(case.one.endpoint, case.one.session).call("template.allocate", 'NAME="mine"\nCPU="1"')
    assert case.run("belle2-worker", command="remove")[0] == ExitCode.USAGE  # nobody can be asked
    code, out, _ = case.run("belle2-worker", "--yes", command="remove")
    assert code == 0
    assert "3 remove" in out
    assert set(case.templates()) == {"mine"}
    code, _, err = case.run("belle2-worker", "--yes", command="remove")
    assert code == ExitCode.USAGE
    assert "no objects of belle2-worker" in err


def test_the_whole_cloud_of_the_site_file(case: Case) -> None:
    case.write_site(VM, opennebula={"cluster": "torino"})
    steps = case.steps("--cloud")
    assert (steps["cluster torino"], steps["host hv01.to.infn.it"]) == ("create", "create")
    assert case.templates()["worker"].TEMPLATE["SCHED_REQUIREMENTS"] == "CLUSTER_ID = 100"
    assert set(case.steps("--cloud").values()) <= {"keep", "use"}


def test_a_network_that_filters_gets_the_sites_security_group(case: Case) -> None:
    networks = {**SITE["networks"], "private": {**SITE["networks"]["private"], "driver": "fw"}}
    case.write_site(VM, networks=networks)
    case.steps()
    network = OneClient(case.one.endpoint, case.one.session).call("vnpool.info", -2, -1, -1).VNET[0]
    assert network.VN_MAD == "fw"
    assert network.TEMPLATE["SECURITY_GROUPS"] == case.templates()["worker"].TEMPLATE["NIC"]["SECURITY_GROUPS"] != "0"
    assert set(case.steps().values()) == {"keep"}
