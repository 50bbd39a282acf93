import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b2ct.plan.model import CardFact, FromCard
from b2ct.render.quoting import (
    UNPRINTABLE,
    QuotingError,
    commas,
    grub_quote,
    isolinux_text,
    ks_quote,
    sh_quote,
    sh_words,
    word,
)

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""All that str.splitlines splits at."""

PRINTABLE = st.text().filter(lambda text: not UNPRINTABLE.search(text))
HOSTILE = [
    "\n%post\ntouch /pwned\n%end",
    "a\n%include /etc/shadow",
    "`id`",
    "$(id)",
    '"; rm -rf /; "',
    "'; id; '",
    "\\",
]


@given(PRINTABLE)
def test_ks_quote_is_one_word_that_reads_back(text: str) -> None:
    assert shlex.split(f"command {ks_quote(text)} next", comments=True) == ["command", text, "next"]


@pytest.mark.parametrize("end", LINE_ENDS)
def test_no_one_line_quoting_takes_a_line_end(end: str) -> None:
    for quote in (ks_quote, grub_quote, isolinux_text, word):
        with pytest.raises(QuotingError):
            quote(f"a{end}b")


@given(st.text())
def test_sh_quote_stays_on_one_line_or_refuses(text: str) -> None:
    try:
        quoted = sh_quote(text)
    except QuotingError:
        assert "\x00" in text or re.search(r"[\ud800-\udfff]", text)
        return
    assert len(f"echo {quoted}".splitlines()) == 1


@given(PRINTABLE)
def test_sh_quote_of_printable_text_reads_back(text: str) -> None:
    assert shlex.split(sh_quote(text)) == [text]


def test_sh_quote_writes_line_ends_as_escapes() -> None:
    assert sh_quote("a\nb'\\") == r"$'a\012b\047\134'"


def test_sh_words_keeps_words_apart() -> None:
    assert shlex.split(sh_words(["a b", "", "c'd"])) == ["a b", "", "c'd"]


@given(PRINTABLE)
def test_grub_quote_reads_back_by_the_shells_rules(text: str) -> None:
    assert shlex.split(grub_quote(text)) == [text]


def test_isolinux_text_has_no_hot_keys_and_only_ascii() -> None:
    assert isolinux_text("Install ^hv01 für") == "Install hv01 f?r"


@pytest.mark.parametrize("text", ["cn01", "10.0.0.0/24", "ttyS0,115200n8", "http://x/y?z=%20".replace("?", ""), "*"])
def test_word_takes_plain_words(text: str) -> None:
    assert word(text) == text


@pytest.mark.parametrize("text", [*HOSTILE, "", "a b", "$HOME", "a;b", "a|b", "<", ">", "&", "(", "#", "!", "\u00e9"])
def test_word_refuses_what_means_something(text: str) -> None:
    with pytest.raises(QuotingError):
        word(text)


def test_word_looks_cards_up() -> None:
    assert word(FromCard("left", CardFact.MAC)) == "$(b2ct_card_mac 'left')"
    assert word(FromCard("a'b", CardFact.DEVICE)) == r"$(b2ct_card_device 'a'\''b')"


def test_commas_checks_each_word() -> None:
    assert commas(["a", "b"], ";") == "a;b"
    with pytest.raises(QuotingError):
        commas(["a", "b c"])
