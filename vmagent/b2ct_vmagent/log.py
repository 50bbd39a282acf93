"""Lines for the journal: a priority that systemd understands, and the message."""

import os
import sys

_PRIORITIES = {"error": 3, "warning": 4, "info": 6}


def log(level: str, message: str) -> None:
    """Write one line to standard error; with its priority in front for the journal (sd-daemon(3))."""
    line = " ".join(message.split())
    prefix = "<{}>".format(_PRIORITIES[level]) if "JOURNAL_STREAM" in os.environ else "b2ct-agent: "
    sys.stderr.write(prefix + line + "\n")
    sys.stderr.flush()
