from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from b2ct_vmagent import __version__
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import News, Outcome, Phase
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.status import FORMAT, Status, load_status, make_document, render_status, write_status

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Status((Check("disk", State.OK, "there"), Check("clock", State.WARNING, "free"), Check("x", State.SKIPPED, "")))
BAD = Status((Check("disk", State.FAILED, "full"), Check("names", State.FAILED, "none")))
SETTINGS = Settings(site="torino", vo="belle", kind="worker", flavour="whole-node", vmid="7", hostname="w7")
REPORTS = {"onegate": {"state": "waiting", "detail": "down"}}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


def document_of(status: Status, news: News) -> dict[str, Any]:
    return make_document(status, SETTINGS, news, REPORTS, "torino-7-a")


def test_ready_unless_something_failed() -> None:
    assert (GOOD.ready, GOOD.error) == (True, "")
    assert (BAD.ready, BAD.error) == (False, "disk: full; names: none")
    assert Status(()).ready
    assert len(Status((Check("x", State.FAILED, "y" * 1000),)).error) == 500


def test_what_a_status_holds() -> None:
    news = News(ready=True, state=Phase.DRAINING, load=1.234, jobs=2, done=5, free_memory_mib=7, free_disk_mib=9)
    news = news._replace(outcome=Outcome(100, "power cut"))
    assert document_of(GOOD, news) == {
        "format": FORMAT,
        "version": __version__,
        "ready": True,
        "error": "",
        "state": "draining",
        "outcome": "100 power cut",
        "jobs": 2,
        "done": 5,
        "load": 1.23,
        "free_memory_mib": 7,
        "free_disk_mib": 9,
        "checks": [
            {"name": "disk", "state": "ok", "detail": "there"},
            {"name": "clock", "state": "warning", "detail": "free"},
            {"name": "x", "state": "skipped", "detail": ""},
        ],
        "site": "torino",
        "vo": "belle",
        "kind": "worker",
        "flavour": "whole-node",
        "hostname": "w7",
        "vmid": "7",
        "uid": "torino-7-a",
        "reports": REPORTS,
    }


def test_what_is_written_can_be_read(paths: Paths, tmp_path: Path) -> None:
    news = News(error=BAD.error, state=Phase.HALTING, jobs=1, done=3, outcome=Outcome(500, "Not ready"))
    write_status(paths, document_of(BAD, news), 60)
    assert render_status(load_status(paths)).splitlines() == [
        "not ready, halting; jobs: 1 now, 3 ended",
        "  goes because: 500 Not ready",
        "  failed   disk: full",
        "  failed   names: none",
        "  waiting  report to onegate: down",
    ]
    assert stat.S_IMODE((tmp_path / "run/b2ct-vm/status.json").stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "run/b2ct-vm").iterdir()] == ["status.json"]


def test_a_ready_machine_that_stays() -> None:
    shown = render_status(document_of(GOOD, News(ready=True, state=Phase.READY)))
    assert shown.splitlines()[0] == "ready, ready; jobs: 0 now, 0 ended"
    assert "goes because" not in shown


@pytest.mark.parametrize("jump_s", [-1e6, 0.0, 1e6])
def test_an_old_status_is_none_however_the_clock_is_set(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    monkeypatch.setattr("time.monotonic", lambda: 5000.0)
    write_status(paths, document_of(GOOD, News()), 60)
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0 + jump_s)
    monkeypatch.setattr("time.monotonic", lambda: 5059.0)
    assert load_status(paths)["written_s"] == 1_800_000_000
    monkeypatch.setattr("time.monotonic", lambda: 5061.0)
    with pytest.raises(AgentError, match="61 s old"):
        load_status(paths)


def test_no_status(paths: Paths) -> None:
    with pytest.raises(AgentError, match="not written its status yet"):
        load_status(paths)


@pytest.mark.parametrize("damaged", ["", "{", "[]", json.dumps({"written_up_s": "x", "fresh_s": 1})])
def test_a_damaged_status(paths: Paths, tmp_path: Path, damaged: str) -> None:
    (tmp_path / "run/b2ct-vm/status.json").write_text(damaged, encoding="ascii")
    with pytest.raises(AgentError, match="damaged"):
        load_status(paths)
