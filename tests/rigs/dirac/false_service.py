"""A service that is none: it has a good certificate, and says what a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.rigs.dirac.certificates import Identity

URL = "dips://localhost:{}/WorkloadManagement/VirtualMachineManager"


@contextmanager
def run_false_service(identity: Identity | None, say: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run ``say`` for each connection, behind TLS when there is an identity; yields the URL."""
    context = None
    if identity:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(identity.certificate, identity.key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, context, say))
        thread.start()
        try:
            yield URL.format(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, context: ssl.SSLContext | None, say: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            plain, _ = server.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), plain:
            if context is None:
                say(plain)
            else:
                with context.wrap_socket(plain, server_side=True) as link:
                    say(link)
