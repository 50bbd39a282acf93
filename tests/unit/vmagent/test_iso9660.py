from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.iso9660 import read_root_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.vmagent.context_cd import make_cd

if TYPE_CHECKING:
    from pathlib import Path


def test_reads_the_root_folder(tmp_path: Path) -> None:
    files = {"context.sh": b"VMID='1'\n", "token.txt": b"secret", "empty.txt": b"", "long.txt": b"x" * 10_000}
    assert read_root_files(str(make_cd(tmp_path / "cd", files)), "CONTEXT") == files


def test_many_files_fill_more_than_one_sector(tmp_path: Path) -> None:
    files = {f"file{number:03}.txt": str(number).encode() for number in range(80)}
    assert read_root_files(str(make_cd(tmp_path / "cd", files)), "CONTEXT") == files


def test_leaves_out_what_is_too_large(tmp_path: Path) -> None:
    cd = make_cd(tmp_path / "cd", {"big.bin": bytes((1 << 20) + 1), "a.txt": b"a"})
    assert read_root_files(str(cd), "CONTEXT") == {"a.txt": b"a"}


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "truncated"), (bytes(40_000), "no ISO 9660 volume"), (bytes(33_000), "truncated")],
)
def test_refuses_what_is_no_volume(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "cd").write_bytes(data)
    with pytest.raises(AgentError, match=message):
        read_root_files(str(tmp_path / "cd"), "CONTEXT")


def test_refuses_another_volume_and_none(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="'cidata', not 'CONTEXT'"):
        read_root_files(str(make_cd(tmp_path / "cd", {}, "cidata")), "CONTEXT")
    with pytest.raises(AgentError, match="No such file"):
        read_root_files(str(tmp_path / "none"), "CONTEXT")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 2047), st.binary(min_size=1, max_size=40))
def test_a_damaged_folder_gives_an_error_or_names(tmp_path: Path, place: int, garbage: bytes) -> None:
    path = make_cd(tmp_path / "cd", {"context.sh": b"A='1'"})
    data = bytearray(path.read_bytes())
    root = struct.unpack_from("<I", data, 16 * 2048 + 156 + 2)[0] * 2048
    data[root + place : root + place + len(garbage)] = garbage
    path.write_bytes(data)
    with contextlib.suppress(AgentError):
        read_root_files(str(path), "CONTEXT")
