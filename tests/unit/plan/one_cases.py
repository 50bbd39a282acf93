"""The templates that running OpenNebula servers took or refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from b2ct.plan.attributes import Attribute, Template, Vector

VERSIONS = ("6.10", "7.4")
RECORDINGS = Path(__file__).parents[2] / "data/opennebula/grammar"


@dataclass(frozen=True, slots=True)
class Case:
    """One template, and what became of it; ``stored`` is None where it was not recorded."""

    version: str
    name: str
    template: str
    accepted: bool
    error: str
    stored_name: str | None
    stored: Template | None

    def __str__(self) -> str:
        return f"{self.version}-{self.name}"


def load_cases() -> tuple[Case, ...]:
    """Return every recorded case of both versions."""
    return tuple(
        _case(version, record)
        for version in VERSIONS
        for record in json.loads((RECORDINGS / f"{version}.json").read_text())
    )


def _case(version: str, record: dict[str, object]) -> Case:
    template, stored = record["template"], record["stored"]
    if isinstance(template, dict):
        template = template["before"] + template["repeat"] * template["count"] + template["after"]
    return Case(
        version=version,
        name=str(record["case"]),
        template=str(template),
        accepted=record["accepted"] is True,
        error=str(record["error"] or ""),
        stored_name=None if record["stored_name"] is None else str(record["stored_name"]),
        stored=tuple(Attribute(name, _value(value)) for name, value in stored) if isinstance(stored, list) else None,
    )


def _value(value: str | dict[str, str | None] | None) -> str | Vector:
    if isinstance(value, dict):
        return tuple((key, text or "") for key, text in value.items())
    return value or ""
