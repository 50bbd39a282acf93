from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.cli import main

if TYPE_CHECKING:
    from pathlib import Path


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


def test_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "check"]) == 1
    assert "failed   disk: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["dance"], ["status", "--xml"]])
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err
