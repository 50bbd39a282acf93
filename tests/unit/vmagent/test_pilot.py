from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot import check_pilot, prepare_pilot, start_pilot
from b2ct_vmagent.programs import Done
from b2ct_vmagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(str(tmp_path))
    for folder in (paths.run, paths.pilot_state, paths.scratch):
        Path(folder).mkdir(parents=True)
    return paths


def test_it_runs_on_the_scratch_disk_if_there_is_one(paths: Paths, tmp_path: Path) -> None:
    folder = prepare_pilot(paths, Settings(pilot="run 'it' 100%", scratch="/dev/vdb"))
    assert folder == f"{tmp_path}/scratch/pilot"
    script = (tmp_path / "run/b2ct-vm/pilot").read_text()
    assert script == f"cd {folder} || exit 1\nexport HOME={folder} TMPDIR={folder}\nrun 'it' 100%\n"
    assert (tmp_path / "scratch/pilot").stat().st_mode & 0o777 == 0o700
    assert prepare_pilot(paths, Settings(pilot="again", scratch="/dev/vdb")) == folder
    assert prepare_pilot(paths, Settings(pilot="again")) == f"{tmp_path}/var/lib/b2ct-vm-pilot"


def test_what_is_missing_is_said(paths: Paths) -> None:
    with pytest.raises(AgentError, match="no pilot is asked for"):
        prepare_pilot(paths, Settings())
    Path(paths.pilot_state).rmdir()
    with pytest.raises(AgentError, match=r"b2ct-vm-pilot: No such file"):
        prepare_pilot(paths, Settings(pilot="x"))


def test_a_link_on_the_scratch_disk_gives_nothing_away(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(mode=0o755)
    (tmp_path / "scratch/pilot").symlink_to(tmp_path / "victim")
    with pytest.raises(AgentError, match="scratch/pilot is no folder"):
        prepare_pilot(paths, Settings(pilot="x", scratch="/dev/vdb"))


def test_systemd_is_asked_once_and_its_refusal_told(paths: Paths) -> None:
    asked: list[tuple[Sequence[str], float]] = []

    def run(argv: Sequence[str], timeout_s: float) -> Done:
        asked.append((argv, timeout_s))
        return Done(len(asked) - 1, "no such unit")

    assert start_pilot(paths, run)
    assert asked == [(["systemctl", "--no-block", "start", "b2ct-vm-pilot.service"], 30.0)]
    with pytest.raises(AgentError, match="could not be started: no such unit"):
        start_pilot(paths, run)
    prepare_pilot(paths, Settings(pilot="x"))
    assert not start_pilot(paths, run)


@pytest.mark.parametrize(("pilot", "code", "state"), [("", 0, "skipped"), ("x", 0, "warning"), ("x", 1, "ok")])
def test_a_pilot_that_failed_is_a_warning(pilot: str, code: int, state: str) -> None:
    assert check_pilot(Settings(pilot=pilot), lambda _argv, _timeout_s: Done(code, "")).state.value == state
