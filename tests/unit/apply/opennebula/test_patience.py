from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from b2ct.apply.opennebula.client import OneClient
from b2ct.apply.opennebula.errors import (
    OneBadAnswerError,
    OneError,
    OneTimeoutError,
    OneUnreachableError,
    make_error,
)
from b2ct.apply.opennebula.patience import Line, Patience, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.opennebula.client import Parameter

QUICK = Patience(restart_s=0.05, poll_s=0.001, poll_most_s=0.002)
TAKEN = make_error("group.allocate", 0x2000, "[one.group.allocate] NAME is already taken by GROUP 5.")
GONE = make_error("image.delete", 0x0400, "[one.image.delete] Error getting image [5].")


def broken(*, sent: bool = True) -> OneUnreachableError:
    return OneUnreachableError("x", "http://x", "broken", sent=sent)


def late() -> OneTimeoutError:
    return OneTimeoutError("x", "http://x", "late", sent=True)


class Script(OneClient):
    """Answers calls as a test says: errors are raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def call(self, method: str, *params: Parameter) -> Any:  # noqa: ANN401, ARG002 - as OneClient.call
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def line(*answers: object) -> Line:
    return Line(Script(*answers), QUICK)


def make(calls: list[object], looks: list[int | None]) -> int:
    script = Script(*calls)
    return line(None).make(lambda: int(script.call("")), lambda: looks.pop(0))


@pytest.mark.parametrize(
    ("calls", "looks"),
    [
        ([5], []),
        ([broken(sent=False), 5], []),
        ([broken(), 5], [None]),
        ([broken()], [5]),
        ([late()], [None, None, 5]),
        ([OneBadAnswerError("x", "http://x", "HTTP 502", sent=True)], [5]),
        ([broken(), TAKEN], [None, 5]),
    ],
)
def test_what_is_made_is_made_once(calls: list[object], looks: list[int | None]) -> None:
    assert make(calls, looks) == 5
    assert looks == []


def test_a_name_that_was_taken_before_is_an_error() -> None:
    with pytest.raises(OneError, match="already taken"):
        make([TAKEN], [])
    with pytest.raises(OneError, match="already taken"):
        make([broken(), TAKEN], [None, None])


@pytest.mark.parametrize("error", [broken(sent=False), late()])
def test_patience_ends(error: Exception) -> None:
    with pytest.raises(type(error)):
        make([error], [None] * 1000)
    with pytest.raises(type(error)):
        line(error).read("image.info", 5)
    with pytest.raises(type(error)):
        line(error).delete("image.delete", 5)


def test_a_certificate_that_is_not_trusted_is_no_reason_to_wait() -> None:
    with pytest.raises(OneBadAnswerError):
        make([OneBadAnswerError("x", "http://x", "its certificate", sent=False), 5], [])


def test_what_is_gone_after_a_lost_answer_was_deleted() -> None:
    line(broken(), GONE).delete("image.delete", 5)
    with pytest.raises(OneError):
        line(GONE).delete("image.delete", 5)


def test_waits_end_when_the_work_is_stopped() -> None:
    stopped = Line(Script(broken()), Patience(), threading.Event())
    stopped.stop.set()
    acts: list[Callable[[], object]] = [
        lambda: stopped.read("image.info", 5),
        lambda: stopped.make(lambda: int(stopped.client.call("")), lambda: None),
        lambda: stopped.delete("image.delete", 5),
    ]
    for act in acts:
        with pytest.raises(StoppedError):
            act()


def test_large_images_may_take_longer() -> None:
    assert Patience(image_s=600, image_mib_per_s=2).for_image(10_240) == 600 + 5120
