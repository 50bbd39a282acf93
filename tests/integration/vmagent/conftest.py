"""The agent as it is shipped, run by every Python that is here, below a folder that stands for a machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from b2ct.apply.agent import build_agent
from b2ct.assets import Assets
from tests.rigs.process import RigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine's files below ``root``, and the agent that is to run there."""

    root: Path
    zipapp: Path
    python: str = sys.executable

    def write(self, place: str, text: str) -> None:
        (self.root / place).parent.mkdir(parents=True, exist_ok=True)
        (self.root / place).write_text(text, encoding="utf-8")

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._argv(*arguments), capture_output=True, text=True, timeout=60, check=False)

    @contextlib.contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Run the agent until the context ends; it has to end by itself then, without an error."""
        process = subprocess.Popen(self._argv("run"), stderr=subprocess.PIPE, text=True)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            written = process.communicate(timeout=PATIENCE_S)[1]
            assert process.returncode == 0, written
            assert "Traceback" not in written
            assert "Warning" not in written
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def status(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        text = ""
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                text = (self.root / "run/b2ct-vm/status.json").read_text(encoding="utf-8")
                document: dict[str, Any] = json.loads(text)
                if wanted(document):
                    return document
            time.sleep(0.05)
        raise RigError(f"the agent's status did not become as wanted: {text}")

    def _argv(self, *arguments: str) -> list[str]:
        return [self.python, "-I", "-W", "error", str(self.zipapp), "--root", str(self.root), *arguments]


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agent") / "agent.pyz"
    path.write_bytes(build_agent(Assets()))
    return path


@pytest.fixture
def guest(zipapp: Path, tmp_path: Path) -> Guest:
    (tmp_path / "machine/var").mkdir(parents=True)
    return Guest(tmp_path / "machine", zipapp)


def find_python(version: str) -> str | None:
    """The interpreter of a version such as 3.6: on PATH, or installed by pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = [str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python3"))]
    for name in (*installed, f"python{version}", sys.executable):
        say = [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        with contextlib.suppress(OSError):
            if subprocess.run(say, capture_output=True, text=True, check=False).stdout.strip() == version:
                return name
    return None
