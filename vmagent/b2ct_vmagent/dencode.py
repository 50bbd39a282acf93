"""The values of DIRAC's own protocol as bytes: DEncode, and the JSON that DIRAC 9 answers with.

DIRAC, Core/Utilities/DEncode.py and JEncode.py (8.0.86 and 9.1.22).
"""

import base64
import datetime as dt
import json
import re
from typing import Any, Callable, Dict, List, Pattern, Union

DEEPEST = 32
"""Values within values; what services answer is not half as deep."""
LONGEST_NUMBER = 40
"""Characters of a number."""

_INTEGER = re.compile(rb"-?[0-9]+")
_FLOAT = re.compile(rb"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?|-?inf|nan")
_LENGTH = re.compile(rb"[0-9]{1,12}")
_TIMES: Dict[bytes, Callable[..., object]] = {b"a": dt.datetime, b"d": dt.date, b"t": dt.time}
_JSON_TIMES = {"dt": "%Y-%m-%d %H:%M:%S", "date": "%Y-%m-%d"}


class DamagedError(ValueError):
    """What came is not what a service of DIRAC sends."""


def encode(value: object) -> bytes:
    """Return a value as DEncode; ints stay ints and floats floats, for services check the types of arguments.

    Bytes go out as strings do: the service gets them as a string that it can turn back.

    Raises:
        TypeError: DEncode knows no such type.
    """
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            data: bytes = write(value)
            return data
    raise TypeError("{} cannot be sent".format(type(value).__name__))


def decode(data: bytes) -> object:
    """Return the value of a payload, DEncode or JSON; times of DIRAC are UTC without a zone.

    A binary string of DIRAC 8 is a str of which ``as_bytes`` makes the bytes.

    Raises:
        DamagedError: it is neither, is damaged, too deep, or has anything after its end.
    """
    if data[:1] in {b"{", b"[", b'"'} or data == b"null":
        return _decode_json(data)
    reader = _Reader(data)
    value = reader.read(DEEPEST)
    if not reader.at_end():
        raise DamagedError("something comes after its end")
    return value


def as_bytes(value: object) -> bytes:
    """Return the bytes of a binary answer, such as that of ``getCompressedData``; services of DIRAC 8 send a string.

    Raises:
        DamagedError: the value is neither bytes nor such a string.
    """
    if isinstance(value, bytes):
        return value
    try:
        return str.encode(value, "utf-8", "surrogateescape")  # type: ignore[arg-type]  # no str is a TypeError
    except (TypeError, UnicodeEncodeError):
        raise DamagedError("the answer holds no bytes")


def _write_string(value: Union[str, bytes]) -> bytes:
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return b"s%d:%s" % (len(data), data)


def _write_datetime(value: dt.datetime) -> bytes:
    day = (value.year, value.month, value.day)
    return b"za" + encode((*day, value.hour, value.minute, value.second, value.microsecond, None))


_WRITERS: List[Any] = [
    (type(None), lambda _: b"n"),
    (bool, lambda value: b"b1" if value else b"b0"),
    (int, lambda value: b"i%de" % value),
    (float, lambda value: b"f%se" % repr(value).encode("ascii")),
    ((str, bytes), _write_string),
    (list, lambda value: b"l%se" % b"".join(map(encode, value))),
    (tuple, lambda value: b"t%se" % b"".join(map(encode, value))),
    (dict, lambda value: b"d%se" % b"".join(encode(key) + encode(value[key]) for key in value)),
    (dt.datetime, _write_datetime),
    (dt.date, lambda value: b"zd" + encode((value.year, value.month, value.day))),
    (dt.time, lambda value: b"zt" + encode((value.hour, value.minute, value.second, value.microsecond, None))),
]
"""The first whose type fits writes the value: a bool is an int too, a datetime a date."""


def _decode_json(data: bytes) -> object:
    try:
        value: object = json.loads(data.decode("utf-8"), object_hook=_untag, parse_int=_json_int)
    except (ValueError, RecursionError, OverflowError, KeyError, TypeError) as error:
        raise DamagedError("damaged JSON: {}".format(error))
    return value


def _json_int(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise DamagedError("a number of {} digits".format(len(text)))
    return int(text)


def _untag(value: Dict[str, Any]) -> object:
    """Return what a JSON object of JEncode stands for: a time, bytes, or itself."""
    kind = value.get("__dCls")
    if kind is None:
        return value
    if kind == "b64":
        return base64.b64decode(value["obj"], validate=True)
    if kind not in _JSON_TIMES:
        raise DamagedError("an object of class {!r}".format(kind))
    found = dt.datetime.strptime(value["obj"], _JSON_TIMES[kind])  # noqa: DTZ007 - DIRAC's times have no zone
    return found if kind == "dt" else found.date()


class _Reader:
    """Reads DEncode; never deeper than it is told, never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._kinds: Dict[bytes, Callable[[int], object]] = {
            b"n": lambda _: None,
            b"b": lambda _: self._one_of(b"01") == b"1",
            b"i": lambda _: int(self._number(_INTEGER, b"e")),
            b"I": lambda _: int(self._number(_INTEGER, b"e")),
            b"f": lambda _: float(self._number(_FLOAT, b"e")),
            b"s": self._string,
            b"u": self._string,
            b"l": self._values,
            b"t": lambda deepest: tuple(self._values(deepest)),
            b"d": self._dictionary,
            b"z": self._time,
        }

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._position == len(self._data)

    def read(self, deepest: int) -> object:
        """Return the value that starts here."""
        if deepest < 0:
            raise DamagedError("values within values, too deep")
        kind = self._take(1)
        if kind not in self._kinds:
            raise DamagedError("{!r} is no kind of value".format(kind))
        return self._kinds[kind](deepest)

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise DamagedError("it ends too early")
        taken, self._position = self._data[self._position : end], end
        return taken

    def _one_of(self, allowed: bytes) -> bytes:
        taken = self._take(1)
        if taken not in allowed:
            raise DamagedError("{!r} is none of {!r}".format(taken, allowed))
        return taken

    def _number(self, form: Pattern[bytes], end: bytes) -> str:
        """Return a number and pass what ends it; a float's exponent has an e of its own, so the form decides."""
        match = form.match(self._data, self._position, self._position + LONGEST_NUMBER)
        if match is None:
            raise DamagedError("no number")
        self._position = match.end()
        self._one_of(end)
        return match.group().decode("ascii")

    def _string(self, _deepest: int) -> str:
        return self._take(int(self._number(_LENGTH, b":"))).decode("utf-8", "surrogateescape")

    def _ends(self) -> bool:
        """Whether the list or dictionary ends here; passes its end."""
        ended = self._data.startswith(b"e", self._position)
        self._position += ended
        return ended

    def _values(self, deepest: int) -> List[object]:
        values = []
        while not self._ends():
            values.append(self.read(deepest - 1))
        return values

    def _dictionary(self, deepest: int) -> Dict[object, object]:
        values = {}
        try:
            while not self._ends():
                key = self.read(deepest - 1)
                values[key] = self.read(deepest - 1)
        except TypeError:
            raise DamagedError("a list cannot be a key")
        return values

    def _time(self, deepest: int) -> object:
        make = _TIMES[self._one_of(b"adt")]
        self._one_of(b"tl")
        try:
            return make(*self._values(deepest))
        except (TypeError, ValueError, OverflowError) as error:
            raise DamagedError("no time: {}".format(error))
