"""The programs that tests need: absent they skip a test on a laptop and fail it in CI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PACKAGES = Path(__file__).with_name("packages.txt")


def need_tool(*names: str) -> None:
    """Skip the running test, or fail it when ``CI=true``, unless each program or absolute path of ``names`` exists."""
    missing = [name for name in names if not (Path(name).exists() if name.startswith("/") else shutil.which(name))]
    if missing:
        do_without(f"missing: {', '.join(missing)}; on Debian the packages of {PACKAGES} bring it")


def need_root() -> None:
    """Skip the running test, or fail it when ``CI=true``, unless root runs it."""
    if os.geteuid() != 0:
        do_without("only root can make the namespaces that this test needs")


def do_without(message: str) -> None:
    """Skip the running test on a laptop; fail it when ``CI=true``."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
