"""The template grammar, judged by what running OpenNebula servers took, stored and refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.attributes import Attribute, Template, TemplateSyntaxError, first_text, stored_form
from b2ct.plan.one_grammar import parse_template
from tests.unit.plan.one_cases import VERSIONS, Case, load_cases

CASES = load_cases()
REFUSED_ON_PURPOSE = {
    "bare-garbage": "stray '!'",
    "name-leading-dash": "stray '-'",
    "single-quotes-no-space": "single quotes",
    "xml-three-levels": "holds elements, which OpenNebula drops",
}
"""What the servers take and store as something else, and what the refusal says."""

WRONG_NAME = "[one.template.allocate] Invalid NAME"
"""How a server begins when the grammar is right and only the object's name is not."""

XML_PARTS = ["<A>", "</A>", "<A/>", "<B>", "</B>", "x", "<![CDATA[", "]]>", "<!--c-->", "&lt;", "<?p?>", "<A>1</A>"]


def without_name(template: Template) -> Template:
    return tuple(attribute for attribute in template if attribute.name != "NAME")


def test_the_recordings_are_all_there() -> None:
    assert [sum(case.version == version for case in CASES) for version in VERSIONS] == [114, 114]
    assert {case.name for case in CASES} > set(REFUSED_ON_PURPOSE)


@pytest.mark.parametrize("case", [case for case in CASES if case.accepted], ids=str)
def test_what_a_server_takes_is_read_as_it_is_stored(case: Case) -> None:
    if reason := REFUSED_ON_PURPOSE.get(case.name):
        with pytest.raises(TemplateSyntaxError, match=reason):
            parse_template(case.template, "t.one")
        return
    template = parse_template(case.template, "t.one")
    if case.version != "6.10":
        template = stored_form(template)
    name = first_text(template, "NAME")
    assert name is not None
    assert name.rstrip() == case.stored_name
    if case.stored is None:
        assert len(first_text(template, "A") or "") == case.template.count("x") > 99_999
    else:
        assert without_name(template) == case.stored


