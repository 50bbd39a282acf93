"""import-templates and bundle remove, by the public command against a replaying front-end of each version."""

from __future__ import annotations

import base64
import shutil

import pytest

from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.errors import OneError
from b2ct.cli import main as cli
from b2ct.errors import ExitCode
from tests.integration.opennebula.conftest import VM, Case
from tests.rigs.opennebula import more_objects  # noqa: F401 - it registers its calls
from tests.rigs.opennebula.server import Fault
from tests.unit.site.sites import SITE


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
    assert "version 1.1.0 becomes 1.0.0" in case.run("--dry-run")[1]
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
    assert "only an administrator of the cloud can give them to belle" in case.run("--dry-run")[2]
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


def test_a_name_that_somebody_else_took_shows_nothing_of_that_object(case: Case) -> None:
    OneClient(case.one.endpoint, case.one.session).call("template.allocate", 'NAME="worker"\nCPU="77"')
    assert "77" not in case.run()[1]


def test_where_nobody_looks_a_line_is_never_cut_or_wrapped(case: Case) -> None:
    case.steps()
    name = "a-name-that-is-longer-than-half-of-a-terminal-is-wide"
    case.write_site({**VM, "name": name, "cores": "2"})
    OneClient(case.one.endpoint, case.one.session).call("template.allocate", f'NAME="{name}"')
    out = case.run("--dry-run")[1].splitlines()
    reason = (
        "the name is taken by template 2 of oneadmin, which B2CT did not make for this site: rename or delete that one"
    )
    assert [line for line in out if line.split()[2:3] == [name]] == [f"refuse  template  {name}         {reason}"]
    code = cli.main(["bundle", "list", "--site", str(case.folder / "site.yaml")])
    assert code == 0
    assert "Belle II worker, CVMFS through the site's squid, VM agent" in case.capsys.readouterr().out


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
    assert "; 3 of 6 changes are done; " in err
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
    assert str(case.folder / "one_auth") in err
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
    client = OneClient(case.one.endpoint, "dirac:swordfish")
    more = 'CONTEXT=[NETWORK="YES",B2CT_JOB="7"]'
    client.call("template.instantiate", int(case.templates()["worker"].ID), "job", False, more, False)  # noqa: FBT003 - as the call has it
    with pytest.raises(OneError, match="CREATE IMAGE"):
        client.call("image.allocate", 'NAME="mine"\nSIZE="1"\nTYPE="DATABLOCK"', 1)
    stranger = case.one.add_user("t2k")
    assert OneClient(case.one.endpoint, stranger).call("templatepool.info", -2, -1, -1).VMTEMPLATE == []


def test_a_password_that_is_not_there_stops_all_before_the_first_change(case: Case) -> None:
    case.write_site(VM, vo=[{"name": "belle", "cvmfs": ["belle.cern.ch"], "user": "dirac", "password": "file:none"}])
    code, _, err = case.run()
    assert code == ExitCode.USAGE
    assert "file:none cannot be read" in err
    assert case.writes() == []


def test_a_group_that_lost_its_right_or_never_got_it_is_given_it_again(case: Case) -> None:
    case.steps()
    before = len(case.one.cloud.rules)
    case.one.cloud.rules.popitem()
    code, out, _ = case.run()
    assert code == 0
    assert "rights: (none) -> its users may start virtual machines" in out
    assert len(case.one.cloud.rules) == before
    assert set(case.steps().values()) == {"keep"}


def test_a_group_that_onegroup_made_has_its_rule_already(case: Case) -> None:
    number = case.one.add_group("belle")
    rule = (f"{0x200000000 | number:x}", "121429400000000", "8", "400000000")  # as `onegroup create` adds it
    OneClient(case.one.endpoint, case.one.session).call("acl.addrule", *rule)
    rules = len(case.one.cloud.rules)
    OneClient(case.one.endpoint, case.one.session).call("group.update", number, 'OWNER="somebody"', 1)
    out = case.run()[1]
    assert "use     group     belle" in out
    assert "rights" not in out
    assert len(case.one.cloud.rules) == rules


def test_a_rule_whose_answer_was_lost_is_added_once(case: Case) -> None:
    case.one.fail_next("acl.addrule", Fault.DROP_AFTER)
    case.steps()
    assert case.one.methods().count("acl.addrule") == 1


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


def test_bundle_remove_leaves_what_virtual_machines_run_from(case: Case) -> None:
    case.steps()
    client = OneClient(case.one.endpoint, case.one.session)
    client.call("template.instantiate", int(case.templates()["worker"].ID), "vm", False, "", False)  # noqa: FBT003 - as the call has it
    code, out, _ = case.run("belle2-worker", "--yes", command="remove")
    assert code == 0
    assert "it is in use by 1 virtual machine:" in out
    assert case.templates() == {}
    assert case.one.image_id("worker-debian12-1.0.0") is not None
    assert "Nothing can be removed now." in case.run("belle2-worker", "--yes", command="remove")[2]


def test_the_cloud_alone_needs_no_vms_and_pruning_takes_the_last_ones(case: Case) -> None:
    case.steps()
    case.write_site()
    assert case.run()[0] == ExitCode.USAGE
    assert case.steps("--cloud")["host hv01.to.infn.it"] == "create"
    assert "worker" in case.templates()
    assert case.steps("--prune", "--yes")["template worker"] == "remove"
    assert case.templates() == {}


def test_one_number_is_not_written_into_templates_of_several_images(case: Case) -> None:
    squid = {"bundle": "squid", "name": "squid", "network": "private", "address": "192.168.100.10"}
    case.write_site(VM, squid)
    out = str(case.folder / "out")
    code, _, err = case.run("--image-id", "5", "--out", out, command="render")
    assert code == ExitCode.USAGE
    assert "several images (squid-debian12-1.0.0, worker-debian12-1.0.0)" in err
    assert case.run("--network-id", "5", "--out", out, command="render")[0] == 0


@pytest.mark.parametrize(
    "arguments", [("import-templates",), ("bundle", "list", "--unsigned", "--from", "http://127.0.0.1:9/")]
)
def test_a_user_without_a_home_gets_an_error_and_no_traceback(
    case: Case, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_path: str) -> str:
        return "~"

    monkeypatch.setattr("os.path.expanduser", nowhere)
    for name in ("ONE_AUTH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    where = ["--site"] if len(arguments) > 1 else []
    assert cli.main([*arguments, *where, str(case.folder / "site.yaml")]) == ExitCode.USAGE


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
