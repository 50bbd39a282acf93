"""Reading and writing small files: what is written appears whole or not at all."""

import os
from typing import Optional, Tuple

from b2ct_vmagent.errors import AgentError

LARGEST_BYTES = 1 << 20
"""No file that the agent reads is larger."""


def read_text(path: str) -> Optional[str]:
    """Return the text of a file, None when there is none.

    Raises:
        AgentError: it cannot be read, is larger than a MiB, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AgentError("{}: {}".format(path, error.strerror))
    if len(data) > LARGEST_BYTES:
        raise AgentError("{}: larger than 1 MiB".format(path))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise AgentError("{}: not UTF-8 text".format(path))


def make_folder(path: str) -> None:
    """Make a folder (0755, whatever the umask) and those above it, where they are missing.

    Raises:
        AgentError: it cannot be made.
    """
    if os.path.isdir(path):
        return
    if os.path.dirname(path) != path:
        make_folder(os.path.dirname(path))
    try:
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103 - readable by all: what has to be hidden has a mode of its own
    except FileExistsError:
        return
    except OSError as error:
        raise AgentError("{}: {}".format(path, error.strerror))


def write_file(path: str, data: bytes, mode: int, owner: Optional[Tuple[int, int]] = None) -> None:
    """Write a file with these permission bits, and of this user and group, by way of a temporary file beside it.

    Raises:
        AgentError: it cannot be written.
    """
    try:
        temporary = os.path.join(os.path.dirname(path), ".b2ct-" + os.urandom(8).hex())
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                if owner is not None:
                    os.fchown(file.fileno(), *owner)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise AgentError("{}: {}".format(path, error.strerror))


def remove_file(path: str) -> None:
    """Remove a file, if it is there; raises AgentError when it cannot be removed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AgentError("{}: {}".format(path, error.strerror))
