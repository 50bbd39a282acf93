"""Makes context CDs as OpenNebula does: ``mkisofs -V CONTEXT -J -R``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pycdlib import PyCdlib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_cd(path: Path, files: Mapping[str, bytes], label: str = "CONTEXT") -> Path:
    """Write an ISO with ``files`` (8.3 names) in its root folder; its path."""
    iso = PyCdlib()
    iso.new(vol_ident=label, joliet=3, rock_ridge="1.09")
    for name, data in files.items():
        iso.add_fp(io.BytesIO(data), len(data), f"/{name.upper()};1", rr_name=name, joliet_path=f"/{name}")
    iso.add_directory("/DIR", rr_name="dir", joliet_path="/dir")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        iso.write_fp(file)
    iso.close()
    return path
