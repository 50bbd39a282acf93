"""``b2ct credentials --watch``: round after round, through a front-end's absence and single failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from b2ct.errors import ExitCode
from tests.integration.credentials.test_loop import DIRAC, issue_host, make_worker
from tests.rigs.opennebula.server import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.credentials.conftest import Guest, Place

PERIOD_S = 3000


@pytest.fixture
def guest(place: Place) -> Guest:
    issue_host(place, "vm.site.example")
    place.write_site(DIRAC)
    made = make_worker(place)
    made.agent.step(time.time())
    return made


@pytest.fixture
def watch(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Make as many rounds as there are functions, each called in a pause; then the command is interrupted."""

    def run(*between: Callable[[], object]) -> tuple[int, str, str]:
        pauses = iter(between)

        def sleep(seconds: float) -> None:
            if seconds == PERIOD_S:
                act = next(pauses, None)
                if act is None:
                    raise KeyboardInterrupt
                act()

        monkeypatch.setattr(time, "sleep", sleep)
        return place.run("--watch", str(PERIOD_S))

    return run


def test_only_changes_are_shown(place: Place, guest: Guest, watch: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = watch(lambda: None, lambda: None, lambda: place.start_vm(0))
    assert code == ExitCode.INTERRUPTED
    acts = [line.split()[:2] for line in out.splitlines()]
    assert acts == [["answer", str(guest.id)], ["keep", str(guest.id)], ["wait", str(guest.id + 1)]]
    assert err == "error: interrupted\n"


def test_a_front_end_that_is_away_is_waited_for(
    place: Place, guest: Guest, watch: Callable[..., tuple[int, str, str]]
) -> None:
    place.one.fail_next("vmpool.info", *[Fault.DROP_BEFORE] * 5)
    code, out, err = watch(lambda: None)
    assert code == ExitCode.INTERRUPTED
    assert "error: " in err
    assert "vmpool.info" in err
    assert out.startswith(f"answer  {guest.id}")


def test_an_answer_that_is_lost_is_given_again(
    place: Place, guest: Guest, watch: Callable[..., tuple[int, str, str]]
) -> None:
    place.one.fail_next("vm.update", Fault.HTTP_500)
    _, out, _ = watch(lambda: None)
    first, second = out.splitlines()
    assert first.startswith(f"refuse  {guest.id}")
    assert "HTTP 500" in first
    assert second.startswith(f"answer  {guest.id}")
    guest.agent.step(time.time())
    assert guest.agent.detail == "answered by the site"


def test_a_machine_that_goes_meanwhile_is_no_failure(place: Place, guest: Guest) -> None:
    place.client().call("vm.action", "terminate-hard", guest.id)
    assert place.acts() == {}
