from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.apply.iso.names import check_path, make_identifier, sort_key
from b2ct.errors import IsoError

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=80)


@settings(deadline=None)
@given(st.lists(NAMES, max_size=30), st.booleans(), st.booleans())
def test_identifiers_are_valid_and_all_different(names: list[str], directory: bool, untranslated: bool) -> None:  # noqa: FBT001 - hypothesis passes them
    taken: set[bytes] = set()
    for name in names:
        made = make_identifier(name, directory=directory, joliet=False, untranslated=untranslated, taken=taken)
        assert made not in taken
        taken.add(made)
        if not untranslated:
            form = rb"[A-Z0-9_]{0,31}" if directory else rb"(?=.{1,33}$)[A-Z0-9_]*\.[A-Z0-9_]*;1"
            assert re.fullmatch(form, made), made
        assert len(made) <= 37


@settings(deadline=None)
@given(st.lists(NAMES, max_size=30))
def test_joliet_identifiers_fit_and_are_all_different(names: list[str]) -> None:
    taken: set[bytes] = set()
    for name in names:
        made = make_identifier(name, directory=False, joliet=True, untranslated=False, taken=taken)
        assert made not in taken
        assert len(made) <= 206
        assert not set(made.decode("utf-16-be")) & set('*/:;?\\"<>|')
        taken.add(made)


@pytest.mark.parametrize(
    ("name", "iso", "joliet"),
    [
        ("cn01.ks", b"CN01.KS;1", "cn01.ks"),
        ("second initrd.img", b"SECOND_INITRD.IMG;1", "second initrd.img"),
        ("README", b"README.;1", "README"),
        (".hidden", b"_HIDDEN.;1", ".hidden"),
        ("a.b.tar.gz", b"A_B_TAR.GZ;1", "a.b.tar.gz"),
        ("what?.ks", b"WHAT_.KS;1", "what_.ks"),
    ],
)
def test_identifiers_look_like_the_names(name: str, iso: bytes, joliet: str) -> None:
    assert make_identifier(name, directory=False, joliet=False, untranslated=False, taken=set()) == iso
    made = make_identifier(name, directory=False, joliet=True, untranslated=False, taken=set())
    assert made.decode("utf-16-be") == joliet


def test_a_taken_identifier_gets_a_number_before_its_extension() -> None:
    taken = {b"CN01.KS;1"}
    assert make_identifier("CN01.ks", directory=False, joliet=False, untranslated=False, taken=taken) == b"CN01_1.KS;1"
    assert make_identifier("cn01.ks", directory=False, joliet=False, untranslated=True, taken=taken) == b"cn01.ks"


@pytest.mark.parametrize("path", ["", "/", "../x", "a/./b", "a\nb", "a\0b", "x" * 256, "é" * 128])
def test_paths_that_cannot_be(path: str) -> None:
    with pytest.raises(IsoError):
        check_path(path)


def test_paths_are_split() -> None:
    assert check_path("/a//b c/d.ks") == ("a", "b c", "d.ks")


def test_order_is_by_name_then_extension() -> None:
    names = [b"A.TXT;1", b"AB.A;1", b"A_.A;1", b"B.;1"]
    assert sorted(names, key=lambda name: sort_key(name, joliet=False)) == [b"A.TXT;1", b"AB.A;1", b"A_.A;1", b"B.;1"]
