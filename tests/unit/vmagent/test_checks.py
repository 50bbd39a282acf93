from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent import RELEASED_S, checks
from b2ct_vmagent.checks import State, check_clock, check_disk, check_names, check_settings, names_to_resolve
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done, Runner
from b2ct_vmagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def says(output: str) -> Runner:
    def run(argv: Sequence[str], timeout_s: float) -> Done:
        assert list(argv) == ["timedatectl"]
        assert timeout_s > 0
        return Done(0, output)

    return run


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ("   Local time: Sat\nSystem clock synchronized: yes\nNTP service: active", State.OK),
        ("     NTP enabled: yes\nNTP synchronized: yes", State.OK),
        ("System clock synchronized: no", State.WARNING),
        ("timedatectl: No such file or directory", State.WARNING),
    ],
)
def test_the_clock(output: str, state: State) -> None:
    assert check_clock(says(output), RELEASED_S + 1).state is state


def test_a_clock_of_the_past_cannot_work() -> None:
    check = check_clock(says("System clock synchronized: yes"), 0)
    assert check.state is State.FAILED
    assert "1970-01-01" in check.detail


def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(str(tmp_path))
    assert check_disk(paths, Settings()).state is State.FAILED
    (tmp_path / "var").mkdir()
    assert check_disk(paths, Settings()).state is State.OK
    assert check_disk(paths, Settings(scratch="/dev/vdb")).state is State.FAILED
    monkeypatch.setattr(checks, "SMALLEST_FREE_MIB", 1 << 40)
    assert "needs 1099511627776" in check_disk(paths, Settings()).detail


def test_only_names_are_resolved() -> None:
    settings = Settings(
        cvmfs_proxy="http://squid.example.org:3128|http://10.0.0.1:3128;http://[2001:db8::a]:3128;DIRECT",
        onegate_endpoint="http://gate.example.org:5030/x",
    )
    assert names_to_resolve(settings) == ["gate.example.org", "squid.example.org"]
    assert check_names(Settings(onegate_endpoint="http://169.254.16.9:5030")).state is State.SKIPPED


def test_names_that_do_not_resolve_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(name: str, port: None) -> list[object]:
        if name != "gate.example.org":
            raise OSError(port)
        return [object()]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    settings = Settings(cvmfs_proxy="http://squid.example.org:3128", onegate_endpoint="http://gate.example.org")
    check = check_names(settings)
    assert (check.state, check.detail) == (State.FAILED, "cannot be resolved: squid.example.org")
    assert check_names(Settings(onegate_endpoint="http://gate.example.org")).state is State.OK


def test_problems_of_the_settings_fail() -> None:
    assert check_settings(["a", "b"]) == ("settings", State.FAILED, "a; b")
    assert check_settings([]).state is State.OK
