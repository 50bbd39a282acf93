from __future__ import annotations

import pytest
from b2ct_vmagent.reports import PATIENCE_S, Delivery, ReportError

PERIOD_S = 300.0
FACTS = {"READY": "YES"}


class Cloud:
    """A reporter that fails as it is told."""

    name = "cloud"

    def __init__(self) -> None:
        self.error: ReportError | None = None
        self.told: list[dict[str, str]] = []

    def report(self, facts: dict[str, str]) -> None:
        self.told.append(facts)
        if self.error:
            raise self.error


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def delivery(cloud: Cloud) -> Delivery:
    return Delivery(cloud, PERIOD_S, jitter=lambda: 1.0)


def test_tells_once(cloud: Cloud, delivery: Delivery) -> None:
    assert not delivery.push(0)
    delivery.offer(FACTS)
    assert delivery.push(0)
    delivery.offer(dict(FACTS))
    assert not delivery.push(1)
    assert cloud.told == [FACTS]
    assert delivery.pause_s(1) is None
    assert delivery.state() == {"state": "ok", "detail": "arrived"}


def test_tells_what_has_changed(cloud: Cloud, delivery: Delivery) -> None:
    for facts in (FACTS, {"READY": "NO"}, FACTS):
        delivery.offer(facts)
        assert delivery.push(0)
    assert [facts["READY"] for facts in cloud.told] == ["YES", "NO", "YES"]


def test_pauses_grow_and_then_stay(cloud: Cloud, delivery: Delivery) -> None:
    cloud.error = ReportError("down", refused=False)
    delivery.offer(FACTS)
    now_s, pauses = 0.0, []
    while now_s < 3 * PATIENCE_S:
        assert delivery.push(now_s)
        assert not delivery.push(now_s)
        pause_s = delivery.pause_s(now_s)
        assert pause_s is not None
        pauses.append(pause_s)
        now_s += pause_s
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses[-1] == PERIOD_S
    assert delivery.state() == {"state": "waiting", "detail": "down"}
    cloud.error = None
    assert delivery.push(now_s)
    assert delivery.arrived


def test_jitter_spreads_half_of_the_pause(cloud: Cloud) -> None:
    cloud.error = ReportError("down", refused=False)
    delivery = Delivery(cloud, PERIOD_S, jitter=lambda: 0.0)
    delivery.offer(FACTS)
    delivery.push(0)
    assert delivery.pause_s(0) == 0.5


def test_a_refusal_is_not_tried_again_soon(cloud: Cloud, delivery: Delivery) -> None:
    cloud.error = ReportError("401", refused=True)
    delivery.offer(FACTS)
    delivery.push(0)
    assert delivery.pause_s(0) == PERIOD_S


def test_news_do_not_wait(cloud: Cloud, delivery: Delivery) -> None:
    cloud.error = ReportError("401", refused=True)
    delivery.offer(FACTS)
    delivery.push(0)
    delivery.offer({"READY": "NO"})
    assert delivery.push(1)
    assert cloud.told[-1] == {"READY": "NO"}
