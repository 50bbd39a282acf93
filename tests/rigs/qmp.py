"""A QEMU machine's monitor: the QMP protocol over its unix socket (QEMU, docs/interop/qmp-spec)."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from tests.rigs.process import RigError

if TYPE_CHECKING:
    from pathlib import Path


class Monitor:
    """An open connection; ``execute`` runs one command and waits for its answer."""

    def __init__(self, path: Path, *, timeout_s: float = 30) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream = self._socket.makefile("r", encoding="utf-8")
        self._read()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 (whatever JSON the command returns)
        """The ``return`` member of the answer to ``command``.

        Raises:
            RigError: QEMU refused it, or went away.
        """
        self._send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise RigError(f"qemu: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def human(self, line: str) -> str:
        """What the human monitor answers to ``line``."""
        return str(self.execute("human-monitor-command", **{"command-line": line}))

    def close(self) -> None:
        """End the connection; the machine runs on."""
        self._stream.close()
        self._socket.close()

    def _send(self, line: str) -> None:
        try:
            self._socket.sendall(line.encode())
        except OSError as error:
            raise RigError(f"qemu: the monitor's connection ended: {error}") from error

    def _read(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
        except OSError as error:
            raise RigError(f"qemu: the monitor's connection ended: {error}") from error
        if not line:
            raise RigError("qemu: the monitor's connection ended")
        answer: dict[str, Any] = json.loads(line)
        return answer
