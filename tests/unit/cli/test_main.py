"""The edge of the program: exit codes, one JSON document, errors that help."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from b2ct import __version__
from b2ct.cli import main as cli
from b2ct.cli.app import ORDER
from b2ct.errors import ExitCode
from tests.unit.site.sites import SITE, changed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(json.dumps(SITE))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def document(text: str) -> dict[str, Any]:
    found = json.loads(text)
    assert isinstance(found, dict)
    assert found["b2ct"] == 1
    return found


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"b2ct {__version__}\n", "")


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ["init", "check", "schema", "eject", "render", "build-iso", "inspect-iso", "import-templates"]
    commands += ["bundle list", "bundle show", "bundle render", "bundle remove", "image build", "image check"]
    for command in [*commands, "contextualize", "register", "marketplace build"]:
        code, out, _ = run(capsys, *command.split(), "--help")
        assert code == 0
        assert "Usage" in out


def test_a_good_site_file(capsys: pytest.CaptureFixture[str], site: Path) -> None:
    code, out, err = run(capsys, "check", site)
    assert (code, err) == (0, "")
    assert "torino.to.infn.it, 2 hosts, nothing wrong" in out


def test_a_bad_site_file(capsys: pytest.CaptureFixture[str], site: Path) -> None:
    site.write_text(json.dumps(changed("time.zone", "Europe/Roma")))
    code, out, err = run(capsys, "check", site)
    assert (code, out) == (ExitCode.SITE_FILE, "")
    assert f"{site}:1: time.zone:" in err
    assert "1 problem in the site file" in err


def test_a_bad_site_file_as_json(capsys: pytest.CaptureFixture[str], site: Path) -> None:
    site.write_text(json.dumps(changed("time.zone", "Europe/Roma")))
    code, out, err = run(capsys, "check", site, "--json")
    assert (code, err) == (ExitCode.SITE_FILE, "")
    found = document(out)
    assert found["ok"] is False
    assert found["error"]["problems"][0]["where"] == "time.zone"


def test_brackets_in_messages_are_no_markup(capsys: pytest.CaptureFixture[str], site: Path) -> None:
    site.write_text(json.dumps(changed("time.zone", "[bold]x[/]")))
    assert "[bold]x[/]" in run(capsys, "check", site)[2]


def test_a_wrong_call_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", "--nonsense")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "--nonsense" in err
    code, out, err = run(capsys, "check", "--nonsense", "--json")
    assert (code, err) == (ExitCode.USAGE, "")
    assert document(out)["ok"] is False


def test_an_interrupt_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("b2ct.cli.describe_commands.read_site", interrupt)
    code, out, err = run(capsys, "check", site)
    assert (code, out) == (ExitCode.INTERRUPTED, "")
    assert "interrupted" in err


def test_init_writes_a_file_that_check_accepts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "site.yaml"
    assert run(capsys, "init", path, "--name", "torino", "--domain", "to.infn.it")[0] == 0
    assert run(capsys, "check", path)[0] == 0
    code, _, err = run(capsys, "init", path, "--name", "torino", "--domain", "to.infn.it")
    assert code == ExitCode.FAILED
    assert "exists already" in err


def test_b2ct_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "build-iso" in out


def test_init_takes_no_private_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nS3CRET\n")
    site = tmp_path / "site.yaml"
    code, _, err = run(capsys, "init", site, "--name", "a", "--domain", "b.c", "--ssh-key", key)
    assert code == ExitCode.USAGE
    assert "not a public SSH key" in err
    assert "S3CRET" not in err
    assert not site.exists()


def test_init_asks_on_a_terminal_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "init", tmp_path / "site.yaml")
    assert code == ExitCode.USAGE
    assert "--name" in err


def test_init_writes_nothing_when_an_answer_is_bad(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    code, _, err = run(capsys, "init", path, "--name", "Torino", "--domain", "to.infn.it")
    assert code == ExitCode.SITE_FILE
    assert "has to be a host name" in err
    assert not path.exists()


def test_the_schema_is_json_and_names_its_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(run(capsys, "schema")[1])
    assert "2020-12" in schema["$schema"]
    assert schema["properties"]["hosts"]["description"]


def test_an_ejected_file_takes_the_place_of_ours(
    capsys: pytest.CaptureFixture[str], site: Path, tmp_path: Path
) -> None:
    name = "iso/menus/grub2.j2"
    assert name in run(capsys, "eject", "--list")[1].splitlines()
    code, out, _ = run(capsys, "eject", name, "--site", site)
    assert (code, out.strip()) == (0, str(tmp_path / "overrides" / name))
    code, _, err = run(capsys, "eject", name, "--site", site)
    assert code == ExitCode.FAILED
    assert "exists already" in err
    assert run(capsys, "eject", "pyproject.toml", "--site", site)[0] == ExitCode.USAGE


def test_render_writes_a_kickstart_for_each_host(
    capsys: pytest.CaptureFixture[str], site: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, text, _ = run(capsys, "render", site, "--out", out)
    assert code == 0
    assert sorted(text.split()) == sorted(str(path) for path in out.rglob("*.ks"))
    assert {path.name for path in out.rglob("*.ks")} == {"cn01.ks", "hv01.ks", "ask.ks"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which stock ISO?"),
        (["--stock", "none.iso"], "none.iso: no such file"),
        (["--stock", "x", "--cmdline", "a;b"], "would interpret"),
        (["--stock", "x", "--timeout", "0"], "--timeout"),
    ],
)
def test_build_iso_says_what_it_needs(
    capsys: pytest.CaptureFixture[str], site: Path, arguments: list[str], words: str
) -> None:
    code, _, err = run(capsys, "build-iso", site, *arguments)
    assert code == ExitCode.USAGE
    assert words in err


def test_a_group_of_commands_alone_shows_its_help_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "bundle")
    assert code == ExitCode.USAGE
    assert "Usage: b2ct bundle" in out + err
    assert "error" not in out + err


def test_the_commands_are_listed_in_the_order_in_which_a_site_meets_them(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    listed = re.findall(r"^│ ([a-z][a-z-]+) ", out, re.MULTILINE)
    assert listed == list(ORDER)


def test_check_looks_at_the_bundles_of_the_vms_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    vms = [{"bundle": "belle2-worker", "vo": "belle", "guest": "debian11"}, {"bundle": "bele2-worker", "vo": "belle"}]
    site.write_text(json.dumps({**SITE, "vms": vms}))
    code, _, err = run(capsys, "check", site)
    assert code == ExitCode.SITE_FILE
    assert "belle2-worker has no guest debian11" in err
    assert "there is no bundle bele2-worker" in err
    site.write_text(json.dumps({**SITE, "vms": vms[1:]}))
    code, out, err = run(capsys, "check", site)
    assert (code, "there is no bundle bele2-worker" in err) == (ExitCode.DONE, True)  # it may be elsewhere
    assert "can be used" in out
    site.write_text(json.dumps({**SITE, "sources": {"bundles": "ftp://x/b"}, "vms": vms}))
    code, _, err = run(capsys, "check", site)
    assert code == ExitCode.SITE_FILE
    assert "sources.bundles" in err
    site.write_text(json.dumps({**SITE, "vms": vms}))
    (tmp_path / "bundles" / "own").mkdir(parents=True)
    (tmp_path / "bundles" / "own" / "bundle.yaml").write_text("name: [")
    code, _, err = run(capsys, "check", site)
    assert code == ExitCode.SITE_FILE
    assert "bundles/own/bundle.yaml:2: not valid YAML" in err


def test_check_asks_no_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    sources = {"bundles": "http://127.0.0.1:9/b2ct", "bundles_key": f"RW{'A' * 54}"}
    site.write_text(json.dumps({**SITE, "sources": sources, "vms": [{"bundle": "elsewhere", "vo": "belle"}]}))
    assert run(capsys, "check", site)[0] == ExitCode.DONE
