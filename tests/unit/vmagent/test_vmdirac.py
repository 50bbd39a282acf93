from __future__ import annotations

from typing import Any, cast

import pytest
from b2ct_vmagent.diset import Diset, DisetError
from b2ct_vmagent.reports import News, Order, Outcome, Phase, ReportError
from b2ct_vmagent.vmdirac import Instance, VmDirac, make_endpoint

UID = "site-7-ab"
INSTANCE = Instance(UID, "worker-7", "el9", make_endpoint("CLOUD.Site.eu", "one.site.eu"), "belle")
NEWS = News(ready=True, state=Phase.WORKING, load=1, jobs=2, moved_bytes=5_000_000_000, uptime_s=321)
HALTING = NEWS._replace(state=Phase.HALTING, outcome=Outcome(300, "No more work available"))


def failed(message: str, **more: object) -> dict[str, Any]:
    return {"OK": False, "Message": message, "Errno": 0, **more}


class Manager:
    """Stands for the service: keeps one machine's status, with the transitions that the real one allows."""

    def __init__(self, status: str = "") -> None:
        self.status = status
        self.calls: list[tuple[object, ...]] = []
        self.timeouts_s: list[float] = []
        self.answers: dict[str, Any] = {}
        """What a method answers, or raises, in place of the usual."""

    def _replace(self, *, timeout_s: float = 0, largest_bytes: int = 0) -> Manager:
        if timeout_s:
            self.timeouts_s.append(timeout_s)
        assert timeout_s or largest_bytes <= 1 << 20
        return self

    def call(self, method: str, *words: object) -> dict[str, Any]:
        self.calls.append((method, *words))
        answer = self.answers.get(method)
        if isinstance(answer, Exception):
            raise answer
        return answer or getattr(self, method)(*words)  # type: ignore[no-any-return]

    def insertInstance(self, *words: object) -> dict[str, Any]:  # noqa: N802 - DIRAC's name
        assert len(words) == 5
        self.status = "Submitted"
        return {"OK": True, "Value": 1}

    def declareInstanceRunning(self, _uid: str, _address: str) -> dict[str, Any]:  # noqa: N802 - DIRAC's name
        if not self.status:
            return failed(f"Unknown UniqueID = {UID}")
        if self.status in {"Submitted", "Stalled", "New"}:
            self.status = "Running"
        return {"OK": True, "Value": {"Image": {}, "Instance": {"Status": self.status}}}

    def instanceIDHeartBeat(self, *words: object) -> dict[str, Any]:  # noqa: N802 - DIRAC's name
        assert [type(word) for word in words] == [str, float, int, int, int, int]
        if not self.status:
            return failed(f"Unknown UniqueID = {UID}")
        if self.status in {"Stopping", "Halted"}:
            state = {"Stopping": "stop", "Halted": "halt"}[self.status]
            return failed(f"Transition ( {self.status} -> Running ) not allowed", State=state)
        self.status = "Running"
        return {"OK": True, "Value": None}

    def declareInstanceHalting(self, _uid: str, load: object) -> dict[str, Any]:  # noqa: N802 - DIRAC's name
        assert isinstance(load, float)
        if not self.status:
            return failed(f"Unknown UniqueID = {UID}")
        self.status = "Halted"
        return {"OK": True, "Value": {"Successful": {}, "Failed": {}}}

    def getAllInfoForUniqueID(self, _uid: str) -> dict[str, Any]:  # noqa: N802 - DIRAC's name
        return {"OK": True, "Value": {"Image": {}, "Instance": {"Status": self.status}}}

    def methods(self) -> list[object]:
        return [call[0] for call in self.calls]


def make(manager: Manager, instance: Instance = INSTANCE) -> VmDirac:
    return VmDirac(cast("Diset", manager), instance)


def test_a_new_machine_is_inserted_declared_and_beats() -> None:
    manager = Manager()
    reporter = make(manager)
    assert reporter.report(NEWS) is Order.NONE
    assert manager.methods() == [
        "declareInstanceRunning",
        "insertInstance",
        "declareInstanceRunning",
        "instanceIDHeartBeat",
    ]
    assert manager.calls[1] == ("insertInstance", UID, "el9", "worker-7", "CLOUD.Site.eu::one.site.eu (b2ct)", "belle")
    assert manager.calls[3] == ("instanceIDHeartBeat", UID, 1.0, 2, 0, 5_000_000_000, 321)
    assert manager.status == "Running"
    manager.calls.clear()
    assert reporter.report(NEWS._replace(uptime_s=0)) is Order.NONE
    assert manager.calls == [("instanceIDHeartBeat", UID, 1.0, 2, 0, 5_000_000_000, 1)]


def test_an_agent_that_starts_anew_inserts_nothing() -> None:
    manager = Manager("Running")
    assert make(manager).report(NEWS) is Order.NONE
    assert manager.methods() == ["declareInstanceRunning", "instanceIDHeartBeat"]


