"""DIRAC 8 from PyPI in a virtual environment of its own, built once and kept between runs."""

from __future__ import annotations

from pathlib import Path

from tests.rigs.cache import make_cached
from tests.rigs.process import run_tool

VERSION = "8.0.86"
TOOLS = ("/usr/bin/python3", "mariadbd", "mariadb", "mariadb-install-db", "mariadb_config", "openssl", "swig", "g++")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")

_RELATIVE = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""
"""The first lines of a script that runs by the Python beside it: a shell's exec, a string to Python."""


def load_software() -> Path:
    """The folder of the virtual environment; M2Crypto and mysqlclient are compiled the first time, for two minutes."""
    python = run_tool(["/usr/bin/python3", "--version"])
    return make_cached("dirac", (VERSION, python, REQUIREMENTS.read_bytes(), _RELATIVE), _build)


def _build(folder: Path) -> None:
    """Fill ``folder``, which will move: copies of Python, for the job agent resolves links, and relative scripts."""
    run_tool(["/usr/bin/python3", "-m", "venv", "--copies", folder])
    pip: list[str | Path] = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_tool([*pip, "--requirement", REQUIREMENTS])
    run_tool([*pip, "--no-deps", f"DIRAC=={VERSION}"])
    absolute = f"#!{folder}/bin/python"
    for script in (folder / "bin").iterdir():
        text = script.read_bytes()
        if text.startswith(absolute.encode()):
            script.write_bytes(_RELATIVE.encode() + text.split(b"\n", 1)[1])


def find_sources(software: Path) -> Path:
    """The folder of the package DIRAC."""
    return next(software.glob("lib/python3*/site-packages/DIRAC"))
