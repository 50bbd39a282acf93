"""Reads files of shell assignments as data: nothing in them is ever run."""

import re
from typing import Dict, Tuple

_NAME = re.compile(r"(?:export[ \t]+|declare[ \t]+-x[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_PIECE = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\\(.)|([^\s'\"\\;&|<>()$`#]+)", re.DOTALL)
_ESCAPE = re.compile(r"\\([\\\"$`\n])")


def parse_assignments(text: str) -> Dict[str, str]:
    r"""Return the variables that ``text`` assigns; lines that are no plain assignment are passed over.

    OpenNebula's context.sh holds ``NAME='value'`` with ``'\''`` for a quote, one-context's one_env holds
    ``export NAME="value"``; both values may hold newlines. What a shell would compute (``$x``, ``$(x)``) stays as it is
    written within quotes, and makes the assignment none without them.
    """
    found: Dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            position = _next_line(text, position)
            continue
        position, value, plain = _read_word(text, match.end())
        if plain:
            found[match.group(1)] = value
        position = _next_line(text, position)
    return found


def _next_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _read_word(text: str, position: int) -> Tuple[int, str, bool]:
    """Return where a shell word ends, its value, and whether it is one word and nothing more (POSIX XCU 2.2)."""
    pieces = []
    while position < len(text) and not text[position].isspace():
        match = _PIECE.match(text, position)
        if match is None:
            return position, "", False
        single, double, escaped, bare = match.groups()
        if double is not None:
            pieces.append(_ESCAPE.sub(lambda found: "" if found.group(1) == "\n" else found.group(1), double))
        else:
            pieces.append(next(piece for piece in (single, escaped, bare) if piece is not None))
        position = match.end()
    return position, "".join(pieces), True
