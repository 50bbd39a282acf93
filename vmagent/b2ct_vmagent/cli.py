"""The command ``b2ct-vm-agent``."""

import argparse
import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import Callable, Dict, List, Optional

from b2ct_vmagent import __version__
from b2ct_vmagent.checks import State
from b2ct_vmagent.context import load_context, save_cd
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.log import log
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot import prepare_pilot
from b2ct_vmagent.programs import run_program
from b2ct_vmagent.scratch import prepare_scratch
from b2ct_vmagent.service import make_status, run_service
from b2ct_vmagent.settings import KEYS
from b2ct_vmagent.status import load_status, render_status


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; 0 when all is well (``status``, ``check``: ready), 1 when not, 2 for a wrong command line."""
    chosen = _make_parser().parse_args(arguments)
    commands: Dict[str, Callable[[argparse.Namespace, Paths], int]] = {
        "run": _run,
        "status": _status,
        "context": _context,
        "check": _check,
        "scratch": _scratch,
        "pilot": _pilot,
    }
    try:
        return commands[chosen.command](chosen, Paths(chosen.root))
    except AgentError as error:
        log("error", str(error))
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def run() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(main())


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="b2ct-vm-agent", description="Makes this virtual machine a worker.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--root", default="", metavar="DIR", help="take all files below DIR instead of /")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    commands.add_parser("run", help="check, report and wait until told to end (b2ct-vm-agent.service)")
    status = commands.add_parser("status", help="show what the running agent found last; exit code 0 when ready")
    status.add_argument("--json", action="store_true", help="print the document as it is")
    context = commands.add_parser("context", help="show the settings and where each comes from")
    context.add_argument("--save", action="store_true", help="copy OpenNebula's context CD to /run/b2ct-vm")
    commands.add_parser("check", help="make the checks now and show them; exit code 0 when ready")
    commands.add_parser("scratch", help="mount the scratch disk, formatted if it is blank (b2ct-vm-scratch.service)")
    commands.add_parser("pilot", help="write down what the pilot's unit has to run (b2ct-vm-pilot.service)")
    return parser


def _run(_chosen: argparse.Namespace, paths: Paths) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    run_service(paths, threading.Event())
    return 0


def _end(_number: int, _frame: Optional[FrameType]) -> None:
    """End from wherever the agent is, also from a program that it waits for; a second signal changes nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _status(chosen: argparse.Namespace, paths: Paths) -> int:
    document = load_status(paths)
    print(json.dumps(document) if chosen.json else render_status(document))
    return 0 if document["ready"] else 1


def _context(chosen: argparse.Namespace, paths: Paths) -> int:
    if chosen.save:
        device = save_cd(paths)
        print("copied from {}".format(device) if device else "there is no context CD")
        return 0
    context = load_context(paths)
    for key in KEYS:
        value = context.values.get(key.option)
        print("{:20} {}".format(key.option, "{}  ({})".format(value.text, value.origin) if value else "-"))
    print("{:20} {}".format("OneGate token", "present" if context.token else "-"))
    for problem in context.problems:
        log("error", problem)
    return 1 if context.problems else 0


def _check(_chosen: argparse.Namespace, paths: Paths) -> int:
    status = make_status(paths, load_context(paths), run_program)
    for check in status.checks:
        print("{:8} {}: {}".format(check.state.value, check.name, check.detail))
    return 0 if status.ready else 1


def _scratch(_chosen: argparse.Namespace, paths: Paths) -> int:
    check = prepare_scratch(paths, load_context(paths).settings, run_program)
    print("{}: {}".format(check.state.value, check.detail))
    return 1 if check.state is State.FAILED else 0


def _pilot(_chosen: argparse.Namespace, paths: Paths) -> int:
    print("runs in {}".format(prepare_pilot(paths, load_context(paths).settings)))
    return 0
