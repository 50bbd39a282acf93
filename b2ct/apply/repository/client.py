"""Opens a repository of bundles: checks who signed it and that it is not older than before, and loads its bundles."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from b2ct.apply.files import write_file, write_tree
from b2ct.apply.repository.address import check_address
from b2ct.apply.repository.download import PATIENCE, fetch_document
from b2ct.apply.repository.load import SIZE_LIMIT_BYTES, load_bundle
from b2ct.apply.signature import SIGNATURE_LIMIT_BYTES, SUFFIX, SignatureError, verify_bytes
from b2ct.errors import B2ctError, OutputError, UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.marketplace import INDEX, RepositoryIndexError, read_index, with_repository
from b2ct.plan.publication import version_key

if TYPE_CHECKING:
    import minisign

    from b2ct.apply.repository.download import Patience
    from b2ct.plan.bundle import Bundle
    from b2ct.plan.marketplace import Index, IndexBundle

INDEX_LIMIT_BYTES = 16 * 1024 * 1024
"""No index is larger; a version of a bundle with five images takes some 3 KiB."""

_SIGNATURE_RETRIES = 2
"""While a repository is built anew, index and signature may for a moment not be of the same build."""


class OldIndexError(B2ctError):
    """A repository shows an index that is older than one that was seen there before."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository whose index is trusted, or was taken untrusted on purpose."""

    url: str
    """Its address, without a slash at the end."""
    index: Index
    public_key: minisign.PublicKey | None
    """The key that images have to be signed by; None: nothing is checked but sums."""
    cache: Path
    patience: Patience = PATIENCE

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of a bundle, the newest first; none if there is no such bundle."""
        found = (bundle.version for bundle in self.index.bundles if bundle.name == name)
        return tuple(sorted(found, key=version_key, reverse=True))

    def load(self, name: str, version: str | None = None) -> Bundle:
        """Return a bundle, its newest version if none is named; its files are kept in the cache.

        Its images have URL, size, checksums and signature from the index.

        Raises:
            UsageError: there is no such bundle or version.
            DownloadError: a file cannot be had.
            RepositoryIndexError: a file is not what the index says.
            SiteFileError: the bundle is wrong; with every problem.
            OutputError: the cache cannot be written.
        """
        versions = self.versions(name)
        if not versions:
            names = ", ".join(sorted({bundle.name for bundle in self.index.bundles})) or "none"
            raise UsageError(f"{self.url} has no bundle {name}", hint=f"it has: {names}")
        if version is not None and version not in versions:
            raise UsageError(f"{self.url} has no version {version} of {name}", hint=f"it has: {', '.join(versions)}")
        wanted = (name, version or versions[0])
        return self._load(next(entry for entry in self.index.bundles if (entry.name, entry.version) == wanted))

    def load_all(self) -> tuple[Bundle, ...]:
        """Return every version of every bundle; raises what `load` raises."""
        return tuple(map(self._load, self.index.bundles))

    def _load(self, entry: IndexBundle) -> Bundle:
        """Return a bundle from the cache, which its files' sums name, or from the repository."""
        sums = hashlib.sha256("".join(f"{file.name} {file.sha256}\n" for file in entry.files).encode()).hexdigest()
        folder = self.cache / "bundles" / f"{entry.name}-{entry.version}-{sums[:16]}"
        if not _is_whole(folder, entry):
            files = tuple(Artifact(file.name, self._fetch(file.path, file.size, file.sha256)) for file in entry.files)
            shutil.rmtree(folder, ignore_errors=True)
            write_tree(folder, files)
        return replace(with_repository(load_bundle(folder), entry, self.url), origin=self.url)

    def _fetch(self, path: str, size: int, sha256: str) -> bytes:
        url = f"{self.url}/{path}"
        hint = "the repository is damaged, or being changed: try again, or tell whoever runs it"
        if size > SIZE_LIMIT_BYTES:
            raise RepositoryIndexError(f"{url}: {size} bytes are too many for a bundle's file", hint=hint)
        data = fetch_document(url, size, self.patience)
        if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
            raise RepositoryIndexError(f"{url} is not the file that the index describes", hint=hint)
        return data


def open_repository(
    url: str,
    public_key: minisign.PublicKey | None,
    cache: Path,
    *,
    unsigned: bool = False,
    patience: Patience = PATIENCE,
) -> Repository:
    """Return the repository at ``url``, its index fetched and checked.

    ``public_key`` is the publisher's; without one, ``unsigned`` has to be the user's explicit choice. ``cache`` is a
    folder that remembers how new the index was, and keeps bundles.

    Raises:
        UsageError: there is neither key nor choice, or ``url`` is none.
        DownloadError: index or signature cannot be had.
        SignatureError: the index is not signed by the key.
        RepositoryIndexError: it is no index, or of a newer format.
        OldIndexError: it is older than one that was seen there before.
        OutputError: the cache cannot be written.
    """
    url = check_address(url)
    if public_key is None and not unsigned:
        hint = "give the publisher's key (a line that begins with RW), or say that the repository is not signed"
        raise UsageError(f"whose signature {url} has to bear is not known", hint=hint)
    data = _fetch_index(url, public_key, patience)
    index = read_index(data, f"{url}/{INDEX}")
    if public_key is not None:
        _check_age(url, index, cache)
    return Repository(url, index, public_key, cache, patience)


def cache_folder() -> Path:
    """Return where a user's cache is (XDG Base Directory Specification 0.8).

    Raises:
        UsageError: the user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "b2ct"
    except RuntimeError:
        raise UsageError("this user has no home, so no cache folder", hint="set HOME or XDG_CACHE_HOME") from None


def _fetch_index(url: str, public_key: minisign.PublicKey | None, patience: Patience) -> bytes:
    """Return the index's bytes, their signature verified if there is a key."""
    place = f"{url}/{INDEX}"
    if public_key is None:
        return fetch_document(place, INDEX_LIMIT_BYTES, patience)
    for wait_s in (*patience.retry_waits_s[:_SIGNATURE_RETRIES], None):
        signature = fetch_document(place + SUFFIX, SIGNATURE_LIMIT_BYTES, patience)
        data = fetch_document(place, INDEX_LIMIT_BYTES, patience)
        try:
            verify_bytes(public_key, data, signature, place)
        except SignatureError:
            if wait_s is None:
                raise
            time.sleep(wait_s)
        else:
            break
    return data


def _check_age(url: str, index: Index, cache: Path) -> None:
    """Refuse an index that is older than the newest seen at this address; remember a newer one."""
    path = cache / "seen" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
    seen = _read_seen(path)
    if index.created < seen:
        now, before = (time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(stamp)) for stamp in (index.created, seen))
        hint = f"somebody may hold back newer versions; if the publisher did go back, remove {path}"
        raise OldIndexError(f"{url} shows an index of {now}, older than that of {before} seen there", hint=hint)
    if index.created > seen:
        write_file(path, json.dumps({"url": url, "created": index.created}).encode(), force=True)


def _read_seen(path: Path) -> int:
    """Return the time of the newest index that was seen, 0 if there was none."""
    hint = f"remove {path} to begin anew"
    try:
        created = json.loads(path.read_text())["created"]
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is damaged", hint=hint) from error
    if not isinstance(created, int):
        raise OutputError(f"{path} is damaged", hint=hint)
    return created


def _is_whole(folder: Path, entry: IndexBundle) -> bool:
    """Return whether the cache has every file of a bundle as the index says."""
    try:
        return all(hashlib.sha256((folder / f.name).read_bytes()).hexdigest() == f.sha256 for f in entry.files)
    except OSError:
        return False
