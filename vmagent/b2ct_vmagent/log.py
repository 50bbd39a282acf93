"""Lines for the journal: a priority that systemd understands, and the message."""

import sys

_PRIORITIES = {"error": 3, "warning": 4, "info": 6}


def log(level: str, message: str) -> None:
    """Write one line to standard error; with its priority in front where systemd reads it (sd-daemon(3))."""
    line = " ".join(message.split())
    prefix = "b2ct-vm-agent: " if sys.stderr.isatty() else "<{}>".format(_PRIORITIES[level])
    sys.stderr.write(prefix + line + "\n")
    sys.stderr.flush()