@pytest.mark.parametrize("case", [case for case in CASES if not case.accepted], ids=str)
def test_what_a_server_refuses_is_refused_with_file_and_line(case: Case) -> None:
    if case.error.startswith(WRONG_NAME):
        assert len(parse_template(case.template, "t.one")) <= 1
        return
    with pytest.raises(TemplateSyntaxError) as caught:
        parse_template(case.template, "t.one")
    assert caught.value.message.startswith(f"t.one:{caught.value.line}: ")
    assert 1 <= caught.value.line <= case.template.count("\n") + 1
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "line", "problem", "hint"),
    [
        ('NAME="g"\nA=hello world\nB=1\n', 2, "a word has no '=' behind it", 'needs "..."'),
        ('NAME="g"\nA=b=c', 2, "a stray '='", 'needs "..."'),
        ('A="c:\\"\nB="x"\n', 2, "a word has no '=' behind it", 'A is not closed by \\" (line 1)'),
        ('\nA="c:\\"\n', 2, "the value of A ends in a backslash", "as XML"),
        ('A="x', 1, "no closing quote", 'put a "'),
        ('A="x"y\n', 1, "text follows the closing quote of A", r"write \""),
        ('A=x"y\n', 1, "holds a quote", r"write \""),
        ("A='x'\n", 1, "single quotes", 'only "..."'),
        ("A=\n[X=1]\n", 2, "a stray '['", "begins on the line of its '='"),
        ("MY-ATTR=1\n", 1, "'-' cannot stand in a name", "letters, digits and _"),
        ("A=1\nHELLO\nB=2\n", 2, "a word has no '=' behind it", 'NAME = "value"'),
        ("A=", 1, "A has no value", 'write ""'),
        ("A=# c\nB=1\n", 1, "the value of A begins with '#'", 'needs "..."'),
        ("A=1\n# B=2", 2, "a comment without a line end", "newline"),
        ("; c\n", 1, "a stray ';'", "begins with #"),
        (" <T/>", 1, "a stray '<'", "the first character of the file"),
        ('A="x]]>y"', 1, "holds ]]>", "takes none"),
        ('A="x]]>\ny"', 1, "holds ]]>", "takes none"),
        ('A="x" # ]]>\n', 1, "holds ]]>", "not even in a comment"),
        ("A=[ # ]]>\nX=1 ]", 1, "holds ]]>", "not even in a comment"),
        ('A="x\n]]>"', 1, "holds ]]>", "cannot store"),
        ('A=[ X="a]]>" ]', 1, "holds ]]>", "takes none"),
        ('A=[\n X="1",\n]', 3, "A ends in a comma", "last comma"),
        ('A=[\n X="1"\n Y="2" ]', 3, "the keys of A end without a ]", "comma between"),
        ("A=[ X=1 2 ]", 1, "the keys of A end without a ]", 'needs "..."'),
        ('A=[\n X="1",', 2, "a vector is not closed", "]"),
        ('A=[\n X="1"', 2, "a vector is not closed", "]"),
        ("A=[ X=\n1 ]", 1, "X of A has no value", 'write ""'),
        ("A=[ X=[ Y=1 ] ]", 1, "a vector within a vector", "text"),
        ("A=[ 1X=1 ]", 1, "the key 1X of A begins with a digit", "read it back"),
        ("A=1\r\n\r\n-\r\n", 3, "a stray '-'", "NAME ="),
        ("A=1\nB=\x07", 2, "U+0007 cannot stand", "remove"),
        ("A=\ufffe", 1, "U+FFFE cannot stand", "remove"),
        ("<T>\n<A>1</B></T>", 2, "mismatched tag", "close every element"),
        ("<T>x<A>1</A></T>", 1, "text outside of any attribute", "text form"),
        ("<T><V>x<K>1</K></V></T>", 1, "text beside the keys of V", "text form"),
        ("<T>\n<A>\n<![CDATA[x]]>\n</A></T>", 2, "in pieces", "one piece"),
        ("<T><A><![CDATA[x]]>y</A></T>", 1, "in pieces", "one piece"),
        ("<T><V><K>1<!-- c --></K></V></T>", 1, "in pieces", "one piece"),
        ("<T><V><k>1</k></V></T>", 1, "the key k of V is not upper-case", "capitals"),
        ("<T><V><K>1</K><K>2</K></V></T>", 1, "the key K of V stands twice", "away"),
        ("<T><A x='1'>2</A></T>", 1, "XML attributes", "text form"),
        ("<T><A-B>2</A-B></T>", 1, "A-B cannot be a name", "letters, digits and _"),
        ("<T><A>x&#13;y</A></T>", 1, "carriage return", "cannot store"),
        ("<T><A>x]]&gt;y</A></T>", 1, "holds ]]>", "cannot store"),
        ('<!DOCTYPE T [<!ENTITY e "x">]><T><A>&e;</A></T>', 1, "a document type", "text form"),
        ('<?xml version="1.0" encoding="latin1"?><T/>', 1, "the encoding latin1", "UTF-8"),
    ],
)
def test_a_refusal_says_where_what_and_what_to_do(text: str, line: int, problem: str, hint: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        parse_template(text, "t.one")
    assert caught.value.message.startswith(f"t.one:{line}: ")
    assert problem in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "value", ["two s3cret", "'s3cret'", 's3"cret', '"a"s3cret', '"s3cret', '"s3cret\\"', '"s3cret]]>"', "=s3cret"]
)
def test_a_refusal_tells_no_value(value: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        parse_template(f"PASSWORD={value}\n", "t.one")
    assert "s3" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", ()),
        ("# only\n", ()),
        ("a=\nB=1", (("A", ""), ("B", "1"))),
        ("A # c\n\n=1", (("A", "1"),)),
        ("A=1\rB=2\r\n", (("A", "1"), ("B", "2"))),
        ("A=it's", (("A", "it's"),)),
        ('A="\\\\" b"', (("A", '\\" b'),)),
        ('A="1 "B="2"', (("A", "1 "), ("B", "2"))),
        ('A="# not ]a[ = comment"#c\n', (("A", "# not ]a[ = comment"),)),
        ("# ]]>\nA=1", (("A", "1"),)),
        ("V=[ # c\n k = 1 # d\n , l=2 ]B=3", (("V", (("K", "1"), ("L", "2"))), ("B", "3"))),
        ("xml1=a XML=b 9=c _x=d", (("ONE_XML1", "a"), ("ONE_XML", "b"), ("ONE_9", "c"), ("_X", "d"))),
        ("<T><!-- c --><A>&lt;&#x9;</A><B><![CDATA[]]></B><C/><D></D></T>", (("A", "<\t"), ("B", ""))),
        ("<T>\n <V>\n <!-- c -->\n <K>1</K> <L/> </V>\n<E><F/></E></T>", (("V", (("K", "1"),)),)),
        ("<T><xmla><![CDATA[<&]]></xmla></T>\n", (("ONE_XMLA", "<&"),)),
    ],
)
def test_what_was_not_recorded_follows_the_lexer(text: str, attributes: tuple[tuple[str, str], ...]) -> None:
    assert parse_template(text, "t.one") == tuple(Attribute(name, value) for name, value in attributes)


@given(st.text(alphabet="AB1=[],\"\\# \n\t\r-<>&/'é;x!?", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_template(text, "t.one")
    except TemplateSyntaxError as error:
        assert error.hint  # noqa: PT017 - most texts are refused, and each refusal has to help


@given(st.lists(st.sampled_from(XML_PARTS), max_size=9))
def test_any_xml_is_read_or_refused(parts: list[str]) -> None:
    try:
        parse_template(f"<T>{''.join(parts)}</T>", "t.one")
    except TemplateSyntaxError as error:
        assert error.hint  # noqa: PT017 - most texts are refused, and each refusal has to help


@pytest.mark.parametrize(
    "text",
    ['"' * 200_000, 'A="' + '\\"' * 200_000, "#\n" * 200_000, 'A="' + "x" * 4_000_000 + '"', "A=1\n" * 40_000],
    ids=["strays", "escapes", "comments", "value", "attributes"],
)
def test_large_input_takes_no_more_than_linear_time(text: str) -> None:
    began_s = time.process_time()
    try:
        parse_template(text, "t.one")
    except TemplateSyntaxError as error:
        assert len(error.message) < 200  # noqa: PT017 - some of these texts are good
    assert time.process_time() - began_s < 5
