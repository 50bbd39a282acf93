"""Starts a real DiracX (authentication and pilots, on SQLite) from PyPI, in an environment of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from tests.rigs.cache import make_cached
from tests.rigs.process import RigError, run_tool

if TYPE_CHECKING:
    from types import TracebackType

HERE = Path(__file__).parent
VO, GROUP, USER = "rigvo", "rig_pilot", "vmrobot"
SUBJECT = "75212b23-14c2-47be-9374-eb0113b0575e"
SCOPE = f"vo:{VO} group:{GROUP}"
CONFIGURATION = {
    "DIRAC": {},
    "Operations": {VO: {}},
    "Registry": {
        VO: {
            "DefaultGroup": GROUP,
            "Groups": {GROUP: {"Properties": ["GenericPilot", "NormalUser"], "Quota": None, "Users": [SUBJECT]}},
            "IdP": {"ClientID": "rig", "URL": "https://idp.invalid"},
            "Users": {SUBJECT: {"PreferedUsername": USER}},
        }
    },
}
"""What ``dirac internal add-vo`` and ``add-user`` write, with a pilot's rights (``PreferedUsername`` is theirs)."""

START_S = 60.0


def diracx_python() -> Path:
    """Return the Python of an environment that holds DiracX; made once, from PyPI, in about a minute."""

    def make(folder: Path) -> None:
        run_tool([sys.executable, "-m", "venv", folder])
        run_tool([folder / "bin/python", "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"])

    version = "{}.{}".format(*sys.version_info)
    return make_cached("diracx", [version, (HERE / "requirements.txt").read_bytes()], make) / "bin/python"


class DiracxService:
    """DiracX with one community (``rigvo``) and one robot that may register its pilots; a context manager.

    ``folder`` keeps its state, so that it can be stopped and started again on the same port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = diracx_python()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._secret = secrets.token_bytes()
        self._process: subprocess.Popen[bytes] | None = None
        self._prepare()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, token_minutes: int = 20) -> None:
        """Start it, and wait until it hands out tokens, which hold for ``token_minutes``."""
        environment = self._environment() | {"DIRACX_SERVICE_AUTH_ACCESS_TOKEN_EXPIRE_MINUTES": str(token_minutes)}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, HERE / "serve.py", str(self._port)],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.mint()
            except OSError:
                time.sleep(0.2)
            else:
                return
        self.stop()
        said = (self._folder / "log").read_text(errors="replace")[-3000:]
        raise RigError(f"DiracX did not start:\n{said}")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def mint(self) -> dict[str, str]:
        """Return an access and a refresh token of the robot, as DIRAC's own services get them."""
        query = urlencode({"preferred_username": USER, "scope": SCOPE})
        key = "diracx:legacy:" + base64.urlsafe_b64encode(self._secret).decode()
        request = urllib.request.Request(  # noqa: S310 - it is http
            f"{self.url}/api/auth/legacy-exchange?{query}", headers={"Authorization": f"Bearer {key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
                tokens: dict[str, str] = json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise
        return tokens

    def mint_refresh_token(self) -> str:
        """Return a refresh token that is good once, as a person gets it by logging in."""
        return run_tool([self._python, HERE / "mint.py", f"{VO}:{SUBJECT}", SCOPE], env=self._environment()).strip()

    def pilots(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the pilots by stamp."""
        with sqlite3.connect(self._folder / "pilots.db") as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("SELECT * FROM PilotAgents").fetchall()
        database.close()
        return {row["PilotStamp"]: dict(row) for row in rows}

    def forget_pilots(self) -> None:
        """Remove all pilots behind its back."""
        with sqlite3.connect(self._folder / "pilots.db") as database:
            database.execute("DELETE FROM PilotAgents")
        database.close()

    def _prepare(self) -> None:
        """Make the keys, and the repository that holds the configuration."""
        run_tool([self._python, "-m", "diracx.logic", "rotate-jwk", "--jwks-path", self._folder / "jwks.json"])
        repository = self._folder / "cs"
        repository.mkdir()
        (repository / "default.yml").write_text(json.dumps(CONFIGURATION), encoding="utf-8")
        who = {f"GIT_{role}_{what}": "rig" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        for words in (["init", "-q", "-b", "master"], ["add", "."], ["commit", "-q", "-m", "Configuration"]):
            run_tool(["git", *words], cwd=repository, env=who)

    def _environment(self) -> dict[str, str]:
        state_key = base64.b64encode(hashlib.sha256(self._secret).digest()).decode()
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "DIRACX_CONFIG_BACKEND_URL": f"git+file://{self._folder}/cs",
            "DIRACX_DB_URL_AUTHDB": f"sqlite+aiosqlite:///{self._folder}/auth.db",
            "DIRACX_DB_URL_PILOTAGENTSDB": f"sqlite+aiosqlite:///{self._folder}/pilots.db",
            "DIRACX_SERVICE_AUTH_TOKEN_KEYSTORE": f"file://{self._folder}/jwks.json",
            "DIRACX_SERVICE_AUTH_STATE_KEY": state_key,
            "DIRACX_SERVICE_AUTH_TOKEN_ISSUER": self.url,
            "DIRACX_SERVICE_AUTH_ALLOWED_REDIRECTS": f'["{self.url}/docs/oauth2-redirect"]',
            "DIRACX_SERVICE_JOBS_ENABLED": "false",
            "DIRACX_SERVICE_RSS_ENABLED": "false",
            "DIRACX_LEGACY_EXCHANGE_HASHED_API_KEY": hashlib.sha256(self._secret).hexdigest(),
        }
