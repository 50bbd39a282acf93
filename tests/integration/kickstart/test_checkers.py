"""What the real checkers say of every example's kickstarts: pykickstart, bash -n, shellcheck."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.kickstarts import CASES, load_case, parse, render_texts, scripts
from tests.rigs.tools import need_tool


@pytest.fixture(scope="module", params=CASES)
def case_scripts(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    plan = load_case(request.param)
    found = []
    for path, text in render_texts(plan).items():
        handler = parse(text, plan.generation.pykickstart)
        found += [(f"{path}:{n}", script) for n, script in enumerate(scripts(handler))]
    return found


def test_every_kickstart_is_read_by_pykickstart_and_bash(case_scripts: list[tuple[str, str]], tmp_path: Path) -> None:
    assert case_scripts
    for name, script in case_scripts:
        file = tmp_path / "script.sh"
        file.write_text(script, encoding="utf-8")
        result = subprocess.run(["bash", "-n", str(file)], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{name}: {result.stderr}"


def test_shellcheck_finds_nothing_in_the_scripts(case_scripts: list[tuple[str, str]], tmp_path: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    need_tool(str(shellcheck))
    first_and_last = [*case_scripts[:3], *case_scripts[-3:]]  # a host's and the interactive one's: the rest is alike
    for name, script in first_and_last:
        file = tmp_path / f"{name.replace('/', '-')}.sh"
        file.write_text(script, encoding="utf-8")
    files = sorted(map(str, tmp_path.glob("*.sh")))
    result = subprocess.run(
        [str(shellcheck), "--shell=bash", "--severity=style", *files], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
