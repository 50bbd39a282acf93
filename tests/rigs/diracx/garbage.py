"""A server on loopback that gives every request the same bytes, a piece at a time, or nothing at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def answer_all(answer: bytes | None, *, piece_s: float = 0) -> Iterator[str]:
    """Answer with ``answer``, a byte every ``piece_s`` seconds unless 0; None: hold the connection. Yields the URL."""
    held: list[socket.socket] = []
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            for place in range(len(answer or b"")) if piece_s else ():
                connection.sendall((answer or b"")[place : place + 1])
                if stop.wait(piece_s):
                    return
            connection.sendall(b"" if piece_s else answer or b"")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # closed with data unread, a connection is reset
                pass

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                connection.settimeout(10)
                if answer is None:
                    held.append(connection)
                else:
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in held:
                connection.close()
