"""Builds a repository of bundles: a static folder that is an OpenNebula marketplace, too."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from b2ct.apply.files import write_file
from b2ct.apply.image.boot_record import need_boot_record
from b2ct.apply.repository.address import check_address
from b2ct.apply.repository.folder import make_folder, place_file, remove_others
from b2ct.apply.repository.images import ImageFile, find_image, find_warnings
from b2ct.apply.repository.load import load_bundle
from b2ct.apply.signature import SUFFIX, SignatureError, is_by, sign_bytes, sign_file, verify_bytes
from b2ct.errors import OutputError, UsageError
from b2ct.plan.appliance import make_appliances
from b2ct.plan.marketplace import (
    APPLIANCES,
    INDEX,
    MARKETPLACE_FILE,
    PUBLIC_KEY_FILE,
    Index,
    IndexBundle,
    IndexFile,
    IndexImage,
    bundle_path,
    image_path,
    read_index,
    sort_bundles,
)
from b2ct.render.marketplace import render_appliances, render_index, render_marketplace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import minisign

    from b2ct.plan.bundle import Bundle, BundleImage


@dataclass(frozen=True, slots=True)
class MarketplaceRequest:
    """What to build, and from what."""

    out: Path
    """The folder that a web server serves."""
    bundles: Sequence[Bundle]
    """What to publish."""
    images_folder: Path
    """Where ``b2ct image build`` put the images."""
    url: str
    """Address under which the folder will be served."""
    key: minisign.SecretKey
    """Key that signs."""
    name: str = "B2CT"
    """Name of the marketplace in OpenNebula, and of the publisher."""
    keep_older: bool = True
    """Keep what earlier builds published; otherwise only ``bundles`` remain."""
    timestamp: int | None = None
    """Time of the index, seconds since 1970; None: now, or SOURCE_DATE_EPOCH."""


@dataclass(frozen=True, slots=True)
class MarketplaceReport:
    """What was built."""

    index: Index
    added: tuple[str, ...] = ()
    """Paths that are new in the folder, signatures among them."""
    removed: tuple[str, ...] = ()
    """Paths that are gone."""
    missing: tuple[str, ...] = field(default=())
    """Images of bundles that were not at hand, and are not published: file names."""
    warnings: tuple[str, ...] = ()
    """What the records of the images warn of, a line each."""


def build_marketplace(request: MarketplaceRequest, progress: Callable[[str], None] | None = None) -> MarketplaceReport:
    """Write or renew the folder. Whoever reads it meanwhile sees the old index or the new one, and all that it names.

    Files of bundles and images never change once they are published; the index comes last. A build that broke off is
    mended by the next. ``progress(path)`` is called before each image is worked on.

    Raises:
        UsageError: the URL is none, no image of a bundle is at hand, or a version was published with other content.
        OutputError: the folder holds something else, or cannot be written.
        B2ctError: a bundle, image or record is wrong.
    """
    url = check_address(request.url)
    out = request.out
    old = _load_old_index(out)
    try:
        builder = _Builder(request, old, request.key.get_public_key(), _now(request, old), progress or (lambda _: None))
        entries = builder.publish()
        kept = [entry for entry in old.bundles if (entry.name, entry.version) not in entries] if old else []
        bundles = sort_bundles([*entries.values(), *(kept if request.keep_older else [])])
        builder.sign_images(bundles)
        index = builder.write_indices(bundles, url)
        removed = () if request.keep_older else remove_others(out, index)
    except OSError as error:
        raise OutputError(f"{error.filename or out}: {error.strerror}") from error
    missing = tuple(dict.fromkeys(builder.missing))
    return MarketplaceReport(index, tuple(builder.added), removed, missing, find_warnings(builder.found))


@dataclass(slots=True)
class _Builder:
    """One build."""

    request: MarketplaceRequest
    old: Index | None
    public_key: minisign.PublicKey
    now: int
    """Time of the new index."""
    progress: Callable[[str], None]
    added: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    found: list[Path] = field(default_factory=list)
    """Image files that are published."""

    def publish(self) -> dict[tuple[str, str], IndexBundle]:
        """Put files and images of the bundles into the folder; return their entries by name and version."""
        plans = [(bundle, self._find_images(bundle)) for bundle in self.request.bundles]
        entries = [self._entry(bundle, images) for bundle, images in plans]
        made = {(entry.name, entry.version): entry for entry in entries}
        if len(made) < len(entries):
            raise UsageError("two of the bundles have the same name and version")
        for (bundle, images), entry in zip(plans, entries, strict=True):
            for artifact, file in zip(bundle.files, entry.files, strict=True):
                self._write(file.path, artifact.data)
            for image, found in images:
                self._place(image_path(image, found.sha256), found)
        return made

    def _find_images(self, bundle: Bundle) -> list[tuple[BundleImage, ImageFile]]:
        found = []
        for image in bundle.manifest.images:
            self.progress(image.file_name)
            file = find_image(image, self.request.images_folder, bundle.folder, read_all=True)
            if file is None:
                self.missing.append(image.file_name)
                continue
            if file.record is None:  # nobody can tell what it is: `b2ct image build` did not make it
                need_boot_record(file.path)
            found.append((image, file))
            self.found.append(file.path)
        if not found:
            hint = f"b2ct image build {bundle.manifest.images[0].build} makes one"
            raise UsageError(
                f"no image of the bundle {bundle.manifest.name} is in {self.request.images_folder}", hint=hint
            )
        return found

    def _entry(self, bundle: Bundle, images: list[tuple[BundleImage, ImageFile]]) -> IndexBundle:
        """Return a bundle's entry; what was published before stays as it was, and guests can only be added."""
        manifest = bundle.manifest
        folder = bundle_path(manifest.name, manifest.version)
        before = self._published(manifest.name, manifest.version)
        files = tuple(
            IndexFile(path=f"{folder}/{a.path}", size=len(a.data), sha256=hashlib.sha256(a.data).hexdigest())
            for a in bundle.files
        )
        guests = {image.guest: _index_image(image, file) for image, file in images}
        if before is not None:
            _check_unchanged(before, files, guests)
            guests = {image.guest: image for image in before.images} | guests
        return IndexBundle(
            name=manifest.name,
            version=manifest.version,
            title=manifest.title,
            kind=manifest.kind,
            opennebula=manifest.needs.opennebula,
            created=before.created if before else self.now,
            files=files,
            images=tuple(guests[image.guest] for image in manifest.images if image.guest in guests),
        )

    def _published(self, name: str, version: str) -> IndexBundle | None:
        """Return the entry of an earlier build."""
        entries = self.old.bundles if self.old else ()
        return next((entry for entry in entries if (entry.name, entry.version) == (name, version)), None)

    def _place(self, name: str, image: ImageFile) -> None:
        """Put an image into the folder: as a hard link where that serves, else as a copy."""
        path = self.request.out / name
        if path.is_file() and path.stat().st_size == image.size:
            return
        place_file(image.path, path, self.request.out)
        self.added.append(name)

    def sign_images(self, bundles: Sequence[IndexBundle]) -> None:
        """Write a signature by the key beside each image that has none."""
        for path in dict.fromkeys(image.path for bundle in bundles for image in bundle.images):
            place = self.request.out / (path + SUFFIX)
            if place.is_file() and is_by(self.public_key, place.read_bytes()):
                continue
            self.progress(path)
            image = self.request.out / path
            self._write(path + SUFFIX, sign_file(self.request.key, image, image.name, self.now))

    def write_indices(self, bundles: Sequence[IndexBundle], url: str) -> Index:
        """Write both indices, ours last; nothing is touched where nothing changed."""
        out, old, request = self.request.out, self.old, self.request
        index = Index(created=self.now, bundles=tuple(bundles))
        if old is not None and old.bundles == index.bundles and self._is_signed(render_index(old)):
            index = old
        loaded = [load_bundle(out / bundle_path(entry.name, entry.version)) for entry in bundles]
        appliances = make_appliances(zip(bundles, loaded, strict=True))
        self._write(APPLIANCES, render_appliances(appliances, request.name))
        self._write(MARKETPLACE_FILE, render_marketplace(request.name, url))
        self._write(PUBLIC_KEY_FILE, bytes(self.public_key) + b"\n")
        if index is not old:
            data = render_index(index)
            self._write(INDEX + SUFFIX, sign_bytes(request.key, data, INDEX, index.created))
            self._write(INDEX, data)
        return index

    def _is_signed(self, data: bytes) -> bool:
        """Return whether the folder's index is ``data``, signed by the key."""
        out = self.request.out
        try:
            verify_bytes(self.public_key, data, (out / (INDEX + SUFFIX)).read_bytes(), INDEX)
        except (FileNotFoundError, SignatureError):
            return False
        return (out / INDEX).read_bytes() == data

    def _write(self, name: str, data: bytes) -> None:
        """Write a file unless it is there already with the same content, so that copying tools see no change."""
        path = self.request.out / name
        if path.is_file() and path.read_bytes() == data:
            return
        make_folder(path.parent, self.request.out)
        write_file(path, data, force=True)
        self.added.append(name)


