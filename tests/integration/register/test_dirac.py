"""register against the real Configuration Service of DIRAC 8: what it writes, refuses, and leaves alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from b2ct.apply.registration import register as module
from b2ct.apply.registration.dirac import ChangedMeanwhileError, commit
from b2ct.apply.registration.register import plan_push
from b2ct.errors import ExitCode
from b2ct.plan.dirac_cfg import get_option, make_section, set_option

if TYPE_CHECKING:
    from b2ct.apply.registration.dirac import Ask, Snapshot
    from tests.integration.register.conftest import Case

CE = ("Resources", "Sites", "CLOUD", "CLOUD.Torino.it", "CEs", "belle.cn01.to.infn.it")
QUEUE = (*CE, "Queues", "belle-belle2-worker-el9-8core")
HOST = ("Registry", "Hosts", "vm.site.example")
CONFIGURATION = "Configuration/Server"
MASK = "WorkloadManagement/WMSAdministrator"


def test_a_push_registers_the_site_and_the_second_has_nothing_to_do(case: Case) -> None:
    others: Any = case.read().cfg.getAsDict()
    code, out, err = case.run("--push", "--yes")
    assert (code, err.split(":")[0]) == (0, "Done")
    assert f"+ /{'/'.join(CE)}/CEType = Cloud" in out
    assert "Next: an Operator of DIRAC has to: dirac-admin-allow-site CLOUD.Torino.it ready" in err
    cfg = case.read().cfg
    assert get_option(cfg, QUEUE, "Instance_Flavor") == "name:belle-belle2-worker-el9-8core"
    assert get_option(cfg, CE, "MaxTotalJobs") == "40"
    after: Any = cfg.getAsDict()
    assert after["Systems"] == others["Systems"]
    assert after["Registry"]["Users"] == others["Registry"]["Users"]
    version = case.read().version
    code, out, err = case.run("--push", "--yes")
    assert (code, out) == (0, "")
    assert "Everything is as it should be." in err
    assert case.read().version == version


def test_a_check_tells_what_is_missing_and_whether_jobs_may_come(case: Case) -> None:
    code, out, err = case.run("--check")
    assert code == ExitCode.FAILED
    assert f"missing /{'/'.join(CE)}/CEType = Cloud" in out
    assert "site mask: unknown" in out
    case.run("--push", "--yes")
    code, out, err = case.run("--check")
    assert (code, out) == (ExitCode.FAILED, "site mask: unknown\n")
    assert "dirac-admin-allow-site CLOUD.Torino.it" in err
    admin = case.dirac.diset("host", MASK)
    assert admin.call("allowSite", "CLOUD.Torino.it", "ready")["OK"]
    code, out, err = case.run("--check", who=None)
    assert (code, out) == (0, "site mask: Active\n")
    assert "Everything is as it should be." in err
    assert admin.call("banSite", "CLOUD.Torino.it", "broken")["OK"]
    document = case.run_json("--check")
    assert (document["site_mask"], document["changes"]) == ("Banned", [])
    case.change(QUEUE, MaxRAM="1")
    code, out, _ = case.run("--check")
    assert code == ExitCode.FAILED
    assert f"differs /{'/'.join(QUEUE)}/MaxRAM = 1 -> 16384" in out


def test_a_dry_run_shows_the_changes_and_makes_none(case: Case) -> None:
    version = case.read().version
    code, out, err = case.run("--push", "--dry-run")
    assert code == 0
    assert "+ /Resources/Sites/CLOUD/CLOUD.Torino.it" in out
    assert "this was a dry run" in err
    assert case.read().version == version


def test_nothing_changes_unless_somebody_says_yes(case: Case) -> None:
    version = case.read().version
    code, _, err = case.run("--push")
    assert code == ExitCode.USAGE
    assert "--yes does it without asking" in err
    assert case.read().version == version


@pytest.mark.parametrize("who", ["vm", None])
def test_a_certificate_that_may_not_change_it_is_refused_and_told_what_to_do(case: Case, who: str | None) -> None:
    version = case.read().version
    code, _, err = case.run("--push", "--yes", who=who)
    assert code == ExitCode.REMOTE
    assert "only CSAdministrator may change DIRAC's configuration" in err
    assert "send DIRAC's admins what `b2ct register SITE` writes" in err
    assert case.read().version == version


def test_a_stranger_reads_nothing(case: Case) -> None:
    code, out, err = case.run("--check", who="vmbad")
    assert (code, out) == (ExitCode.REMOTE, "")
    assert "getCompressedData is not for" in err
    assert "has it an entry in DIRAC's Registry?" in err


def test_a_person_acts_for_a_group(case: Case) -> None:
    code, _, err = case.run("--push", "--yes", who="admin")
    assert (code, "as a host" in err) == (ExitCode.REMOTE, True)
    code, _, err = case.run("--push", "--yes", "--group", "rig_user", who="admin")
    assert (code, "as a member of rig_user" in err) == (ExitCode.REMOTE, True)
    code, _, err = case.run("--push", "--yes", "--group", "rig_admin", who="admin")
    assert code == 0, err


@pytest.mark.parametrize("who", ["vmold", "vmother"])
def test_a_certificate_that_does_not_hold_is_refused(case: Case, who: str) -> None:
    code, _, err = case.run("--check", who=who)
    assert code == ExitCode.REMOTE
    assert "certificate" in err


def test_what_somebody_else_commits_meanwhile_is_not_lost(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.change(("Operations", "Defaults"), Colour="red")

    def change_first(*arguments: object) -> None:
        monkeypatch.undo()
        case.change(("Operations", "Defaults"), Colour="blue")
        commit(*arguments)  # type: ignore[arg-type] # those that it was called with

    monkeypatch.setattr(module, "commit", change_first)
    code, _, err = case.run("--push", "--yes")
    assert code == ExitCode.FAILED
    assert "DIRAC's configuration changed meanwhile, from version" in err
    assert "nothing was changed" in err
    cfg = case.read().cfg
    assert get_option(cfg, ("Operations", "Defaults"), "Colour") == "blue"
    assert get_option(cfg, CE, "CEType") is None
    assert case.run("--push", "--yes")[0] == 0


def test_what_is_committed_in_the_very_last_moment_is_refused_by_the_server(case: Case) -> None:
    snapshot = case.read()
    ask = case.ask()
    case.change(("Operations", "Defaults"), Colour="green")

    def blind(url: str, method: str, *arguments: object) -> object:
        return snapshot.version if method == "getVersion" else ask(url, method, *arguments)

    with pytest.raises(ChangedMeanwhileError):
        commit(blind, snapshot, str(snapshot.cfg))
    assert get_option(case.read().cfg, ("Operations", "Defaults"), "Colour") == "green"


def test_removing_takes_what_register_made_and_nothing_else(case: Case) -> None:
    case.change(("Registry", "Hosts", "vm.site.example"), Responsible="ada")
    case.change((*CE[:-2], "CEs", "arc.to.infn.it"), CEType="ARC")
    before: Any = case.read().cfg.getAsDict()
    case.run("--push", "--yes")
    case.change(CE, Comment="by hand")
    assert case.run("--remove", "--dry-run")[0] == 0
    code, out, err = case.run("--remove", "--yes")
    assert code == 0, err
    assert f"- /{'/'.join(QUEUE)}/Instance_Image = name:worker-el9-1.0.0" in out
    after: Any = case.read().cfg.getAsDict()
    ces = after["Resources"]["Sites"]["CLOUD"]["CLOUD.Torino.it"]["CEs"]
    assert ces.pop("belle.cn01.to.infn.it") == {"Comment": "by hand"}
    for one in (before, after):
        del one["DIRAC"]["Configuration"]["Version"]
    assert after == before
    code, out, err = case.run("--remove", "--yes")
    assert (code, out) == (0, "")
    assert "DIRAC has nothing that register made for this site." in err


def test_a_site_whose_bundles_are_gone_can_be_taken_out(case: Case) -> None:
    case.run("--push", "--yes")
    case.write_site([{"bundle": "gone", "vo": "belle"}], certificate=None, key=None)
    code, _, err = case.run("--remove", "--yes")
    assert code == 0, err
    assert get_option(case.read().cfg, CE, "CEType") is None


def test_what_the_site_file_no_longer_has_goes_with_the_next_push(case: Case) -> None:
    case.run("--push", "--yes")
    case.write_site([{"bundle": "belle2-worker", "vo": "belle", "cores": "1"}])
    code, out, _ = case.run("--push", "--yes")
    assert code == 0
    assert f"- /{'/'.join(QUEUE)}/MaxRAM = 16384" in out
    assert case.run("--push", "--yes")[1] == ""


def test_what_is_there_already_is_used_and_survives_a_removal(case: Case) -> None:
    """The rig's registry has the host, with more properties and another order."""
    case.change(HOST, Properties="LimitedDelegation, Operator, GenericPilot")
    case.run("--push", "--yes")
    properties = get_option(case.read().cfg, HOST, "Properties")
    assert properties == "LimitedDelegation, Operator, GenericPilot, VmRpcOperation"
    case.run("--remove", "--yes")
    assert get_option(case.read().cfg, HOST, "Properties") == properties


