"""OpenNebula template text: what is written is read back as it was, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.attributes import Attribute, Template, Vector
from b2ct.plan.one_grammar import parse_template
from b2ct.render.opennebula import ObjectNameError, check_object_name, one_quote, render_template
from b2ct.render.quoting import QuotingError
from tests.unit.plan.one_cases import Case, load_cases

CASES = load_cases()
NAMES = st.from_regex(r"(?!XML)[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)
STORABLE = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\t [],=#<&>' + "']")).filter(
    lambda text: (
        "]]>" not in text and all(ord(c) > 31 or c in "\t\n" for c in text) and not {"\ufffe", "\uffff"} & {*text}
    )
)
VECTORS = st.dictionaries(NAMES, STORABLE, min_size=1, max_size=4).map(lambda pairs: tuple(pairs.items()))
TEMPLATES = st.lists(st.builds(Attribute, NAMES, STORABLE | VECTORS), max_size=5).map(tuple)
HOSTILE = [
    '"\nNAME = "pwned',
    '"\n]\nNAME = "pwned',
    '", HIDDEN = "x',
    "\\",
    "c:\\",
    '\\"',
    '\\\\"',
    "</A><NAME>pwned</NAME><A>",
    "# no comment",
    "<T/>",
    "",
    " ",
    "$NAME",
    "&lt;",
]


@given(TEMPLATES)
def test_every_template_reads_back_as_it_was(template: Template) -> None:
    assert parse_template(render_template(template), "t.one") == template


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("backslash", ["", "\\"], ids=["text", "xml"])
def test_hostile_values_stay_values(value: str, backslash: str) -> None:
    template = (
        Attribute("A", value),
        Attribute("V", (("K", value), ("L", "x" + backslash))),
        Attribute("B", "after"),
    )
    text = render_template(template)
    assert parse_template(text, "t.one") == template
    if backslash:
        assert text.startswith("<TEMPLATE>\n")


@pytest.mark.parametrize("case", [case for case in CASES if case.stored], ids=str)
def test_what_a_server_stores_can_be_sent_again(case: Case) -> None:
    assert case.stored is not None
    assert parse_template(render_template(case.stored), "t.one") == case.stored


@given(STORABLE.filter(lambda text: not text.endswith("\\")))
def test_one_quote_is_one_value(value: str) -> None:
    text = f"A = {one_quote(value)} B = {one_quote(value)}\nV = [ K = {one_quote(value)} ]"
    assert parse_template(text, "t.one") == (
        Attribute("A", value),
        Attribute("B", value),
        Attribute("V", (("K", value),)),
    )


@pytest.mark.parametrize("value", ["s3cret\\", "s3cret]]>", "s3cret\r\n", "s3cret\0", "s3cret\ud800", "s3cret\uffff"])
def test_one_quote_refuses_and_tells_no_secret(value: str) -> None:
    with pytest.raises(QuotingError) as caught:
        one_quote(value)
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("A", "s3cret]]>", "^A: OpenNebula cannot store ]]>$"),
        ("A", "s3cret\r", r"^A: .* U\+000D$"),
        ("CONTEXT", (("PASSWORD", "s3cret\x1b"),), r"^PASSWORD of CONTEXT: .* U\+001B$"),
        ("a", "1", "'a': not a name"),
        ("", "1", "'': not a name"),
        ("1A", "1", "'1A': not a name"),
        ("XMLA", "1", "'XMLA': not a name"),
        ("A B", "1", "'A B': not a name"),
        ("A\n", "1", "not a name"),
        ("Ä", "1", "not a name"),
        ("V", (), "V: OpenNebula drops an empty vector"),
        ("V", (("K", "1"), ("K", "2")), "V: .* two equal keys"),
        ("V", (("k", "1"),), "'k': not a key .* V"),
        ("V", (("", "1"),), "'': not a key"),
        ("V", (("1K", "1"),), "'1K': not a key"),
        ("V", (("K=1, L", "1"),), "not a key"),
    ],
)
def test_what_no_server_keeps_is_refused(name: str, value: str | Vector, message: str) -> None:
    with pytest.raises(QuotingError, match=message) as caught:
        render_template((Attribute(name, value),))
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"


def test_the_text_reads_well() -> None:
    template = (
        Attribute("NAME", "worker"),
        Attribute("DISK", (("IMAGE_ID", "4"), ("DEV_PREFIX", "vd"))),
        Attribute("NIC", (("NETWORK_ID", "1"),)),
        Attribute("DESCRIPTION", 'a "good" one'),
    )
    assert render_template(template) == (
        'NAME = "worker"\n'
        "DISK = [\n"
        '  IMAGE_ID = "4",\n'
        '  DEV_PREFIX = "vd" ]\n'
        "NIC = [\n"
        '  NETWORK_ID = "1" ]\n'
        'DESCRIPTION = "a \\"good\\" one"\n'
    )
    assert render_template(()) == ""


def test_a_backslash_at_the_end_of_a_value_makes_it_xml() -> None:
    template = (Attribute("A", "c:\\"), Attribute("E", ""), Attribute("V", (("K", "<&"), ("L", ""))))
    assert render_template(template) == (
        "<TEMPLATE>\n"
        "  <A>c:\\</A>\n"
        "  <E><![CDATA[]]></E>\n"
        "  <V>\n"
        "    <K>&lt;&amp;</K>\n"
        "    <L><![CDATA[]]></L>\n"
        "  </V>\n"
        "</TEMPLATE>\n"
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("objname-")], ids=str)
def test_names_are_judged_as_the_servers_do(case: Case) -> None:
    name = parse_template(case.template, "t.one")[0].value
    assert isinstance(name, str)
    if case.accepted and name == name.strip():
        check_object_name(name)
        return
    with pytest.raises(ObjectNameError) as caught:
        check_object_name(name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "needs a name"),
        (" g", "begin or end with a blank"),
        ("g ", "begin or end with a blank"),
        ("a\tb", r"'a\\tb': an OpenNebula name cannot hold '\\t'"),
        ("a\x1bb", "cannot hold"),
        ("a\ud800b", "cannot hold"),
        ("a\\b", "cannot hold"),
        ("ü" * 65, "of 130 bytes is too long"),
    ],
)
def test_wrong_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ObjectNameError, match=message):
        check_object_name(name)


@pytest.mark.parametrize("name", ["n" * 128, "ü" * 64, "my template", "123", "a,b", "worker-el9_1.0 (x86)", "!?*+=@"])
def test_good_names_pass(name: str) -> None:
    check_object_name(name)
