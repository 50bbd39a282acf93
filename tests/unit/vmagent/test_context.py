from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from b2ct_vmagent.context import load_context, save_cd
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Done

from tests.unit.vmagent.context_cd import make_cd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOKEN = "7CN6/3GAqSWdLj4u1dXqxA=="  # noqa: S105 - only the form of one


def run_nothing(argv: Sequence[str], timeout_s: float) -> Done:
    del argv, timeout_s
    return Done(127, "")


def write(root: Path, place: str, text: str) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text, encoding="utf-8")


def test_a_bare_machine_has_no_context(tmp_path: Path) -> None:
    context = load_context(Paths(str(tmp_path)))
    assert context.values == {}
    assert context.token == ""
    assert context.problems == ()


def test_the_cd_wins_over_one_context_and_both_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "run/b2ct-vm/context.sh", "B2CT_VO='cd'\nVMID='7'\n")
    write(tmp_path, "run/one-context/one_env", 'export B2CT_VO="one"\nexport B2CT_SITE="one"\nexport TOKENTXT="t1"\n')
    write(tmp_path, "etc/b2ct-vm/agent.conf", "[agent]\nvo = file\nsite = file\nkind = 100%s\n")
    context = load_context(Paths(str(tmp_path)))
    assert (context.settings.vo, context.settings.site, context.settings.kind) == ("cd", "one", "100%s")
    assert context.settings.vmid == "7"
    assert context.token.startswith("t1")
    assert context.values["site"].origin == str(tmp_path / "run/one-context/one_env")


def test_the_name_is_the_one_that_is_set(tmp_path: Path) -> None:
    write(tmp_path, "run/b2ct-vm/context.sh", "NAME='vm-1'\nSET_HOSTNAME='worker-1'\n")
    assert load_context(Paths(str(tmp_path))).settings.hostname == "worker-1"


def test_the_token_of_the_cd(tmp_path: Path) -> None:
    write(tmp_path, "run/b2ct-vm/token.txt", TOKEN + "\n")
    write(tmp_path, "run/one-context/one_env", "export TOKENTXT='other'\n")
    assert load_context(Paths(str(tmp_path))).token == TOKEN


def test_a_damaged_token_is_told_but_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "run/b2ct-vm/token.txt", "geheim\r\nX-Other: 1")
    context = load_context(Paths(str(tmp_path)))
    assert context.token == ""
    assert context.problems == ("the OneGate token is damaged",)


def test_what_is_wrong_with_the_file_is_told(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    for text, told in (
        ("[agent]\nvos = belle\n", "there is no option vos"),
        ("vo = belle\n", "no section headers"),
        ("[agent]\nvo = a\nvo = b\n", "already exists"),
        ("[agent]\nvmid = seven\n", "vmid: has to be a number"),
        ("\x00" * (1 << 21), "larger than 1 MiB"),
    ):
        write(tmp_path, "etc/b2ct-vm/agent.conf", text)
        assert told in " ".join(load_context(paths).problems)
    (tmp_path / "etc/b2ct-vm/agent.conf").write_bytes(b"[agent]\nvo = \xff\n")
    assert "not UTF-8" in load_context(paths).problems[0]


def test_other_sections_and_variables_are_left_to_others(tmp_path: Path) -> None:
    write(tmp_path, "etc/b2ct-vm/agent.conf", "[pilot]\ncommand = x\n[agent]\nvo = belle\n")
    write(tmp_path, "run/b2ct-vm/context.sh", "B2CT_VERSION='3'\nETH0_IP='192.0.2.1'\n")
    assert load_context(Paths(str(tmp_path))).problems == ()


def test_a_file_without_the_section_is_told(tmp_path: Path) -> None:
    write(tmp_path, "etc/b2ct-vm/agent.conf", "[agnet]\nvo = belle\n")
    (problem,) = load_context(Paths(str(tmp_path))).problems
    assert problem.endswith("agent.conf: there is no section [agent]")


def test_the_cd_is_copied_for_root_only(tmp_path: Path) -> None:
    make_cd(tmp_path / "dev/sr0", {}, "cidata")
    make_cd(tmp_path / "dev/sr1", {"context.sh": b"VMID='9'\n", "token.txt": b"t\n", "init.sh": b"rm -rf /"})
    paths = Paths(str(tmp_path))
    assert save_cd(paths, run_nothing) == str(tmp_path / "dev/sr1")
    copies = sorted((tmp_path / "run/b2ct-vm").iterdir())
    assert [copy.name for copy in copies] == ["context.sh", "token.txt"]
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in copies} == {0o600}
    context = load_context(paths)
    assert (context.settings.vmid, context.token) == ("9", "t")


def test_without_a_cd_nothing_is_written(tmp_path: Path) -> None:
    assert save_cd(Paths(str(tmp_path)), run_nothing) is None
    assert list(tmp_path.iterdir()) == []
