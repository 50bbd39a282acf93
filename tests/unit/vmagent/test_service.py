from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from b2ct_vmagent import service
from b2ct_vmagent.context import load_context
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.reports import Delivery, ReportError
from b2ct_vmagent.service import make_deliveries, run_service
from b2ct_vmagent.status import load_status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest


class Cloud:
    """A reporter whose first call fails."""

    name = "cloud"

    def __init__(self) -> None:
        self.told: list[str] = []

    def report(self, facts: dict[str, str]) -> None:
        self.told.append(facts["READY"])
        if len(self.told) == 1:
            raise ReportError("not yet", refused=False)


def run(argv: Sequence[str], timeout_s: float) -> Done:
    del argv, timeout_s
    return Done(0, "System clock synchronized: yes")


def wait_for(paths: Paths, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first status that is as wanted, within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            document = load_status(paths)
        except AgentError:
            document = {}
        if document and wanted(document):
            return document
        time.sleep(0.02)
    raise AssertionError(document)


def test_becomes_ready_tells_it_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "UNREADY_PERIOD_S", 0.1)
    monkeypatch.setattr("b2ct_vmagent.reports.FIRST_PAUSE_S", 0.1)
    cloud = Cloud()
    monkeypatch.setattr(service, "make_deliveries", lambda _context: [Delivery(cloud, 1.0)])
    paths, stop = Paths(str(tmp_path)), threading.Event()
    thread = threading.Thread(target=run_service, args=(paths, stop, run))
    thread.start()
    try:
        document = wait_for(paths, lambda document: document["reports"]["cloud"]["state"] == "ok")
        assert not document["ready"]
        assert document["error"].startswith("disk: ")
        (tmp_path / "var").mkdir()
        wait_for(paths, lambda document: document["ready"] and document["reports"]["cloud"]["state"] == "ok")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert cloud.told == ["NO", "NO", "YES"]
    assert not (tmp_path / "run/b2ct-vm/status.json").exists()


def test_the_pilot_is_started_once_when_the_machine_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "UNREADY_PERIOD_S", 0.1)
    starts: list[bool] = []

    def start(argv: Sequence[str], timeout_s: float) -> Done:
        if "is-failed" in argv:
            return Done(1, "")
        if argv[0] == "systemctl":
            starts.append((tmp_path / "var").exists())
            return Done(int(len(starts) == 1), "busy")
        return run(argv, timeout_s)

    (tmp_path / "etc/b2ct-vm").mkdir(parents=True)
    (tmp_path / "etc/b2ct-vm/agent.conf").write_text("[agent]\npilot = run it\nperiod_s = 1\n", encoding="ascii")
    paths, stop = Paths(str(tmp_path)), threading.Event()
    thread = threading.Thread(target=run_service, args=(paths, stop, start))
    thread.start()
    try:
        wait_for(paths, lambda document: not document["ready"])
        (tmp_path / "var").mkdir()
        wait_for(paths, lambda document: document["ready"])
        deadline = time.monotonic() + 10
        while len(starts) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.5)
    finally:
        stop.set()
        thread.join(10)
    assert starts == [True, True]


def test_what_cannot_be_set_up_is_a_problem_of_the_settings(tmp_path: Path) -> None:
    for folder in ("usr/bin", "etc/b2ct-vm", "var"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/cvmfs_config").touch()
    (tmp_path / "etc/b2ct-vm/agent.conf").write_text("[agent]\ncvmfs_proxy = DIRECT\n", encoding="ascii")
    paths, stop = Paths(str(tmp_path)), threading.Event()
    thread = threading.Thread(target=run_service, args=(paths, stop, run))
    thread.start()
    try:
        assert "default.local: No such file" in wait_for(paths, lambda _document: True)["error"]
    finally:
        stop.set()
        thread.join(10)


def test_onegate_is_told_only_with_all_that_it_asks_for(tmp_path: Path) -> None:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    paths = Paths(str(tmp_path))
    context_sh = tmp_path / "run/b2ct-vm/context.sh"
    context_sh.write_text("ONEGATE_ENDPOINT='http://127.0.0.1:5030'\nVMID='7'\n", encoding="ascii")
    assert make_deliveries(load_context(paths)) == []
    (tmp_path / "run/b2ct-vm/token.txt").write_text("t", encoding="ascii")
    assert [delivery.reporter.name for delivery in make_deliveries(load_context(paths))] == ["onegate"]
