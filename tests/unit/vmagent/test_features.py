from __future__ import annotations

from pathlib import Path

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.features import JUMP_S, Share, move_shutdown, write_job_features, write_machine_features
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import Settings

END_S = 1_800_000_000
SHARE = Share("torino-7-a-1", 2, END_S - 5000, END_S, 4 << 30, 20 << 30)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    return Paths(str(tmp_path))


def read(folder: str) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in Path(folder).iterdir()}


def test_what_a_machine_has(paths: Paths) -> None:
    write_machine_features(paths, Settings(hs06=0.125, grace_s=60), 8, END_S)
    told = {"total_cpu": "8\n", "grace_secs": "60\n", "shutdowntime": f"{END_S}\n", "hs06": "0.125\n"}
    assert read(paths.machine_features) == told
    for path in Path(paths.machine_features).iterdir():
        assert path.stat().st_mode & 0o777 == 0o644
    assert Path(paths.machine_features).stat().st_mode & 0o777 == 0o755


def test_what_is_not_known_has_no_file(paths: Paths) -> None:
    write_machine_features(paths, Settings(hs06=10.0), 8, END_S)
    write_machine_features(paths, Settings(), 8, None)
    assert sorted(read(paths.machine_features)) == ["grace_secs", "total_cpu"]
    write_job_features(paths, Settings(), 0, SHARE._replace(end_s=None))
    assert not {"wall_limit_secs", "cpu_limit_secs", "shutdowntime_job"} & set(read(paths.job_features(0)))


def test_what_a_job_has(paths: Paths) -> None:
    write_job_features(paths, Settings(grace_s=60), 1, SHARE)
    assert read(paths.job_features(1)) == {
        "allocated_cpu": "2\n",
        "jobstart_secs": f"{END_S - 5000}\n",
        "job_id": "torino-7-a-1\n",
        "wall_limit_secs": "5000\n",
        "cpu_limit_secs": "10000\n",
        "max_rss_bytes": f"{4 << 30}\n",
        "scratch_limit_bytes": f"{20 << 30}\n",
        "shutdowntime_job": f"{END_S}\n",
        "grace_secs_job": "60\n",
    }


def test_no_job_has_less_than_no_time(paths: Paths) -> None:
    write_job_features(paths, Settings(), 0, SHARE._replace(end_s=0))
    told = read(paths.job_features(0))
    assert (told["wall_limit_secs"], told["cpu_limit_secs"], told["shutdowntime_job"]) == ("0\n", "0\n", "0\n")


@pytest.mark.parametrize(("by_s", "moves"), [(JUMP_S, False), (-JUMP_S, False), (JUMP_S + 1, True), (-99999, True)])
def test_the_shutdown_moves_for_all_when_it_moves_by_enough(paths: Paths, by_s: int, moves: bool) -> None:  # noqa: FBT001 - a parameter
    write_machine_features(paths, Settings(), 8, END_S)
    for number in (0, 3):
        write_job_features(paths, Settings(), number, SHARE)
    move_shutdown(paths, END_S + by_s)
    wanted = f"{END_S + by_s * moves}\n"
    assert read(paths.machine_features)["shutdowntime"] == wanted
    assert read(paths.job_features(0))["shutdowntime_job"] == wanted
    assert read(paths.job_features(3))["shutdowntime_job"] == wanted


def test_a_shutdown_is_told_where_none_was_known(paths: Paths) -> None:
    move_shutdown(paths, END_S)
    assert list(Path(paths.run).iterdir()) == []
    write_machine_features(paths, Settings(), 8, None)
    write_job_features(paths, Settings(), 0, SHARE._replace(end_s=None))
    move_shutdown(paths, None)
    assert "shutdowntime" not in read(paths.machine_features)
    Path(paths.machine_features, "shutdowntime").write_text("soon", encoding="ascii")
    move_shutdown(paths, END_S)
    assert read(paths.machine_features)["shutdowntime"] == f"{END_S}\n"
    assert read(paths.job_features(0))["shutdowntime_job"] == f"{END_S}\n"


def test_what_cannot_be_written_is_said(paths: Paths) -> None:
    Path(paths.machine_features).write_text("a file", encoding="ascii")
    with pytest.raises(AgentError, match="machinefeatures"):
        write_machine_features(paths, Settings(), 8, END_S)
