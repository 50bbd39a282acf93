"""Finds the image files of bundles, and downloads those that are missing."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from b2ct.apply.repository.download import PATIENCE, fetch_document, fetch_file
from b2ct.apply.signature import SIGNATURE_LIMIT_BYTES, SignatureError, verify_file
from b2ct.errors import B2ctError, OutputError, UsageError
from b2ct.plan.image_record import ImageRecord, record_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import minisign

    from b2ct.apply.repository.download import Patience, Progress
    from b2ct.plan.bundle import BundleImage

_CHUNK_BYTES = 1024 * 1024


class ImageFileError(B2ctError):
    """An image's file is not what its manifest or its record says."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file at hand."""

    path: Path
    size: int
    """Its size, bytes."""
    virtual_size: int
    """Size of the disk that the guest sees, bytes."""
    sha256: str
    md5: str
    record: ImageRecord | None = None
    """What ``b2ct image build`` wrote beside it."""


def find_image(
    image: BundleImage, images_folder: Path, beside: Path | None = None, *, read_all: bool = False
) -> ImageFile | None:
    """Return the image's file, beside the manifest or else in the folder of images; None where it is in neither.

    Its checksums come from the record beside it, if there is one and ``read_all`` is not given; then its size alone
    is compared with the record.

    Raises:
        ImageFileError: the file is not what the manifest or the record says, or the record is none.
    """
    folders = [folder for folder in (beside, images_folder) if folder is not None]
    path = next((folder / image.file_name for folder in folders if (folder / image.file_name).is_file()), None)
    if path is None:
        return None
    try:
        found = _describe(path, image, read_all=read_all)
    except OSError as error:
        raise ImageFileError(f"{path} cannot be read: {error.strerror}") from error
    _compare(found, image)
    return found


def find_warnings(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return what the records beside image files warn of, one line each; files without a record are passed over.

    Raises:
        ImageFileError: a record is none.
    """
    places = (path.with_name(record_name(path.name)) for path in paths)
    records = (_load_record(place) for place in places if place.is_file())
    return tuple(dict.fromkeys(record.warning for record in records if record.warning))


def fetch_image(
    image: BundleImage,
    images_folder: Path,
    public_key: minisign.PublicKey | None,
    *,
    progress: Progress | None = None,
    patience: Patience = PATIENCE,
) -> ImageFile:
    """Download the image into the folder of images and return its file; it appears there when all of it is proven.

    With a ``public_key`` the image has to have a signature by it; None is the caller's explicit choice to trust the
    manifest's checksum alone. A download that broke off goes on where it stopped. ``progress(done, total)`` is called
    with bytes.

    Raises:
        UsageError: the manifest has no URL, size and checksum, or no signature for the key.
        DownloadError: it cannot be had.
        ImageFileError: what came is not what the manifest says.
        SignatureError: the signature is not the key's for it.
        OutputError: it cannot be written.
    """
    if image.url is None or image.size is None or image.checksum is None:
        hint = f"b2ct image build {image.build} makes it; or the manifest names url, size and checksum"
        raise UsageError(f"the image {image.file_name} is not at hand, and cannot be downloaded", hint=hint)
    signature = _fetch_signature(image, public_key, patience)
    path = images_folder / image.file_name
    part = images_folder / f".{image.file_name}.{image.checksum.split(':')[1][:16]}.part"
    fetch_file(image.url, part, image.size, progress=progress, patience=patience)
    try:
        found = _read(part, image, image.url)
        _compare(found, image, image.url)
        if public_key is not None:
            verify_file(public_key, part, signature, image.url)
        part.chmod(0o644)
        part.replace(path)
    except (ImageFileError, SignatureError):
        part.unlink()
        raise
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    return ImageFile(path, found.size, found.virtual_size, found.sha256, found.md5)


def _fetch_signature(image: BundleImage, public_key: minisign.PublicKey | None, patience: Patience) -> bytes:
    if public_key is None:
        return b""
    if image.signature is None or image.url is None:
        raise UsageError(f"the image {image.file_name} is not signed", hint="the manifest names no signature")
    place = urlsplit(image.url)._replace(query="", fragment="").geturl()
    return fetch_document(urljoin(place, image.signature), SIGNATURE_LIMIT_BYTES, patience)


def _describe(path: Path, image: BundleImage, *, read_all: bool) -> ImageFile:
    """Return what is known about a file: from its record, or by reading it."""
    record_path = path.with_name(record_name(path.name))
    record = _load_record(record_path) if record_path.is_file() else None
    if record is None:
        return _read(path, image)
    size = path.stat().st_size
    if size != record.bytes:
        raise _differs(str(path), "size", f"{record.bytes} bytes", f"{size} bytes", str(record_path))
    if not read_all:
        return ImageFile(path, size, record.virtual_bytes, record.sha256, record.md5, record)
    found = _read(path, image)
    if found.sha256 != record.sha256:
        raise _differs(str(path), "SHA-256", record.sha256, found.sha256, str(record_path))
    return ImageFile(path, size, record.virtual_bytes, found.sha256, found.md5, record)


def _load_record(path: Path) -> ImageRecord:
    try:
        return ImageRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ImageFileError(f"{path}: {where}: {first['msg']}", hint="b2ct image build writes it anew") from error


def _read(path: Path, image: BundleImage, shown: str = "") -> ImageFile:
    """Read a whole file for its sums."""
    sums = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        head = file.read(32)
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            for one in sums:
                one.update(chunk)
        size = file.tell()
    virtual_size = _virtual_size(shown or str(path), image, head, size)
    return ImageFile(path, size, virtual_size, sums[0].hexdigest(), sums[1].hexdigest())


def _virtual_size(shown: str, image: BundleImage, head: bytes, size: int) -> int:
    """Return the size of the disk: of qcow2 the header's (docs/interop/qcow2.rst: bytes 24 to 31)."""
    if image.format == "raw":
        return size
    if head[:4] != b"QFI\xfb" or len(head) < 32:
        raise ImageFileError(f"{shown} is not a qcow2 image", hint="b2ct image check says more")
    return int(struct.unpack(">Q", head[24:32])[0])


def _compare(found: ImageFile, image: BundleImage, shown: str | None = None) -> None:
    """Compare a file with the manifest."""
    shown = shown or str(found.path)
    for what, promised, actual in (
        ("size", image.size, found.size),
        ("virtual size", image.virtual_size, found.virtual_size),
        ("MD5", image.md5, found.md5),
    ):
        if promised is not None and promised != actual:
            raise _differs(shown, what, str(promised), str(actual), "the manifest")
    if image.checksum is not None:
        kind, promised_sum = image.checksum.split(":")
        actual_sum = found.sha256 if kind == "sha256" else _sha512(found.path)
        if promised_sum != actual_sum:
            raise _differs(shown, kind, promised_sum, actual_sum, "the manifest")


def _sha512(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest()


def _differs(shown: str, what: str, promised: str, actual: str, by: str) -> ImageFileError:
    hint = "it was changed or damaged: remove it, and build or download it again"
    return ImageFileError(f"{shown}: its {what} is {actual}, and {by} says {promised}", hint=hint)
