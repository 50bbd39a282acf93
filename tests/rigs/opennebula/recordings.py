"""Reads what real front-ends answered (tests/data/opennebula)."""

from __future__ import annotations

import copy
import json
import xmlrpc.client
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

DATA = Path(__file__).parents[2] / "data" / "opennebula"
VERSIONS = {"6.10": "6.10.5", "7.4": "7.4.0"}
"""The two recorded front-ends, and what they call themselves."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One call to a real front-end: parameters after the session, and the answer's values or the fault's code."""

    name: str
    method: str
    session: str
    params: tuple[Any, ...]
    answer: tuple[Any, ...]
    fault: tuple[int, str] | None

    @property
    def tree(self) -> ET.Element:
        """A copy of the XML that a reading call answered."""
        return copy.deepcopy(_tree(self.answer[1]))


@cache
def load_recording(version: str, name: str) -> Recording:
    """Return the recording ``name``, such as ``image.info__READY``, of front-end ``6.10`` or ``7.4``."""
    record = json.loads((DATA / "calls" / version / f"{name}.json").read_text(encoding="utf-8"))
    fault = None
    answer: tuple[Any, ...] = ()
    try:
        (values,), _ = xmlrpc.client.loads(record["response_xml"])
        answer = tuple(values)  # type: ignore[arg-type] # an answer is always an array
    except xmlrpc.client.Fault as error:
        fault = (error.faultCode, error.faultString)
    session, *params = record["params"]
    return Recording(name, record["method"].removeprefix("one."), session, tuple(params), answer, fault)


def recording_names(version: str) -> tuple[str, ...]:
    """Return the name of every recording of ``version``, sorted."""
    return tuple(sorted(path.stem for path in (DATA / "calls" / version).glob("*.json")))


@cache
def _tree(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own recordings
