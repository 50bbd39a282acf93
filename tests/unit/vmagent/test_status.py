from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import __version__
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.status import Status, load_status, render_status, write_status

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Status((Check("disk", State.OK, "there"), Check("clock", State.WARNING, "free"), Check("x", State.SKIPPED, "")))
BAD = Status((Check("disk", State.FAILED, "full"), Check("names", State.FAILED, "none")))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


def test_ready_unless_something_failed() -> None:
    assert GOOD.facts() == {"READY": "YES", "B2CT_AGENT": __version__, "B2CT_ERROR": ""}
    assert BAD.facts() == {"READY": "NO", "B2CT_AGENT": __version__, "B2CT_ERROR": "disk: full; names: none"}
    assert len(Status((Check("x", State.FAILED, "y" * 1000),)).error) == 500


def test_what_is_written_can_be_read(paths: Paths, tmp_path: Path) -> None:
    reports = {"onegate": {"state": "waiting", "detail": "down"}}
    write_status(paths, BAD, Settings(vo="belle", kind="worker"), reports, 60)
    document = load_status(paths)
    assert (document["format"], document["ready"], document["vo"], document["kind"]) == (1, False, "belle", "worker")
    assert render_status(document).splitlines() == [
        "not ready",
        "  failed   disk: full",
        "  failed   names: none",
        "  waiting  report to onegate: down",
    ]
    assert stat.S_IMODE((tmp_path / "run/b2ct-vm/status.json").stat().st_mode) == 0o644
    assert [path.name for path in (tmp_path / "run/b2ct-vm").iterdir()] == ["status.json"]


def test_no_status_an_old_one_and_a_damaged_one(paths: Paths, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="not written its status yet"):
        load_status(paths)
    write_status(paths, GOOD, Settings(), {}, 60)
    written_s = load_status(paths)["written_s"]
    load_status(paths, written_s + 59)
    with pytest.raises(AgentError, match="61 s old"):
        load_status(paths, written_s + 61)
    for damaged in ("", "{", "[]", json.dumps({"written_s": "x", "fresh_s": 1})):
        (tmp_path / "run/b2ct-vm/status.json").write_text(damaged, encoding="ascii")
        with pytest.raises(AgentError, match="damaged"):
            load_status(paths)
