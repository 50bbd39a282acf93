from __future__ import annotations

import threading
import time

import pytest
from b2ct_vmagent.reports import LONGEST_PAUSE_S, PATIENCE_S, Delivery, News, Order, Outcome, Phase, ReportError
from hypothesis import given
from hypothesis import strategies as st

PERIOD_S = 300.0
READY = News(ready=True, state=Phase.READY)
WORKING = READY._replace(state=Phase.WORKING)


class Cloud:
    """A reporter that answers as it is told."""

    name = "cloud"
    central = True

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.answer: object = Order.NONE
        self.told: list[News] = []

    def report(self, news: News) -> Order:
        self.told.append(news)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value] # garbage too, on purpose

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def delivery(cloud: Cloud) -> Delivery:
    return Delivery(cloud, PERIOD_S, jitter=lambda: 1.0, clock=cloud.clock)


def test_tells_once_in_a_period(cloud: Cloud, delivery: Delivery) -> None:
    assert not delivery.push()
    assert delivery.pause_s() is None
    assert delivery.arrived
    assert delivery.state()["state"] == "waiting"
    delivery.offer(READY)
    assert not delivery.arrived
    assert delivery.push()
    delivery.offer(READY._replace(load=3.0, jobs=5, uptime_s=7))
    assert not delivery.push()
    assert cloud.told == [READY]
    assert delivery.pause_s() == PERIOD_S * 1.1
    assert delivery.state() == {"state": "ok", "detail": "arrived"}
    cloud.now_s += PERIOD_S * 1.1
    assert delivery.push()
    assert [news.load for news in cloud.told] == [0.0, 3.0]


def test_heartbeats_spread_by_a_tenth(cloud: Cloud) -> None:
    delivery = Delivery(cloud, PERIOD_S, jitter=lambda: 0.0, clock=cloud.clock)
    delivery.offer(READY)
    delivery.push()
    assert delivery.pause_s() == PERIOD_S * 0.9


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({"ready": False}, True),
        ({"error": "disk: full"}, True),
        ({"state": Phase.WORKING}, True),
        ({"outcome": Outcome(300, "x")}, True),
        ({"load": 1.0}, False),
        ({"jobs": 1}, False),
        ({"done": 1, "cpu_s": 1.0, "moved_bytes": 1, "uptime_s": 1}, False),
    ],
)
def test_what_happens_is_told_at_once_what_goes_on_is_not(
    cloud: Cloud,
    delivery: Delivery,
    changes: dict[str, object],
    at_once: bool,  # noqa: FBT001 - a parameter
) -> None:
    delivery.offer(READY)
    delivery.push()
    delivery.offer(READY._replace(**changes))  # type: ignore[arg-type] # of various types
    assert delivery.push() is at_once
    assert delivery.arrived
    assert len(cloud.told) == 1 + at_once


def test_pauses_grow_and_then_stay(cloud: Cloud, delivery: Delivery) -> None:
    cloud.answer = ReportError("down", refused=False)
    delivery.offer(READY)
    end_s, pauses = cloud.now_s + 3 * PATIENCE_S, []
    while cloud.now_s < end_s:
        assert delivery.push()
        assert not delivery.push()
        pause_s = delivery.pause_s()
        assert pause_s is not None
        pauses.append(pause_s)
        cloud.now_s += pause_s
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert pauses[-1] == PERIOD_S
    assert delivery.state() == {"state": "waiting", "detail": "down"}
    assert delivery.silent_s() >= 3 * PATIENCE_S
    cloud.answer = Order.NONE
    assert delivery.push()
    assert delivery.arrived
    assert delivery.silent_s() == 0


def test_jitter_spreads_half_of_the_pause(cloud: Cloud) -> None:
    cloud.answer = ReportError("down", refused=False)
    delivery = Delivery(cloud, PERIOD_S, jitter=lambda: 0.0, clock=cloud.clock)
    delivery.offer(READY)
    delivery.push()
    assert delivery.pause_s() == 0.5


def test_a_refusal_is_not_tried_again_soon_but_for_news(cloud: Cloud, delivery: Delivery) -> None:
    cloud.answer = ReportError("401", refused=True)
    delivery.offer(READY)
    delivery.push()
    assert delivery.pause_s() == PERIOD_S
    delivery.offer(WORKING)
    assert delivery.push()
    assert cloud.told[-1] == WORKING


