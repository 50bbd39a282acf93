"""What others wrote is shown as text, and nothing else happens on the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.cli import credentials_command, register_command
from b2ct.cli.output import escape, print_error, print_warnings
from b2ct.errors import RemoteError
from b2ct.plan.credentials import Act, Decision, Machine
from b2ct.plan.dirac_cfg import Change

HIDES = "a\x1b[1A\x1b[2K\n+ /b = \u202e[bold]c"
SHOWN = r"a\x1b[1A\x1b[2K\n+ /b = \u202e[bold]c"


@given(st.text())
def test_what_is_escaped_is_printable_and_what_is_printable_stays(text: str) -> None:
    assert escape(text).isprintable()
    assert escape(escape(text)) == escape(text)
    assert escape("naïve 日本") == "naïve 日本"


@pytest.mark.parametrize(
    ("now", "wanted", "line"),
    [
        (None, HIDES, f"+ /{SHOWN} = {SHOWN}"),
        (HIDES, None, f"- /{SHOWN} = {SHOWN}"),
        (HIDES, "d", f"~ /{SHOWN} = {SHOWN} -> d"),
    ],
)
def test_no_value_of_dirac_hides_a_change(
    now: str | None, wanted: str | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register_command._print_changes((Change(f"/{HIDES}", now, wanted),), missing=False)  # noqa: SLF001 - it needs a DIRAC
    assert capsys.readouterr().out == f"{line}\n"


def test_no_machines_name_hides_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(7, HIDES, owner="belle", group="belle", template_id=None)
    credentials_command._print([Decision(Act.REFUSE, machine, vo=HIDES, reason=HIDES)])  # noqa: SLF001 - it needs a front-end
    assert capsys.readouterr().out == f"refuse  7  {SHOWN}  {SHOWN}  {SHOWN}\n"


def test_errors_and_warnings_keep_their_lines_and_escape_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(RemoteError(HIDES, hint="\x1b"), as_json=False)
    print_warnings([HIDES])
    shown = SHOWN.replace(r"\n", "\n")
    assert capsys.readouterr().err == f"error: {shown}\nhint: \\x1b\nwarning: {shown}\n"
