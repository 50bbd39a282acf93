"""Starts b2ct: the command ``b2ct``, and ``python -m b2ct``."""

from __future__ import annotations

import io
import sys

from b2ct.errors import ExitCode


def run() -> int:
    """Load the program, run it, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name on an ISO may be in any encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        from b2ct.cli.main import main  # noqa: PLC0415 - Ctrl-C while it loads needs no traceback either
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return main()


if __name__ == "__main__":
    sys.exit(run())