def _now(request: MarketplaceRequest, old: Index | None) -> int:
    """Return the time of the new index: never before the old one's, which clients would refuse."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    wanted = request.timestamp
    if wanted is None:
        wanted = int(epoch) if epoch.isdecimal() else int(time.time())
    return max(wanted, old.created + 1 if old else 0)


def _index_image(image: BundleImage, file: ImageFile) -> IndexImage:
    return IndexImage(
        path=image_path(image, file.sha256),
        size=file.size,
        sha256=file.sha256,
        guest=image.guest,
        virtual_size=file.virtual_size,
        md5=file.md5,
    )


def _load_old_index(out: Path) -> Index | None:
    """Return the index of an earlier build, None for a folder that is new or empty."""
    path = out / INDEX
    try:
        if path.is_file():
            return read_index(path.read_bytes(), str(path))
        names = {item.name for item in out.iterdir()} if out.exists() else set()
    except NotADirectoryError as error:
        raise OutputError(f"{out} is not a folder") from error
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}") from error
    foreign = sorted(names - {"images", "bundles", APPLIANCES, MARKETPLACE_FILE, PUBLIC_KEY_FILE, INDEX + SUFFIX})
    if foreign:
        raise OutputError(f"{out} holds {foreign[0]}, which B2CT did not write", hint="--out names a folder of its own")
    return None


def _check_unchanged(before: IndexBundle, files: tuple[IndexFile, ...], guests: dict[str, IndexImage]) -> None:
    """Refuse other content under a version that is published: whoever has it would never get the new one."""
    published = {file.name: file.sha256 for file in before.files}
    changed = [file.name for file in files if published.get(file.name) != file.sha256]
    changed += [guests[i.guest].path for i in before.images if i.guest in guests and guests[i.guest].sha256 != i.sha256]
    if changed:
        hint = "raise the version in bundle.yaml (and that of an image that was built anew)"
        raise UsageError(f"{before.name} {before.version} is published already, with another {changed[0]}", hint=hint)
