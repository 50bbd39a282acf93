"""Turns the machine off: as systemd likes it first, then ever harder, and looks each time whether it worked."""

import os
import signal
from typing import Callable, Tuple

from b2ct_vmagent.log import log
from b2ct_vmagent.programs import Runner

ORDERLY_S = 120.0
"""How long systemd has to stop everything after an orderly power-off was asked for."""
HARD_S = 30.0
SYSTEMCTL_S = 30.0

Kill = Callable[[int, int], None]
Wait = Callable[[float], object]

IMMEDIATELY = 14
"""SIGRTMIN+14 to the first process: systemd powers off without stopping units (systemd(1), "Signals")."""


def power_off(run: Runner, wait: Wait, kill: Kill = os.kill) -> None:
    """Try one way after the other; comes back only when the machine still runs after all of them.

    Root needs no capabilities for any: systemd takes orders from user 0, and the first process belongs to that user.
    """
    ways: Tuple[Tuple[str, Callable[[], str], float], ...] = (
        ("systemctl poweroff", lambda: _order(run, ["systemctl", "--no-block", "poweroff"]), ORDERLY_S),
        ("systemctl --force poweroff", lambda: _order(run, ["systemctl", "--force", "poweroff"]), HARD_S),
        ("SIGRTMIN+14 to process 1", lambda: _signal(kill, signal.SIGRTMIN + IMMEDIATELY), HARD_S),
    )
    for name, attempt, patience_s in ways:
        refused = attempt()
        if refused:
            log("error", "{}: {}".format(name, refused))
            continue
        log("info", "asked for power-off: {}".format(name))
        wait(patience_s)
        log("error", "still here {:.0f} s after {}".format(patience_s, name))


def _order(run: Runner, argv: "list[str]") -> str:
    done = run(argv, SYSTEMCTL_S)
    return "" if done.code == 0 else done.output or "exit code {}".format(done.code)


def _signal(kill: Kill, number: int) -> str:
    try:
        kill(1, number)
    except OSError as error:
        return str(error)
    return ""
