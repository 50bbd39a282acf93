from __future__ import annotations

import stat
from pathlib import Path

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.orders import LONGEST_REASON, Note, take_note, write_note
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import Order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


@pytest.mark.parametrize("order", list(Order))
def test_a_note_is_taken_once(paths: Paths, order: Order) -> None:
    write_note(paths, Note(Order.NONE, "before"))
    write_note(paths, Note(order, 'Stromausfall "Süd"'))
    assert stat.S_IMODE(Path(paths.order).stat().st_mode) == 0o600
    assert take_note(paths) == Note(order, 'Stromausfall "Süd"')
    assert take_note(paths) is None


def test_of_orders_that_wait_the_weightiest_and_the_last_reason_hold(paths: Paths) -> None:
    write_note(paths, Note(Order.DRAIN, "kernel update"))
    write_note(paths, Note(Order.DRAIN, ""))
    assert take_note(paths) == Note(Order.DRAIN, "kernel update")
    write_note(paths, Note(Order.HALT, "fire"))
    write_note(paths, Note(Order.DRAIN, "smoke"))
    assert take_note(paths) == Note(Order.HALT, "smoke")


def test_a_note_may_be_the_first_file(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    write_note(paths, Note(Order.DRAIN, ""))
    assert take_note(paths) == Note(Order.DRAIN, "")


@pytest.mark.parametrize("reason", ["a\nb", "\x1b[2J", "x" * (LONGEST_REASON + 1), "a\u2028b"])
def test_a_reason_is_one_line(paths: Paths, reason: str) -> None:
    with pytest.raises(AgentError, match="one line of at most 200"):
        write_note(paths, Note(Order.HALT, reason))
    assert not Path(paths.order).exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([b"[]", b"{}", b"null", b'"HALT"', b'{"order": 1}', b'{"order": "halt", "reason": ""}']),
    )
)
def test_a_damaged_note_is_no_order_and_is_not_read_twice(paths: Paths, damage: bytes) -> None:
    Path(paths.order).write_bytes(damage)
    with pytest.raises(AgentError):
        take_note(paths)
    assert take_note(paths) is None
