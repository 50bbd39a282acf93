from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from b2ct_vmagent import cli
from b2ct_vmagent.cli import main
from b2ct_vmagent.orders import Note, take_note
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import load_end
from b2ct_vmagent.programs import Done
from b2ct_vmagent.reports import News, Order, Phase
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.status import Status, make_document, write_status


def test_context_says_where_each_setting_comes_from_and_hides_the_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    (tmp_path / "run/b2ct-vm/context.sh").write_text("B2CT_VO='belle'\n", encoding="ascii")
    (tmp_path / "run/b2ct-vm/token.txt").write_text("geheim", encoding="ascii")
    assert main(["--root", str(tmp_path), "context"]) == 0
    shown = capsys.readouterr().out
    assert f"belle  ({tmp_path}/run/b2ct-vm/context.sh)" in shown
    assert "OneGate token        present" in shown
    assert "geheim" not in shown


def test_wrong_settings_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    (tmp_path / "run/b2ct-vm/context.sh").write_text("VMID='x'\n", encoding="ascii")
    assert main(["--root", str(tmp_path), "context"]) == 1
    assert "vmid: has to be a number" in capsys.readouterr().err


def test_status_without_an_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "status"]) == 1
    assert "is b2ct-vm-agent.service running?" in capsys.readouterr().err


def test_doctor_writes_nothing_and_fails_where_something_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "run_program", lambda *_: Done(127, ""))
    assert main(["--root", str(tmp_path), "doctor"]) == 1
    shown = capsys.readouterr().out
    assert "failed   disk: " in shown
    assert "failed   agent: " in shown
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def running(tmp_path: Path) -> Paths:
    """The files of a machine whose agent runs, with two payloads."""
    paths = Paths(str(tmp_path))
    (tmp_path / "run/b2ct-vm").mkdir(parents=True)
    news = News(ready=True, state=Phase.WORKING, jobs=2)
    write_status(paths, make_document(Status(()), Settings(), news, {}, "u"), 60)
    return paths


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["drain"], Note(Order.DRAIN, "")),
        (["drain", "--reason", "Stromausfall"], Note(Order.DRAIN, "Stromausfall")),
        (["halt", "--yes", "--reason", "fire"], Note(Order.HALT, "fire")),
    ],
)
def test_orders_are_left_for_the_agent(
    running: Paths, arguments: list[str], note: Note, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", running.root, *arguments]) == 0
    assert take_note(running) == note
    assert ("halts when all payloads have ended, 2 now" in capsys.readouterr().out) is (note.order is Order.DRAIN)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("answer", ["y\n", "\n", ""])
def test_payloads_are_not_lost_by_mistake(
    running: Paths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,  # noqa: FBT001 - a parameter
    answer: str,
) -> None:
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", stdin)
    halts = terminal and answer == "y\n"
    assert main(["--root", running.root, "halt"]) == (0 if halts else 1)
    assert (take_note(running) is not None) is halts
    said = capsys.readouterr().err
    assert ("Payloads that run will be lost, 2" in said) is terminal
    assert ("nothing was done" in said) is not halts


@pytest.mark.parametrize("order", ["drain", "halt"])
def test_orders_without_an_agent_or_with_a_wrong_reason(
    tmp_path: Path, running: Paths, capsys: pytest.CaptureFixture[str], order: str
) -> None:
    assert main(["--root", f"{tmp_path}/none", order]) == 1
    assert "is b2ct-vm-agent.service running?" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert main(["--root", running.root, order, "--reason", "a\nb", *(["--yes"] if order == "halt" else [])]) == 1
    assert "one line" in capsys.readouterr().err
    assert take_note(running) is None


def test_status_for_people_and_programs(running: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", running.root, "status"]) == 0
    assert capsys.readouterr().out == "ready, working; jobs: 2 now, 0 ended\n"
    assert main(["--root", running.root, "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"] == 2


def test_a_pilot_is_prepared_and_its_end_written_down(
    running: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = Path(running.conf)
    conf.parent.mkdir(parents=True)
    conf.write_text("[agent]\npilot = run it\n", encoding="ascii")
    assert main(["--root", running.root, "pilot", "0"]) == 1
    assert "b2ct-vm-pilot/0: No such file" in capsys.readouterr().err
    Path(running.pilot_state(0)).mkdir(parents=True)
    assert main(["--root", running.root, "pilot", "0"]) == 0
    assert capsys.readouterr().out == f"runs in {running.pilot_state(0)}\n"
    assert load_end(running, 0) is None
    monkeypatch.setenv("SERVICE_RESULT", "oom-kill")
    assert main(["--root", running.root, "pilot", "0", "--ended"]) == 0
    ended = load_end(running, 0)
    assert ended is not None
    assert ended.result == "oom-kill"


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["status", "--xml"], ["pilot", "256"], ["pilot", "-1"], ["pilot", "0", "--ended", "--secrets"]],
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
