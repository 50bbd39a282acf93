from __future__ import annotations

import errno
import gzip
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest
from b2ct_vmagent import logs
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.logs import UPLOAD_S, save_logs
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done
from b2ct_vmagent.web import Answer, WebError

if TYPE_CHECKING:
    from collections.abc import Sequence

JOURNAL = b"2026-01-01 pilot: hello\n" * 1000


@pytest.fixture
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("machine")
    (root / "var/lib/b2ct-vm").mkdir(parents=True)
    return Paths(str(root))


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: Sequence[str], timeout_s: float, output: BinaryIO) -> Done:
        assert list(argv[:2]) == ["/bin/sh", "-c"]
        assert "journalctl" in argv[2]
        assert f"tail -c {logs.MOST_BYTES}" in argv[2]
        assert timeout_s > 0
        output.write(JOURNAL)
        return Done(0, "")

    monkeypatch.setattr(logs, "run_into", run)


def test_into_a_folder_whole_or_not_at_all(paths: Paths, tmp_path: Path) -> None:
    assert save_logs(paths, f"{tmp_path}/", "torino-7-a") == f"{tmp_path}/torino-7-a.log.gz"
    (path,) = tmp_path.iterdir()
    assert gzip.decompress(path.read_bytes()) == JOURNAL
    assert list((Path(paths.root) / "var/lib/b2ct-vm").iterdir()) == []
    with pytest.raises(AgentError, match="No such file"):
        save_logs(paths, f"{tmp_path}/none", "x")


def test_to_a_server(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(method: str, url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Answer:
        assert (method, url, timeout_s) == ("PUT", "https://logs.example.org/belle/u.log.gz", UPLOAD_S)
        assert headers == {"Content-Type": "application/gzip"}
        assert gzip.decompress(body) == JOURNAL
        return Answer(201, b"")

    monkeypatch.setattr(logs, "ask", ask)
    assert save_logs(paths, "https://logs.example.org/belle/", "u") == "https://logs.example.org/belle/u.log.gz"


def test_a_server_that_refuses_or_hangs(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> Answer:
        raise WebError("no whole answer in 60 s")

    monkeypatch.setattr(logs, "ask", lambda *_: Answer(403, b"no"))
    with pytest.raises(AgentError, match=r"u\.log\.gz: HTTP 403"):
        save_logs(paths, "https://logs.example.org", "u")
    monkeypatch.setattr(logs, "ask", hang)
    with pytest.raises(AgentError, match="no whole answer"):
        save_logs(paths, "https://logs.example.org", "u")


@pytest.mark.parametrize("place", ["builtins.open", "os.open", "os.replace"])
def test_a_full_disk_is_only_the_loss_of_the_logs(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(place, full)
    with pytest.raises(AgentError, match="No space left"):
        save_logs(paths, str(tmp_path), "u")
    assert not (tmp_path / "u.log.gz").exists()


def test_a_journal_that_cannot_be_read(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "run_into", lambda *_: Done(124, "no answer in 60 s"))
    with pytest.raises(AgentError, match="journal cannot be read: no answer in 60 s"):
        save_logs(paths, str(tmp_path), "u")
    assert list(tmp_path.iterdir()) == []
