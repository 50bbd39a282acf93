"""What independent tools say of an ISO: checkisomd5, xorriso, isoinfo, sgdisk, fsck.fat, mtools, blkid, pycdlib."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pycdlib

from tests.rigs.process import run_tool

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = ("checkisomd5", "implantisomd5", "xorriso", "isoinfo", "sgdisk", "fsck.fat", "mtype", "blkid")
SECTOR = 2048


def media_check_passes(iso: Path) -> bool:
    """Whether checkisomd5 reads a sum and finds it right."""
    return subprocess.run(["checkisomd5", iso], capture_output=True, check=False).returncode == 0


def implanted_field(iso: Path) -> bytes:
    """The 512 bytes in which isomd5sum keeps its record."""
    with iso.open("rb") as stream:
        stream.seek(16 * SECTOR + 883)
        return stream.read(512)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as a tool lists it."""

    lba: int
    size: int


def list_with_isoinfo(iso: Path, *, joliet: bool) -> dict[str, FoundFile]:
    """Path to place and size of every file, through Rock Ridge or Joliet."""
    listing = run_tool(["isoinfo", "-J" if joliet else "-R", "-l", "-i", iso])
    found: dict[str, FoundFile] = {}
    directory = "/"
    for line in listing.splitlines():
        if line.startswith("Directory listing of "):
            directory = line.removeprefix("Directory listing of ")
        entry = re.fullmatch(r"[-dlr?].*\s(\d+)\s+\w{3}\s+\d+\s+\d{4}\s+\[\s*(\d+)\s+(\w{2,4})\]?\s{1,2}(.*?) ?", line)
        if entry and (len(entry[3]) > 2 or not int(entry[3], 16) & 2):
            path = (directory + entry[4]).strip("/")
            # a file of several sections is listed once for each of them, its flags with the sign drawn out: FFFF
            known = found.get(path)
            size = int(entry[1]) + (known.size if known else 0)
            found[path] = FoundFile(known.lba if known else int(entry[2]), size)
    return found


def read_with_isoinfo(iso: Path, path: str, *, joliet: bool) -> bytes:
    """Content of a file, through Rock Ridge or Joliet."""
    argv = ["isoinfo", "-J" if joliet else "-R", "-x", f"/{path}", "-i", str(iso)]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def read_with_pycdlib(iso: Path, path: str, *, joliet: bool) -> bytes:
    """Content of a file, through Rock Ridge or Joliet."""
    disc = pycdlib.PyCdlib()
    disc.open(str(iso))
    with closing(disc):
        key = "joliet_path" if joliet else "rr_path"
        with disc.open_file_from_iso(**{key: f"/{path}"}) as stream:
            return bytes(stream.read())


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """A file or directory as xorriso extracts it."""

    mode: int
    sha256: str
    """Empty for a directory."""


def extract_with_xorriso(iso: Path, target: Path) -> dict[str, ExtractedFile]:
    """Extract a whole ISO and return what came out; ``target`` is removed again."""
    run_tool(["xorriso", "-abort_on", "FAILURE", "-osirrox", "on", "-indev", iso, "-extract", "/", target])
    found = {}
    for path in sorted(target.rglob("*")):
        digest = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.relative_to(target).as_posix()] = ExtractedFile(path.stat().st_mode, digest)
    run_tool(["chmod", "-R", "u+w", target])
    shutil.rmtree(target)
    return found


def report_with_xorriso(iso: Path) -> dict[str, list[str]]:
    """Boot catalog and partition tables as xorriso reports them: key to the values that stand behind it."""
    text = run_tool(["xorriso", "-indev", iso, "-report_el_torito", "plain", "-report_system_area", "plain"])
    report: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            report.setdefault(key.strip(), []).append(" ".join(value.split()))
    return report


def count_gpt_problems(iso: Path) -> int:
    """How many problems sgdisk finds in the GPT."""
    done = subprocess.run(["sgdisk", "-v", iso], capture_output=True, text=True, check=False)
    identified = re.search(r"Identified (\d+) problem", done.stdout)
    if identified:
        return int(identified[1])
    assert "No problems found" in done.stdout, done.stdout + done.stderr
    return 0


def extract_esp(iso: Path, out: Path) -> Path:
    """Cut the EFI boot image out of an ISO, by what xorriso says of the boot catalog."""
    images = report_with_xorriso(iso)["El Torito boot img"]
    efi = next(line.split() for line in images if " UEFI " in f" {line} ")
    blocks, lba = int(efi[-2]), int(efi[-1])
    with iso.open("rb") as stream:
        stream.seek(lba * SECTOR)
        out.write_bytes(stream.read(blocks * 512))
    return out


def fat_is_clean(esp: Path) -> bool:
    """Whether fsck.fat finds nothing to repair."""
    return subprocess.run(["fsck.fat", "-n", esp], capture_output=True, check=False).returncode == 0


def read_from_fat(esp: Path, path: str) -> bytes:
    """Content of a file, as mtools read it."""
    return subprocess.run(["mtype", "-i", esp, f"::/{path}"], capture_output=True, check=True).stdout


def label_of(iso: Path) -> str:
    """The label that udev would make a link of."""
    return run_tool(["blkid", "-p", "-o", "value", "-s", "LABEL", iso]).strip()


def cut_partition(iso: Path, offset_sectors: int, out: Path) -> Path:
    """Copy an ISO from a sector on: what a machine sees as partition 1, or as the last session."""
    with iso.open("rb") as stream, out.open("wb") as target:
        stream.seek(offset_sectors * SECTOR)
        shutil.copyfileobj(stream, target, 1024 * 1024)
    return out