def test_what_dirac_started_is_not_inserted() -> None:
    manager = Manager()
    with pytest.raises(ReportError, match="Unknown UniqueID") as caught:
        make(manager, INSTANCE._replace(given=True)).report(NEWS)
    assert caught.value.refused
    assert manager.methods() == ["declareInstanceRunning"]


@pytest.mark.parametrize(("status", "order"), [("Stopping", Order.DRAIN), ("Halted", Order.HALT)])
def test_orders_are_taken_at_the_start_and_later(status: str, order: Order) -> None:
    manager = Manager(status)
    reporter = make(manager)
    assert reporter.report(NEWS) is order
    assert manager.methods() == ["declareInstanceRunning"]
    assert reporter.report(NEWS) is order
    assert manager.methods()[1:] == ["instanceIDHeartBeat"]


def test_an_order_may_also_be_a_value() -> None:
    manager = Manager("Running")
    manager.answers["instanceIDHeartBeat"] = {"OK": True, "Value": "stop"}
    assert make(manager).report(NEWS) is Order.DRAIN


def test_a_heartbeat_revives_a_stalled_machine() -> None:
    manager = Manager("Running")
    reporter = make(manager)
    reporter.report(NEWS)
    manager.status = "Stalled"
    assert reporter.report(NEWS) is Order.NONE
    assert manager.status == "Running"


def test_a_machine_that_dirac_forgot_is_declared_again() -> None:
    manager = Manager("Running")
    reporter = make(manager)
    reporter.report(NEWS)
    manager.status = ""
    with pytest.raises(ReportError, match="forgotten") as caught:
        reporter.report(NEWS)
    assert not caught.value.refused
    assert reporter.report(NEWS) is Order.NONE
    assert manager.status == "Running"


def test_the_end_is_told() -> None:
    manager = Manager("Running")
    assert make(manager).report(HALTING) is Order.NONE
    assert manager.calls == [("declareInstanceHalting", UID, 1.0)]
    assert manager.status == "Halted"


def test_the_end_of_a_machine_that_was_never_declared_is_nothing_to_tell() -> None:
    assert make(Manager()).report(HALTING) is Order.NONE


def test_an_error_after_the_end_is_stored_is_none() -> None:
    manager = Manager("Halted")
    manager.answers["declareInstanceHalting"] = failed("Cannot connect to the cloud")
    assert make(manager).report(HALTING) is Order.NONE
    assert manager.methods() == ["declareInstanceHalting", "getAllInfoForUniqueID"]


@pytest.mark.parametrize("stored", [failed("x"), {"OK": True, "Value": {}}, {"OK": True, "Value": None}, None])
def test_an_error_before_the_end_is_stored_is_one(stored: dict[str, Any] | None) -> None:
    manager = Manager("Running")
    manager.answers["declareInstanceHalting"] = failed("the database is away")
    if stored:
        manager.answers["getAllInfoForUniqueID"] = stored
    with pytest.raises(ReportError, match="the database is away"):
        make(manager).report(HALTING)


@pytest.mark.parametrize(
    "value", [None, [], "Running", {}, {"Instance": None}, {"Instance": {}}, {"Instance": {"Status": "Error"}}]
)
def test_an_unexpected_answer_is_told(value: object) -> None:
    manager = Manager("Running")
    manager.answers["declareInstanceRunning"] = {"OK": True, "Value": value}
    with pytest.raises(ReportError, match="DIRAC has this machine as") as caught:
        make(manager).report(NEWS)
    assert caught.value.refused
    assert manager.methods() == ["declareInstanceRunning"]


def test_an_unknown_certificate_is_told() -> None:
    manager = Manager()
    manager.answers["declareInstanceRunning"] = failed("Unauthorized query", Errno=1111)
    with pytest.raises(ReportError, match="has to be a host's with VmRpcOperation") as caught:
        make(manager).report(NEWS)
    assert caught.value.refused


@pytest.mark.parametrize("refused", [True, False])
def test_a_way_that_fails_is_told_and_tried_again(*, refused: bool) -> None:
    manager = Manager()
    reporter = make(manager)
    manager.answers["insertInstance"] = DisetError("closed", refused=refused)
    with pytest.raises(ReportError, match="closed") as caught:
        reporter.report(NEWS)
    assert caught.value.refused is refused
    del manager.answers["insertInstance"]
    assert reporter.report(NEWS) is Order.NONE


def test_all_calls_of_a_report_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("b2ct_vmagent.vmdirac.time.monotonic", lambda: now_s)
    manager = Manager()

    def slow(*words: object) -> dict[str, Any]:
        nonlocal now_s
        now_s += 20
        return Manager.insertInstance(manager, *words)

    monkeypatch.setattr(manager, "insertInstance", slow)
    make(manager).report(NEWS)
    assert manager.timeouts_s == [25, 25, 5, 5]


@pytest.mark.parametrize("ce", ["", "one.site.eu", "x" * 300])
def test_an_endpoint_has_two_parts_and_fits(ce: str) -> None:
    endpoint = make_endpoint("CLOUD.Site.eu", ce)
    assert len(endpoint) <= 255
    site, found = endpoint.split("::")
    assert site == "CLOUD.Site.eu"
    assert found != ce