def test_news_are_tried_soon_whatever_failed_before(cloud: Cloud, delivery: Delivery) -> None:
    cloud.answer = ReportError("down", refused=False)
    delivery.offer(READY)
    for _ in range(6):
        delivery.push()
        cloud.now_s += 100
    delivery.offer(WORKING)
    assert delivery.push()
    assert delivery.pause_s() == 1.0


@pytest.mark.parametrize(
    "answer", [KeyError("x"), None, "HALT", 2.5, 7, RecursionError(), ZeroDivisionError("y")], ids=repr
)
def test_a_fault_is_a_refusal_and_not_the_end(cloud: Cloud, delivery: Delivery, answer: object) -> None:
    cloud.answer = answer
    delivery.offer(READY)
    assert delivery.push()
    assert delivery.pause_s() == PERIOD_S
    assert delivery.order() is Order.NONE
    assert delivery.state()["detail"].startswith("a fault of the agent: ")
    cloud.answer = Order.DRAIN
    cloud.now_s += PERIOD_S
    assert delivery.push()
    assert delivery.order() is Order.DRAIN


def test_news_that_come_while_it_tells_are_told_next(cloud: Cloud, delivery: Delivery) -> None:
    def report(news: News) -> Order:
        cloud.told.append(news)
        if len(cloud.told) == 1:
            delivery.offer(WORKING)
        return Order.NONE

    cloud.report = report  # type: ignore[method-assign] # a reporter in the middle of its work
    delivery.offer(READY)
    assert delivery.push()
    assert not delivery.arrived
    assert delivery.pause_s() == 0
    assert delivery.push()
    assert cloud.told == [READY, WORKING]
    assert delivery.arrived


@given(st.lists(st.sampled_from(list(Order)), min_size=1))
def test_the_weightiest_order_holds(orders: list[Order]) -> None:
    cloud = Cloud()
    delivery = Delivery(cloud, PERIOD_S, jitter=lambda: 1.0, clock=cloud.clock)
    delivery.offer(READY)
    for order in orders:
        cloud.answer = order
        assert delivery.push()
        cloud.now_s += PERIOD_S * 1.1
    assert delivery.order().value == max(order.value for order in orders)


def test_it_is_waited_for_no_longer_than_told(delivery: Delivery) -> None:
    delivery.offer(READY)
    assert not delivery.wait_arrived(0.01)
    assert not delivery.wait_arrived(-5.0)
    delivery.push()
    assert delivery.wait_arrived(0.0)


def test_a_failure_is_said_once_and_its_end_too(
    cloud: Cloud, delivery: Delivery, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.answer = ReportError("down", refused=False)
    delivery.offer(READY)
    for _ in range(5):
        delivery.push()
        cloud.now_s += 100
    cloud.answer = ReportError("401", refused=False)
    delivery.push()
    cloud.now_s += 100
    cloud.answer = Order.NONE
    delivery.push()
    said = capsys.readouterr().err
    assert [said.count(words) for words in ("cloud: down", "cloud: 401", "cloud answers again")] == [1, 1, 1]


def test_a_thread_tells_and_a_hanging_one_holds_nobody_up() -> None:
    hanging, reached = threading.Event(), threading.Event()

    class Slow(Cloud):
        def report(self, news: News) -> Order:
            reached.set()
            hanging.wait(10)
            return super().report(news)

    slow, quick = Slow(), Cloud()
    deliveries = [Delivery(cloud, PERIOD_S, jitter=lambda: 0.0) for cloud in (slow, quick)]
    for delivery in deliveries:
        delivery.start()
        delivery.offer(READY)
    assert reached.wait(5)
    began_s = time.monotonic()
    assert deliveries[1].wait_arrived(5)
    assert time.monotonic() - began_s < 4
    deliveries[0].offer(WORKING)
    assert not deliveries[0].arrived
    assert deliveries[0].state()["state"] == "waiting"
    hanging.set()
    assert deliveries[0].wait_arrived(5)
    assert slow.told == [READY, WORKING]


def test_the_form_of_a_shutdown_message() -> None:
    assert str(Outcome(300, "No more work available")) == "300 No more work available"
