"""The entry point: the only place where an error becomes an exit code."""

from __future__ import annotations

import sys

import typer

from b2ct.cli import (
    agent_commands,
    bundle_commands,
    credentials_command,
    describe_commands,
    image_commands,
    marketplace_commands,
    media_commands,
    register_command,
    worker_commands,
)
from b2ct.cli.app import app
from b2ct.cli.interrupt import terminated_as_interrupt
from b2ct.cli.output import print_error
from b2ct.errors import B2ctError, ExitCode, UsageError

__all__ = [
    "agent_commands",
    "app",
    "bundle_commands",
    "credentials_command",
    "describe_commands",
    "image_commands",
    "main",
    "marketplace_commands",
    "media_commands",
    "register_command",
    "worker_commands",
]


def main(arguments: list[str] | None = None) -> int:
    """Run b2ct and return its exit code; ``arguments`` are those of the process when None."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    as_json = "--json" in arguments
    try:
        with terminated_as_interrupt():
            return _run(arguments)
    except B2ctError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        if error.format_message():  # empty: a command without its subcommand, whose help has been shown
            print_error(UsageError(error.format_message(), hint="--help shows how it is called"), as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print_error(B2ctError("interrupted"), as_json=as_json)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.FAILED


def _run(arguments: list[str]) -> int:
    """Run the application and return its exit code; errors come through as exceptions."""
    code = app(arguments, prog_name="b2ct", standalone_mode=False)
    if code == ExitCode.INTERRUPTED:  # Typer's answer to Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else ExitCode.DONE
