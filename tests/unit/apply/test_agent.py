from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from b2ct_vmagent import RELEASED_S, __version__
from b2ct_vmagent.cli import main
from b2ct_vmagent.settings import KEYS

from b2ct.apply.agent import (
    AGENT_UNIT,
    AGENT_UNITS,
    STARTED_UNITS,
    agent_files,
    build_agent,
    read_release,
    render_manual,
)
from b2ct.assets import Assets
from b2ct.errors import UsageError

VMAGENT = Path(__file__).parents[3] / "vmagent"


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_agent(Assets())
    copy = tmp_path / "vmagent/b2ct_vmagent"
    copy.mkdir(parents=True)
    for source in sorted((VMAGENT / "b2ct_vmagent").glob("*.py"), reverse=True):
        (copy / source.name).write_bytes(source.read_bytes())
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__/cli.cpython-311.pyc").write_bytes(b"x")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert build_agent(replace(Assets(), packaged=tmp_path)) == first


def test_holds_every_module_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(build_agent(Assets()))) as archive:
        names = archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    modules = [f"b2ct_vmagent/{source.name}" for source in (VMAGENT / "b2ct_vmagent").glob("*.py")]
    assert names == sorted([*modules, "__main__.py"])


def test_the_files_of_a_guest() -> None:
    files = {file.path: file.mode for file in agent_files(Assets())}
    assert files == {
        "etc/b2ct-vm/agent.conf": 0o600,
        "usr/bin/b2ct-agent": 0o755,
        "usr/lib/systemd/system/b2ct-vm-agent.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-context.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-htcondor.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-pilot-secrets@.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-pilot@.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-scratch.service": 0o644,
        "usr/lib/systemd/system-preset/80-b2ct-vm.preset": 0o644,
        "usr/lib/tmpfiles.d/b2ct-vm.conf": 0o644,
        "usr/libexec/b2ct-vm/agent": 0o755,
        "usr/libexec/b2ct-vm/agent.pyz": 0o644,
        "usr/share/man/man8/b2ct-agent.8": 0o644,
    }
    assert list(files) == sorted(files)
    units = {f"usr/lib/systemd/system/{unit}" for unit in (*AGENT_UNITS, *STARTED_UNITS)}
    assert units == {file for file in files if file.startswith("usr/lib/systemd/system/")}
    assert AGENT_UNIT in AGENT_UNITS


def test_the_sample_settings_set_nothing() -> None:
    conf = next(file for file in agent_files(Assets()) if file.path == "etc/b2ct-vm/agent.conf")
    lines = conf.data.decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["[agent]"]


def test_the_preset_enables_the_units_that_start_with_the_machine() -> None:
    files = {file.path: file.data for file in agent_files(Assets())}
    lines = files["usr/lib/systemd/system-preset/80-b2ct-vm.preset"].decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"enable {unit}" for unit in AGENT_UNITS]


def test_the_manual_names_every_command_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    manual = render_manual(Assets()).replace("\\-", "-")
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^ {4}(\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) > 5
    assert [name for name in commands if not re.search(rf"^\\fBb2ct-agent {name}\b", manual, re.MULTILINE)] == []
    settings = manual.partition("\n.SH SETTINGS\n")[2]
    assert [key.option for key in KEYS if f"\n.TP\n\\fB{key.option}\\fP\n" not in settings] == []


def test_the_release_is_what_the_agent_says() -> None:
    assert read_release(Assets()) == (__version__, RELEASED_S)


def test_sources_that_do_not_say_their_release_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "vmagent/b2ct_vmagent/__init__.py"
    own.parent.mkdir(parents=True)
    own.write_text('__version__ = "1.0"\n', encoding="ascii")
    with pytest.raises(UsageError, match="does not say __version__ and RELEASED_S"):
        read_release(Assets(overrides=tmp_path))


def test_a_site_may_have_its_own_unit(tmp_path: Path) -> None:
    own = tmp_path / "vmagent/files/usr/lib/systemd/system/b2ct-vm-agent.service"
    own.parent.mkdir(parents=True)
    own.write_text("[Unit]\n", encoding="ascii")
    files = {file.path: file.data for file in agent_files(Assets(overrides=tmp_path))}
    assert files["usr/lib/systemd/system/b2ct-vm-agent.service"] == b"[Unit]\n"
