"""Manual pages from Markdown."""

from __future__ import annotations

import pytest

from b2ct.render.man_page import ManPage, ManPageError, man_text, render_man_page

PAGE = ManPage("a-tool", 8, "does it", "[-v]", "a 1.0", "2025-11-21")


def body(markdown: str) -> str:
    return render_man_page(PAGE, markdown).partition(".SH DESCRIPTION\n")[2]


def test_says_what_it_is() -> None:
    assert render_man_page(PAGE, "# A tool\n\nText.\n") == (
        '.TH "A\\-TOOL" 8 2025-11-21 "a 1.0"\n.ad l\n.nh\n'
        ".SH NAME\na\\-tool \\- does it\n.SH SYNOPSIS\n\\fBa\\-tool\\fP [\\-v]\n.SH DESCRIPTION\nText.\n"
    )


def test_headings_and_text() -> None:
    text = "One `two` **three** *four*\n[five](six.md).\n\n## The `x` part\n\nA.\n\nB.\n\n### Sub\n"
    lines = ["One \\fBtwo\\fP \\fBthree\\fP \\fIfour\\fP five\\&."]
    lines += [".SH THE \\(gaX\\(ga PART", "A.", ".PP", "B.", ".SS Sub"]
    assert body(text) == "\n".join(lines) + "\n"


def test_lists_and_code() -> None:
    assert body("1. a\n2. b\n\n   c\n") == ".IP 1. 4\na\n.IP 2. 4\nb\n.RS 4\n.PP\nc\n.RE\n"
    assert body("- a\n- b\n") == ".IP \\(bu 4\na\n.IP \\(bu 4\nb\n"
    assert body("Then:\n\n```sh\n.x -y\n\nz\n```\n") == "Then:\n.PP\n.nf\n\\&.x \\-y\n\nz\n.fi\n"


def test_tables() -> None:
    assert body("| file | |\n|---|---|\n| a | b |\n") == ".TP\na\nb\n"
    assert body("| check | means |\n|---|---|\n| a | b |\n") == ".TP\n\\fIcheck\\fP\n\\fImeans\\fP\n.TP\na\nb\n"
    text = "| name | value | default |\n|---|---|---|\n| a | `x\\|y` | |\n"
    assert body(text) == ".TP\na\nvalue: \\fBx\\(ory\\fP\n.br\ndefault: \\&\n"


@pytest.mark.parametrize("markdown", ["![a](b.png)", "a <b>c</b>", "<div>\n", "> a", "a\n\n---\n", "`a\u0007b`"])
def test_what_it_cannot_show_is_refused(markdown: str) -> None:
    with pytest.raises(ManPageError, match="a manual page"):
        body(markdown)


def test_nothing_in_a_text_is_a_request_or_an_escape() -> None:
    assert man_text(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert man_text("'br") == "\\(aqbr"
    assert man_text('a\\fB"b"') == "a\\(rsfB\\(dqb\\(dq"
