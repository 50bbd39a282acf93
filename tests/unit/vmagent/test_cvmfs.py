from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.checks import State
from b2ct_vmagent.cvmfs import check_cvmfs, cvmfs_quote, quota_mib, render_cvmfs_settings, write_cvmfs_settings
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORKER = Settings(cvmfs_repositories=("belle.cern.ch", "belle.kek.jp"), cvmfs_proxy="http://a:3128|http://b:3128")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A machine with a CVMFS client."""
    for folder in ("usr/bin", "etc/cvmfs", "var/lib/cvmfs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/cvmfs_config").touch()
    return Paths(str(tmp_path))


@pytest.mark.parametrize(
    ("partition_bytes", "limit_mib"),
    [(10 * 10**9, 7152), (25 * 10**9, 19073), (10**12, 20000), (10**9, 1000), (0, 1000)],
)
def test_the_quota_leaves_room(partition_bytes: int, limit_mib: int) -> None:
    assert quota_mib(partition_bytes) == limit_mib
    if limit_mib > 1000:
        assert limit_mib << 20 < partition_bytes


def test_the_settings_file() -> None:
    lines = render_cvmfs_settings(WORKER, 10 * 10**9).splitlines()
    assert lines[0].startswith("#")
    assert lines[1:] == [
        'CVMFS_REPOSITORIES="belle.cern.ch,belle.kek.jp"',
        'CVMFS_HTTP_PROXY="http://a:3128|http://b:3128"',
        "CVMFS_QUOTA_LIMIT=7152",
    ]
    assert "CVMFS_QUOTA_LIMIT=500\n" in render_cvmfs_settings(WORKER._replace(cvmfs_quota_mib=500), 0)


@pytest.mark.parametrize("value", ['"', "$(id)", "`id`", "a\nb", "a b", "'", "\\", "a\x00", "ü"])
def test_refuses_what_a_shell_could_read(value: str) -> None:
    with pytest.raises(AgentError):
        cvmfs_quote(value)


def test_writes_once(paths: Paths) -> None:
    assert write_cvmfs_settings(paths, WORKER)
    assert not write_cvmfs_settings(paths, WORKER)


def test_writes_nothing_without_a_proxy_or_a_client(paths: Paths, tmp_path: Path) -> None:
    assert not write_cvmfs_settings(paths, WORKER._replace(cvmfs_proxy=""))
    (tmp_path / "usr/bin/cvmfs_config").unlink()
    assert not write_cvmfs_settings(paths, WORKER)
    assert list((tmp_path / "etc/cvmfs").iterdir()) == []


def test_every_repository_is_probed(paths: Paths) -> None:
    asked = []

    def run(argv: Sequence[str], timeout_s: float) -> Done:
        asked.append((list(argv[1:]), timeout_s))
        return Done(0, "Probing ... OK") if argv[2] == "belle.cern.ch" else Done(1, "first\nProbing ... Failed!")

    checks = check_cvmfs(paths, WORKER, run)
    assert asked == [(["probe", "belle.cern.ch"], 60.0), (["probe", "belle.kek.jp"], 60.0)]
    assert [(check.name, check.state, check.detail) for check in checks] == [
        ("cvmfs:belle.cern.ch", State.OK, "mounted"),
        ("cvmfs:belle.kek.jp", State.FAILED, "Probing ... Failed!"),
    ]


def test_no_repositories_and_no_client(paths: Paths, tmp_path: Path) -> None:
    def run(argv: Sequence[str], timeout_s: float) -> Done:
        raise AssertionError((argv, timeout_s))

    assert check_cvmfs(paths, Settings(), run)[0].state is State.SKIPPED
    (tmp_path / "usr/bin/cvmfs_config").unlink()
    assert check_cvmfs(paths, WORKER, run)[0].state is State.FAILED
