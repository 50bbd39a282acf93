from __future__ import annotations

import contextlib
import datetime as dt
import json
import math

import pytest
from b2ct_vmagent.dencode import DEEPEST, DamagedError, as_bytes, decode, encode
from hypothesis import given
from hypothesis import strategies as st

# what utf-8 can hold, also in the way in which Python passes on bytes that are none
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.binary().map(
    lambda data: data.decode("utf-8", "surrogateescape")
)
KEYS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
MOMENTS = st.datetimes().map(lambda moment: moment.replace(fold=0))
PLAIN = KEYS | st.floats(allow_nan=False) | MOMENTS | MOMENTS.map(dt.datetime.date) | MOMENTS.map(dt.datetime.time)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def with_types(value: object) -> object:
    """A value that is equal to another only when all types are: True is 1.0 in Python, but not for DIRAC."""
    if isinstance(value, list | tuple):
        return type(value), [with_types(part) for part in value]
    if isinstance(value, dict):
        return dict, [(with_types(key), with_types(part)) for key, part in value.items()]
    return type(value), repr(value)


@given(VALUES)
def test_comes_back_as_it_went(value: object) -> None:
    assert with_types(decode(encode(value))) == with_types(value)


@given(st.binary(max_size=200))
def test_anything_is_a_value_or_damaged(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        decode(data)


@given(VALUES, st.data())
def test_a_part_is_damaged_or_another_value(value: object, data: st.DataObject) -> None:
    whole = encode(value)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DamagedError):
        decode(part)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"n"),
        (True, b"b1"),
        (1, b"i1e"),
        (1.0, b"f1.0e"),
        (1e-7, b"f1e-07e"),
        (1e22, b"f1e+22e"),
        ("é", b"s2:\xc3\xa9"),
        (b"\xff\x00", b"s2:\xff\x00"),
        ([1, ("a", {})], b"li1ets1:adeee"),
        ({"OK": True}, b"ds2:OKb1e"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6), b"zati2026ei1ei2ei3ei4ei5ei6ene"),  # noqa: DTZ001
        (dt.date(2026, 1, 2), b"zdti2026ei1ei2ee"),
    ],
)
def test_forms(value: object, data: bytes) -> None:
    assert encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"i",
        b"ie",
        b"i1",
        b"i1.0e",
        b"i 1e",
        b"i1_0e",
        b"i" + b"9" * 5000 + b"e",
        b"b2",
        b"fe",
        b"f1.e",
        b"f0x1e",
        b"s3:ab",
        b"s-1:",
        b"s+1:a",
        b"s99999999999999999999:a",
        b"li1e",
        b"di1ee",
        b"dlei1ee",
        b"n" * 2,
        b"zx",
        b"zai1e",
        b"zdti2026ei13ei1ee",
        b"zdts4:2026i1ei1ee",
        b"l" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"OK": ' + b"9" * 5000 + b"}",
        b'{"OK": true} {}',
        b'{"__dCls": "JSerializable", "__dMod": "os"}',
        b'{"__dCls": "dt"}',
        b'{"__dCls": "dt", "obj": 1}',
        b'{"__dCls": "b64", "obj": "?"}',
        b'{"__dCls": []}',
        b'{"\xff": 1}',
    ],
    ids=lambda data: repr(data[:24]),
)
def test_damage_is_told(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(data)


def test_is_as_deep_as_allowed_and_no_deeper() -> None:
    deep: object = None
    for _ in range(DEEPEST):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(DamagedError, match="too deep"):
        decode(encode([deep]))


def test_reads_the_json_of_dirac_9() -> None:
    said = {
        "OK": True,
        "Value": [
            {"__dCls": "dt", "obj": "2026-01-02 03:04:05"},
            {"__dCls": "date", "obj": "2026-01-02"},
            {"__dCls": "b64", "obj": "/wA="},
            1,
            1.0,
            None,
        ],
    }
    moment = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as DIRAC sends it
    expected = {"OK": True, "Value": [moment, moment.date(), b"\xff\x00", 1, 1.0, None]}
    assert with_types(decode(json.dumps(said).encode())) == with_types(expected)


def test_a_number_may_be_none() -> None:
    assert math.isnan(float(repr(decode(b"fnane"))))


@given(st.binary())
def test_bytes_arrive_through_a_string(data: bytes) -> None:
    assert as_bytes(decode(encode(data))) == data
    assert as_bytes(data) == data


@pytest.mark.parametrize("value", [None, 1, ["a"], "\ud800"])
def test_what_holds_no_bytes(value: object) -> None:
    with pytest.raises(DamagedError):
        as_bytes(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, [complex(1, 1)]])
def test_what_cannot_be_sent(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        encode(value)