def test_a_service_that_is_down_is_named(case: Case) -> None:
    with case.dirac.without(MASK):
        code, out, err = case.run("--check")
        assert (code, "the site mask could not be read" in err) == (ExitCode.FAILED, True)
    with case.dirac.without(CONFIGURATION):
        code, out, err = case.run("--push", "--yes")
        assert (code, out) == (ExitCode.REMOTE, "")
        assert "nothing listens there" in err
        document = case.run_json("--check")
        assert document["ok"] is False


def test_the_next_server_is_asked_where_one_is_down(case: Case) -> None:
    servers = ["dips://localhost:1/Configuration/Server", case.dirac.url(CONFIGURATION)]
    case.write_site(configuration_servers=servers)
    assert case.run("--push", "--dry-run")[0] == 0


def test_one_json_document(case: Case) -> None:
    document = case.run_json("--push", "--yes")
    assert (document["command"], document["mode"], document["applied"]) == ("register", "push", True)
    assert document["version"] == case.read().version
    path = f"/{'/'.join(CE)}/CEType"
    assert {"path": path, "now": None, "wanted": "Cloud"} in document["changes"]


def test_a_server_that_merges_joins_changes_that_do_not_touch_each_other_and_refuses_others(case: Case) -> None:
    case.change(("DIRAC", "Configuration"), EnableAutoMerge="yes")
    ask = case.ask()

    def late(snapshot: Snapshot) -> Ask:
        """Return what asks, and learns the version of the snapshot though there is a newer one."""
        return lambda url, method, *words: snapshot.version if method == "getVersion" else ask(url, method, *words)

    before = case.read()
    case.change(("Operations", "Defaults"), Colour="green")
    pending = plan_push(ask, case.registration())
    case.change(("Registry", "Groups", "new"), VO="rigvo")
    commit(late(pending.snapshot), pending.snapshot, pending.merged.text)
    cfg = case.read().cfg
    assert get_option(cfg, ("Registry", "Groups", "new"), "VO") == "rigvo"
    assert get_option(cfg, CE, "CEType") == "Cloud"
    touched = before.cfg.clone()
    set_option(make_section(touched, ("Operations", "Defaults")), "Colour", "blue")
    with pytest.raises(ChangedMeanwhileError):
        commit(late(before), before, str(touched))
    assert get_option(case.read().cfg, ("Operations", "Defaults"), "Colour") == "green"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_and_what_they_say_counts(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    version = case.read().version
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    code, out, err = case.run("--push")
    assert (code, "nothing was changed" in err) == (ExitCode.FAILED, True)
    assert f"+ /{'/'.join(CE)}/CEType = Cloud" in out
    count = sum(line.startswith(("+", "~")) for line in out.splitlines())
    assert f"Change {count} options of DIRAC's configuration at {case.dirac.url(CONFIGURATION)}?" in err
    assert case.read().version == version
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert case.run("--push")[0] == 0
    assert case.read().version != version
