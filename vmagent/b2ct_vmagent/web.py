"""Asks a web service: one door, which comes back in time also from a server that hangs or trickles."""

import http.client
import socket
import ssl
import threading
from typing import Dict, List, NamedTuple, Optional, Union
from urllib.parse import urlsplit

from b2ct_vmagent.errors import AgentError

LARGEST_ANSWER_BYTES = 1 << 20
"""No more of an answer is read."""


class WebError(AgentError):
    """No answer came."""


class Answer(NamedTuple):
    """What a server answered: the HTTP status, and the body, or as much of it as is read."""

    status: int
    body: bytes


def ask(  # noqa: PLR0913, PLR0917 - what a request consists of
    method: str,
    url: str,
    body: bytes,
    headers: Dict[str, str],
    timeout_s: float,
    context: Optional[ssl.SSLContext] = None,
) -> Answer:
    """Make one request and return the answer, whatever its status; redirections and proxies are not followed.

    ``timeout_s`` bounds all of it, from the look-up of the name to the end of the answer.

    Raises:
        WebError: no answer came in time, or none that is HTTP.
    """
    place = urlsplit(url)
    connection: http.client.HTTPConnection
    if place.scheme == "https":
        connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)
    results: List[Union[Answer, WebError]] = []

    def work() -> None:
        try:
            connection.request(method, place.path or "/", body, headers)
            with connection.getresponse() as answer:
                results.append(Answer(answer.status, answer.read(LARGEST_ANSWER_BYTES)))
        except (OSError, ValueError, http.client.HTTPException) as error:
            results.append(WebError("{}: {}".format(place.netloc, _words(error))))
        finally:
            connection.close()

    # a time limit of a socket holds for each piece, and the resolver knows none at all
    thread = threading.Thread(target=work, name="ask", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not results:
        _cut(connection)
        raise WebError("{}: no whole answer in {:.0f} s".format(place.netloc, timeout_s))
    if isinstance(results[0], WebError):
        raise results[0]
    return results[0]


def _words(error: Exception) -> str:
    """Return what went wrong, without Python's decoration."""
    if isinstance(error, ssl.SSLError) and error.reason == "CERTIFICATE_VERIFY_FAILED":
        return "its certificate is not trusted ({})".format(getattr(error, "verify_message", "") or "unknown CA")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _cut(connection: http.client.HTTPConnection) -> None:
    """Break a connection off, so that the thread which waits for it ends."""
    try:
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
