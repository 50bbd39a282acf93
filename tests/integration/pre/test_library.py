"""The text of the %pre library: its syntax, what it must not use, and that reading it does nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.pre_machine import BASH, LIBRARY, PARTS
from tests.rigs.tools import need_tool

NEWER_THAN_BASH_3_2 = {
    "case modification": r"\$\{[A-Za-z_0-9\[\]@*]+(,,?|\^\^?)",
    "associative array": r"\b(declare|local|typeset) -[a-zA-Z]*[Agn]",
    "mapfile": r"\b(mapfile|readarray|coproc)\b",
    "&>> or |&": r"&>>|\|&",
    "read -i or -N": r"\bread -[a-zA-Z]*[iN]",
    "fraction of a second": r"read [^\n]*-t ?[0-9]*\.",
    "[[ -v ]] or [[ -R ]]": r"\[\[ (! )?-[vR] ",
    "negative substring or index": r"\$\{[A-Za-z_0-9@]+: +-|\[-[0-9]+\]",
    "@ transformation": r"\$\{[A-Za-z_0-9\[\]@*]+@[A-Za-z]\}",
    "printf of a time": r"%\([^)]*\)T",
    "{fd}> redirection": r"\{[A-Za-z_]+\}[<>]",
    "case fall-through": r";;?&",
    "brace step": r"\{[0-9a-z]+\.\.[0-9a-z]+\.\.",
    "globstar, lastpipe": r"shopt -s (globstar|lastpipe|inherit_errexit)",
    "new variables": r"\$\{?(EPOCH|BASHPID|SRANDOM|BASH_ARGV0)",
    "process substitution, which needs /dev/fd": r"[<>]\(",
}


@pytest.mark.parametrize("name", PARTS)
def test_syntax(name: str) -> None:
    subprocess.run([BASH, "-n", LIBRARY / name], check=True)


@pytest.mark.parametrize("name", PARTS)
def test_shellcheck(name: str) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    done = subprocess.run([shellcheck, LIBRARY / name], check=False, capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", PARTS)
def test_nothing_newer_than_bash_3_2(name: str) -> None:
    lines = [line for line in (LIBRARY / name).read_text().splitlines() if not line.lstrip().startswith("#")]
    found = [
        f"{what}: {line}" for what, pattern in NEWER_THAN_BASH_3_2.items() for line in lines if re.search(pattern, line)
    ]
    assert found == []


@pytest.mark.parametrize("name", PARTS)
def test_plain_ascii_in_short_lines(name: str) -> None:
    text = (LIBRARY / name).read_bytes()
    assert text.isascii()
    assert b"\t" not in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", PARTS)
def test_reading_it_only_defines_functions(name: str) -> None:
    done = subprocess.run(
        [BASH, "--norc", "-c", '. "$0"; compgen -A function; compgen -v B2CT_', LIBRARY / name],
        env={"PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert all(line.startswith("b2ct_") for line in done.stdout.split()), done.stdout


def test_every_function_is_used() -> None:
    text = "".join((LIBRARY / name).read_text() for name in PARTS)
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    functions = re.findall(r"^(b2ct_\w+)\(\) \{", code, re.MULTILINE)
    asked = {f"b2ct_ask_{what}" for what in ("role", "host", "nic", "address", "disks")}  # b2ct_ask_missing calls them
    unused = [name for name in functions if len(re.findall(rf"\b{name}\b", code)) < 2]
    assert set(unused) <= {"b2ct_pre_main"} | asked
    assert len(functions) == len(set(functions))
