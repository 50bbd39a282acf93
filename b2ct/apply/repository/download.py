"""Fetches documents and large files over HTTP: bounded in size and time, resumed, retried."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from b2ct.errors import OutputError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Progress = Callable[[int, int], None]

MAX_REDIRECTS = 5
CHUNK_BYTES = 256 * 1024

_PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Answers after which asking again may help."""


_REASONS = {
    "Unable to connect to proxy": "the proxy does not let us through",
    "Cannot connect to proxy": "the proxy does not let us through",
    "timed out": "the server does not answer in time",
    "Connection refused": "nothing answers there",
    "Name or service not known": "there is no such server",
    "Temporary failure in name resolution": "the server's name cannot be looked up",
    "No address associated": "the server's name has no address",
    "unreachable": "the network is unreachable",
}
"""Words of the C library, and what is told."""

ResultT = TypeVar("ResultT")


class DownloadError(RemoteError):
    """A file cannot be fetched."""


class _PassingError(DownloadError):
    """A failure that may be gone the next time."""


class _RangeError(_PassingError):
    """The server does not go on where it was asked to."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server."""

    connect_timeout_s: float = 10
    """For a connection."""
    read_timeout_s: float = 30
    """For the next bytes."""
    document_timeout_s: float = 120
    """For the whole of a document."""
    stall_bytes: int = 64 * 1024
    """A file has to grow by so much..."""
    stall_timeout_s: float = 60
    """...in this time."""
    retry_waits_s: tuple[float, ...] = (0.5, 1, 2, 4)
    """Waits before asking again."""


PATIENCE = Patience()


def fetch_document(url: str, limit_bytes: int, patience: Patience = PATIENCE) -> bytes:
    """Return what is at ``url``; caches on the way are asked to look whether it changed.

    Raises:
        DownloadError: it cannot be had, is larger than ``limit_bytes``, or does not come in time.
    """

    def attempt() -> bytes:
        until = time.monotonic() + patience.document_timeout_s
        data = bytearray()
        with _open(url, patience, {"Cache-Control": "no-cache"}) as response:
            _check_length(url, response, limit_bytes)
            for chunk in _pieces(response):
                data += chunk
                if len(data) > limit_bytes:
                    raise _too_large(url, limit_bytes)
                if time.monotonic() > until:
                    raise DownloadError(f"{url} takes longer than {patience.document_timeout_s:g} s")
        return bytes(data)

    return _retry(attempt, patience)


def fetch_file(
    url: str, part: Path, size: int, *, progress: Progress | None = None, patience: Patience = PATIENCE
) -> None:
    """Fetch ``url`` into ``part``; what the file holds already is not fetched again.

    ``size`` is what the whole has to have, bytes. ``progress(done, total)`` is called with bytes. After an error that
    asking again may mend, ``part`` stays, so that a later call goes on from there.

    Raises:
        DownloadError: it cannot be had, has another size, or does not come in time.
        OutputError: it cannot be written.
    """

    def attempt() -> None:
        done = part.stat().st_size if part.exists() else 0
        try:
            if done < size:
                _continue(url, part, done, size, progress, patience)
        except _RangeError:
            part.unlink()
            raise

    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        _retry(attempt, patience)
    except OSError as error:
        raise OutputError(f"{part}: {error.strerror}") from error


def _continue(  # noqa: PLR0913, PLR0917 - the inside of fetch_file
    url: str, part: Path, done: int, size: int, progress: Progress | None, patience: Patience
) -> None:
    """Fetch the rest of a file, of which ``done`` bytes are there."""
    with _open(url, patience, {"Range": f"bytes={done}-"} if done else {}) as response:
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            _check_range(url, response, done, size)
        else:
            done = 0
            _check_length(url, response, size, exact=True)
        watched, watched_since = done, time.monotonic()
        with part.open("ab" if done else "wb") as file:
            for chunk in _pieces(response):
                done += len(chunk)
                if done > size:
                    raise _wrong_size(url, size)
                file.write(chunk)
                if progress is not None:
                    progress(done, size)
                if done - watched >= patience.stall_bytes:
                    watched, watched_since = done, time.monotonic()
                elif time.monotonic() - watched_since > patience.stall_timeout_s:
                    raise _PassingError(f"{url} comes too slowly", hint="try again later; it goes on where it stopped")
    if done < size:
        raise _PassingError(f"{url} ended after {done} of {size} bytes", hint="try again: it goes on from there")


