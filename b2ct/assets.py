"""Finds the data files that a site admin may read and override: kickstart templates, boot menus, VM templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from b2ct.errors import UsageError

FOLDERS = ("kickstart", "iso", "templates", "vmagent")
"""The data folders, as they are named in the checkout and under ``b2ct/_assets`` in the wheel."""

OPEN_FOLDERS = ("templates/images",)
"""Folders to which a site may add YAML files of its own."""


def _packaged() -> Path:
    """Return the folder that holds the data folders: in the wheel, or the checkout of an editable install."""
    here = Path(__file__).parent
    shipped = here / "_assets"
    return shipped if shipped.is_dir() else here.parent


def _is_scratch(name: Path) -> bool:
    """Return whether a tool left this file in a checkout: a cache."""
    return any(part.startswith(".") or part == "__pycache__" for part in name.parts)


@dataclass(frozen=True, slots=True)
class Assets:
    """The data files of one run: a site's overrides first, then what B2CT ships.

    ``overrides`` is the folder ``overrides/`` beside the site file, or None.
    """

    overrides: Path | None = None
    packaged: Path = field(default_factory=_packaged)

    def path(self, name: str) -> Path:
        """Return where ``kickstart/host.ks.j2`` is read from; the site's own copy wins.

        Raises:
            UsageError: no such file is shipped.
        """
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or pure.parts[:1] == () or pure.parts[0] not in FOLDERS:
            raise UsageError(f"{name}: not a data file of B2CT", hint="b2ct eject --list shows them")
        if self.overrides is not None and (self.overrides / pure).is_file():
            return self.overrides / pure
        if not (self.packaged / pure).is_file():
            raise UsageError(f"{name}: not a data file of B2CT", hint="b2ct eject --list shows them")
        return self.packaged / pure

    def read_text(self, name: str) -> str:
        """Return the text of ``kickstart/host.ks.j2``; raises UsageError without such a file, or if it is no text."""
        path = self.path(name)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as UTF-8 text") from error

    def own_names(self) -> tuple[str, ...]:
        """Return the name of every file that a site adds to ``OPEN_FOLDERS``, or has in place of one there, sorted."""
        if self.overrides is None:
            return ()
        found = (file for folder in OPEN_FOLDERS for file in (self.overrides / folder).glob("*.yaml") if file.is_file())
        return tuple(sorted(file.relative_to(self.overrides).as_posix() for file in found))

    def strays(self) -> tuple[Path, ...]:
        """Return the site's files that take the place of nothing: their names are misspelt, or of an older version."""
        if self.overrides is None or not self.overrides.is_dir():
            return ()
        known = {self.overrides / name for name in (*self.names(), *self.own_names())}
        return tuple(sorted(path for path in self.overrides.rglob("*") if path.is_file() and path not in known))

    def names(self) -> tuple[str, ...]:
        """Return the name of every data file that B2CT ships, sorted."""
        found = (file for folder in FOLDERS for file in (self.packaged / folder).rglob("*") if file.is_file())
        names = (file.relative_to(self.packaged) for file in found)
        return tuple(sorted(name.as_posix() for name in names if not _is_scratch(name)))
