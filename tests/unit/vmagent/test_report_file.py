from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.report_file import ReportFile
from b2ct_vmagent.reports import News, Order, Outcome, Phase, ReportError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_news_whole_and_for_all_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new/report.json"
    reporter = ReportFile(str(path), "torino-7-a")
    assert reporter.report(News(state=Phase.STARTING, error="disk: voll é")) is Order.NONE
    assert reporter.report(News(ready=True, state=Phase.HALTING, jobs=2, outcome=Outcome(300, "No work"))) is Order.NONE
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["uid"] == "torino-7-a"
    assert (document["state"], document["outcome"], document["jobs"]) == ("halting", "300 No work", 2)
    assert set(document) == {*News._fields, "uid"}
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_no_outcome_is_none(tmp_path: Path) -> None:
    ReportFile(str(tmp_path / "x"), "u").report(News())
    assert json.loads((tmp_path / "x").read_text(encoding="utf-8"))["outcome"] is None


def test_what_cannot_be_written_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match="file") as caught:
        ReportFile(str(tmp_path / "file/report.json"), "u").report(News())
    assert caught.value.refused
    assert not ReportFile.central