def _retry(attempt: Callable[[], ResultT], patience: Patience) -> ResultT:
    """Return what ``attempt`` returns, asking again after passing failures; GET changes nothing."""
    for wait_s in patience.retry_waits_s:
        try:
            return attempt()
        except _PassingError:
            time.sleep(wait_s)
    return attempt()


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of an answer as they come, so that a slow server is noticed."""
    while piece := response.raw.read1(CHUNK_BYTES, decode_content=False):
        yield piece


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Turn the errors of the HTTP libraries into ours."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        hint = "if it is your own certificate, REQUESTS_CA_BUNDLE names the file of its authority"
        raise DownloadError(f"{url}: {explain_failure(error)}", hint=hint) from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _PassingError(f"{url}: {explain_failure(error)}", hint="try again later") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError) as error:
        hint = "check the address and the network, and try again"
        raise _PassingError(f"{url}: {explain_failure(error)}", hint=hint) from error
    except requests.RequestException as error:
        hint = "an address begins with http:// or https://"
        raise DownloadError(f"{url}: {explain_failure(error)}", hint=hint) from error


def explain_failure(error: requests.RequestException | urllib3.exceptions.HTTPError) -> str:
    """Return why a request failed, in few words: the libraries' own name objects and addresses in memory."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be trusted"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "the server does not answer in time"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    broken = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError)
    if isinstance(error, broken):
        words = str(error)
        return next((meaning for found, meaning in _REASONS.items() if found in words), "the connection broke")
    return str(error)


@contextmanager
def _open(url: str, patience: Patience, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """Yield the answer to a GET, not yet read; redirects are followed on the same server only."""
    timeouts = (patience.connect_timeout_s, patience.read_timeout_s)
    asked = {"Accept-Encoding": "identity", **headers}
    with requests.Session() as session, _errors(url):
        here = url
        for _ in range(MAX_REDIRECTS + 1):
            with session.get(here, headers=asked, timeout=timeouts, stream=True, allow_redirects=False) as response:
                if not response.is_redirect:
                    _check_answer(url, response)
                    yield response
                    return
                here = _redirected(url, here, response.headers["Location"])
    raise DownloadError(f"{url} is redirected more than {MAX_REDIRECTS} times")


def _redirected(url: str, here: str, location: str) -> str:
    """Return where to look next."""
    there = urljoin(here, location)
    before, after = urlsplit(here), urlsplit(there)
    same = (before.hostname, before.port) == (after.hostname, after.port) and before.scheme == after.scheme
    upgraded = (before.scheme, after.scheme) == ("http", "https") and before.hostname == after.hostname
    if not same and not upgraded:
        hint = "if that is the right place, give its address instead"
        raise DownloadError(f"{url} is redirected to another server, {after.scheme}://{after.netloc}", hint=hint)
    return there


def _check_answer(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{url} comes compressed, which nobody asked for", hint="the server's configuration")
        return
    words = f"{url}: the server answers {status} {response.reason}"
    if status in _PASSING:
        raise _PassingError(words, hint="try again later")
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _RangeError(words)
    if status == HTTPStatus.NOT_FOUND:
        raise DownloadError(words, hint="the address is another one, or the file was removed")
    raise DownloadError(words)


def _check_length(url: str, response: requests.Response, limit_bytes: int, *, exact: bool = False) -> None:
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        return
    if exact and int(length) != limit_bytes:
        raise _wrong_size(url, limit_bytes, int(length))
    if int(length) > limit_bytes:
        raise _too_large(url, limit_bytes)


def _check_range(url: str, response: requests.Response, start: int, size: int) -> None:
    """Check that the answer is the part that was asked for (RFC 9110, 14.4)."""
    if response.headers.get("Content-Range") != f"bytes {start}-{size - 1}/{size}":
        said = response.headers.get("Content-Range", "nothing")
        raise _RangeError(f"{url}: asked for the bytes from {start} of {size}, the server sends {said}")


def _too_large(url: str, limit_bytes: int) -> DownloadError:
    return DownloadError(f"{url} is larger than {limit_bytes} bytes", hint="it is not what it has to be")


def _wrong_size(url: str, size: int, actual: int | None = None) -> DownloadError:
    has = f"has {actual} bytes" if actual is not None else "has more bytes"
    return DownloadError(f"{url} {has}, and {size} were promised", hint="the file was changed after its publication")
