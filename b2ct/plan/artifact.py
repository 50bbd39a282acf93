"""The unit of output: a file that does not exist yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file to be written: relative path with ``/`` separators, whole content, permission bits."""

    path: str
    data: bytes
    mode: int = 0o644
