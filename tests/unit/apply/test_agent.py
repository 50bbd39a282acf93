from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.agent import AGENT_UNIT, AGENT_UNITS, PILOT_UNIT, agent_files, build_agent
from b2ct.assets import Assets

if TYPE_CHECKING:
    import pytest

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
        "usr/lib/systemd/system/b2ct-vm-pilot.service": 0o644,
        "usr/lib/systemd/system/b2ct-vm-scratch.service": 0o644,
        "usr/lib/tmpfiles.d/b2ct-vm.conf": 0o644,
        "usr/libexec/b2ct-vm/agent": 0o755,
        "usr/libexec/b2ct-vm/agent.pyz": 0o644,
    }
    assert list(files) == sorted(files)
    assert {f"usr/lib/systemd/system/{unit}" for unit in (*AGENT_UNITS, PILOT_UNIT)} <= set(files)
    assert AGENT_UNIT in AGENT_UNITS


def test_the_sample_settings_set_nothing() -> None:
    conf = next(file for file in agent_files(Assets()) if file.path == "etc/b2ct-vm/agent.conf")
    lines = conf.data.decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["[agent]"]


def test_a_site_may_have_its_own_unit(tmp_path: Path) -> None:
    own = tmp_path / "vmagent/files/usr/lib/systemd/system/b2ct-vm-agent.service"
    own.parent.mkdir(parents=True)
    own.write_text("[Unit]\n", encoding="ascii")
    files = {file.path: file.data for file in agent_files(Assets(overrides=tmp_path))}
    assert files["usr/lib/systemd/system/b2ct-vm-agent.service"] == b"[Unit]\n"
