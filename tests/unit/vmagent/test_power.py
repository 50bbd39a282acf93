from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.power import HARD_S, ORDERLY_S, power_off
from b2ct_vmagent.programs import Done

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDERLY = "systemctl --no-block poweroff"
FORCED = "systemctl --force poweroff"
SIGNAL = f"kill 1 {signal.SIGRTMIN + 14}"


class Stubborn:
    """A machine that stays on whatever is asked; what is in ``refuses`` is refused."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.did: list[str] = []

    def run(self, argv: Sequence[str], timeout_s: float) -> Done:
        assert 0 < timeout_s <= 60
        return Done(int(not self._do(" ".join(argv))), "Access denied")

    def kill(self, process: int, number: int) -> None:
        if not self._do(f"kill {process} {number}"):
            raise PermissionError(1, "Operation not permitted")

    def wait(self, for_s: float) -> None:
        self.did.append(f"wait {for_s:.0f}")

    def _do(self, what: str) -> bool:
        self.did.append(what)
        return what not in self.refuses


@pytest.mark.parametrize(
    ("refuses", "did"),
    [
        ((), [ORDERLY, f"wait {ORDERLY_S:.0f}", FORCED, f"wait {HARD_S:.0f}", SIGNAL, f"wait {HARD_S:.0f}"]),
        ((ORDERLY,), [ORDERLY, FORCED, f"wait {HARD_S:.0f}", SIGNAL, f"wait {HARD_S:.0f}"]),
        ((ORDERLY, FORCED), [ORDERLY, FORCED, SIGNAL, f"wait {HARD_S:.0f}"]),
        ((ORDERLY, FORCED, SIGNAL), [ORDERLY, FORCED, SIGNAL]),
    ],
)
def test_ever_harder(refuses: tuple[str, ...], did: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    machine = Stubborn(*refuses)
    power_off(machine.run, machine.wait, machine.kill)
    assert machine.did == did
    said = capsys.readouterr().err
    assert said.count("Access denied") == sum("systemctl" in way for way in refuses)
    assert said.count("not permitted") == sum("kill" in way for way in refuses)


def test_when_it_works_nothing_harder_is_tried() -> None:
    machine = Stubborn()

    def gone(_for_s: float) -> None:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        power_off(machine.run, gone, machine.kill)
    assert machine.did == [ORDERLY]
