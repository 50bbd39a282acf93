"""Reads files inside a disk without mounting it: GRUB's own file system code, as the program grub-fstest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.image.check_layout import Table
from b2ct.apply.tool import ToolError, run_tool

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = -1
"""The size of a folder in a listing."""

_TIMEOUT_S = 20.0
_LIMIT = 1024 * 1024
_DEVICE = re.compile(r"\((?!proc\)|host\))([^()\s]+)\)")
_LINE = re.compile(r"(DIR|\d+)\s+\d{14}\s(.+)")
_FOLDERS_AT_MOST = 200


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """The files on the raw disk ``raw``; devices are written as GRUB does, ``loop0,gpt2``."""

    raw: Path

    @staticmethod
    def device(table: Table, number: int) -> str:
        """Return GRUB's name of a partition."""
        return f"loop0,{'gpt' if table is Table.GPT else 'msdos'}{number}"

    def devices(self) -> tuple[str, ...]:
        """Return all that may hold a file system: the disk, its partitions, logical volumes.

        Raises:
            ToolError: grub-fstest cannot be run.
        """
        return tuple(sorted(set(_DEVICE.findall(self._run("ls")))))

    def list_folder(self, device: str, folder: str) -> dict[str, int]:
        """Return the files and folders (size FOLDER) in ``folder`` with their sizes, symbolic links followed.

        What is no such folder is empty; so is a file system that GRUB cannot read. Names are as the image has them.

        Raises:
            ToolError: grub-fstest took too long: the file system is damaged so that it goes in circles.
        """
        text = self._run_or_nothing("ls", "--", "-l", "-a", f"({device}){folder}/")
        found = {}
        for line in text.split("\n"):
            if match := _LINE.fullmatch(line):
                name = match[2].removesuffix("/") if match[1] == "DIR" else match[2]
                found[name] = FOLDER if match[1] == "DIR" else int(match[1])
        return found

    def has(self, device: str, path: str) -> bool:
        """Return whether there is such a file or folder, or a symbolic link to one."""
        folder, _, name = path.rpartition("/")
        return name in self.list_folder(device, folder)

    def read_text(self, device: str, path: str) -> str | None:
        """Return the text of a file; None when there is none, or when it is longer than 1 MiB."""
        folder, _, name = path.rpartition("/")
        size = self.list_folder(device, folder).get(name, FOLDER)
        if not 0 <= size <= _LIMIT:
            return None
        return self._run_or_nothing("cat", f"({device}){path}")

    def files_below(self, device: str, folder: str) -> dict[str, int]:
        """Return the path below ``folder`` and the size of every file; of at most 200 folders."""
        found: dict[str, int] = {}
        waiting, seen = [""], 0
        while waiting and seen < _FOLDERS_AT_MOST:
            here = waiting.pop()
            seen += 1
            for name, size in self.list_folder(device, f"{folder}{here}").items():
                if size == FOLDER and name not in (".", ".."):
                    waiting.append(f"{here}/{name}")
                elif size != FOLDER:
                    found[f"{here}/{name}".removeprefix("/")] = size
        return found

    def _run_or_nothing(self, *command: str) -> str:
        try:
            return self._run(*command)
        except ToolError as error:
            if error.returned is None:
                raise
            return ""

    def _run(self, *command: str) -> str:
        return run_tool(["grub-fstest", str(self.raw.absolute()), *command], timeout_s=_TIMEOUT_S)
