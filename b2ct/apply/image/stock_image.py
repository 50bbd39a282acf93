"""Finds the stock cloud image or boot ISO that an image is built from: a local file, or a download that is kept."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from b2ct.apply.repository.client import cache_folder
from b2ct.apply.repository.download import DownloadError, explain_failure, fetch_file
from b2ct.errors import OutputError, UsageError

if TYPE_CHECKING:
    from b2ct.apply.image.builder import ImageRequest

_TIMEOUT_S = 30
_REDIRECTS = 5
_BLOCK = 4 * 1024**2


def load_stock(request: ImageRequest) -> Path:
    """Return the file that the image is built from, its checksum compared if the description has one.

    ``request.mirror`` takes the place of the description's address; without ``://`` it is the path of a local file.
    Downloads are kept in ``$XDG_CACHE_HOME/b2ct/stock`` and go on where they stopped.

    Raises:
        UsageError: a local file is not there.
        DownloadError: it cannot be had, or has another checksum.
        OutputError: it cannot be written.
    """
    source = request.description.source
    place = request.mirror or source.url
    if "://" in place:
        path = _download(place, source.checksum, request)
    else:
        path = Path(place)
        if not path.is_file():
            raise UsageError(f"{path}: no such file", hint="give the stock image's URL or path")
    if source.checksum is not None:
        _verify(path, source.checksum, is_download="://" in place)
    return path


def stock_folder() -> Path:
    """Return where downloads are kept; raises UsageError for a user without a home."""
    return cache_folder() / "stock"


def _download(url: str, checksum: str | None, request: ImageRequest) -> Path:
    """Return the kept file of a URL: the one with its checksum, or without one, the one with the server's size."""
    name = PurePosixPath(urlsplit(url).path).name or "stock"
    key = hashlib.sha256(f"{url} {checksum}".encode()).hexdigest()[:16]
    path = stock_folder() / f"{key}-{name}"
    if checksum is not None and path.is_file():
        return path
    found, size = _find(url, needs_https=checksum is None)
    if path.is_file() and path.stat().st_size == size:
        return path
    request.log(f"downloading {found} ({size // 1024**2} MiB)")
    part = path.with_name(f"{path.name}.{size}.part")
    fetch_file(found, part, size)
    try:
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
    return path


def _find(url: str, *, needs_https: bool) -> tuple[str, int]:
    """Return where a URL leads in the end, and the size of what is there, bytes.

    Distributors send to mirrors on other servers: the checksum says whether that is the right file, or without one,
    https the whole way.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(f"{url} is neither http nor https", hint="download it and give the file")
    try:
        with requests.Session() as session:
            session.max_redirects = _REDIRECTS
            headers = {"Accept-Encoding": "identity"}
            with session.get(url, headers=headers, timeout=_TIMEOUT_S, stream=True) as answer:  # some know no HEAD
                answer.raise_for_status()
                length = answer.headers.get("Content-Length", "")
    except requests.exceptions.SSLError as error:
        hint = "if it is your own certificate, REQUESTS_CA_BUNDLE names the file of its authority"
        raise DownloadError(f"{url}: the server's certificate cannot be trusted", hint=hint) from error
    except requests.RequestException as error:
        words = explain_failure(error)
        if isinstance(error, requests.TooManyRedirects):
            words = f"it is redirected more than {_REDIRECTS} times"
        hint = "check the address and the network, or download it and give the file"
        raise DownloadError(f"{url}: {words}", hint=hint) from error
    plain = next((hop.url for hop in (*answer.history, answer) if not hop.url.startswith("https://")), None)
    if needs_https and plain is not None:
        raise DownloadError(f"{plain}: neither checksum nor https", hint="add source.checksum to the description")
    if not length.isdecimal() or int(length) == 0:
        raise DownloadError(f"{url}: the server does not say how large it is", hint="download it and give the file")
    return answer.url, int(length)


def _verify(path: Path, checksum: str, *, is_download: bool) -> None:
    kind, _, wanted = checksum.partition(":")
    digest = hashlib.new(kind)
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        if digest.hexdigest() != wanted and is_download:
            path.unlink()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if digest.hexdigest() != wanted:
        hint = "distributors replace files named latest: correct source.checksum, or name a fixed version"
        raise DownloadError(f"{path}: its {kind} is {digest.hexdigest()}, and {wanted} was promised", hint=hint)
