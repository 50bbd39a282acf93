"""The command ``b2ct-agent``."""

import argparse
import json
import os
import sys
from typing import Callable, Dict, List, Optional

from b2ct_vmagent import __version__
from b2ct_vmagent.checks import State
from b2ct_vmagent.context import load_context, save_cd
from b2ct_vmagent.doctor import examine
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.log import log
from b2ct_vmagent.orders import Note, write_note
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import prepare_pilot, record_end, renew_secrets
from b2ct_vmagent.programs import run_program
from b2ct_vmagent.reports import Order
from b2ct_vmagent.scratch import prepare_scratch
from b2ct_vmagent.service import serve
from b2ct_vmagent.settings import KEYS, MOST_PILOTS
from b2ct_vmagent.status import load_status, render_status


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; 0 when all is well (``status``, ``doctor``: ready), 1 when not, 2 for a wrong command line."""
    chosen = _make_parser().parse_args(arguments)
    commands: Dict[str, Callable[[argparse.Namespace, Paths], int]] = {
        "run": _run,
        "status": _status,
        "drain": _drain,
        "halt": _halt,
        "doctor": _doctor,
        "context": _context,
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
    parser = argparse.ArgumentParser(prog="b2ct-agent", description="Makes this virtual machine a worker.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--root", default="", metavar="DIR", help="take all files below DIR instead of /")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    commands.add_parser("run", help="check, start pilots, watch, report and halt (b2ct-vm-agent.service)")
    status = commands.add_parser("status", help="show what the running agent found last; exit code 0 when ready")
    status.add_argument("--json", action="store_true", help="print the document as it is")
    drain = commands.add_parser("drain", help="take no more work, let payloads finish, then halt")
    halt = commands.add_parser("halt", help="halt now; payloads that run are lost")
    halt.add_argument("--yes", action="store_true", help="do not ask although payloads run")
    for order in (drain, halt):
        order.add_argument("--reason", default="", metavar="TEXT", help="told to the central scheduler and the cloud")
    commands.add_parser("doctor", help="look for what is wrong now, and say what to do; exit code 0 when ready")
    context = commands.add_parser("context", help="show the settings and where each comes from")
    context.add_argument("--save", action="store_true", help="copy OpenNebula's context CD to /run/b2ct-vm")
    commands.add_parser("scratch", help="mount the scratch disk, formatted if it is blank (b2ct-vm-scratch.service)")
    pilot = commands.add_parser("pilot", help="write down what a pilot's unit has to run, or how it ended (the units)")
    pilot.add_argument("number", type=int, choices=range(MOST_PILOTS), metavar="NUMBER", help="which one, from 0 on")
    what = pilot.add_mutually_exclusive_group()
    what.add_argument("--ended", action="store_true", help="write down how it ended")
    what.add_argument("--secrets", action="store_true", help="copy what it shows to its centre, which was renewed")
    return parser


def _run(_chosen: argparse.Namespace, paths: Paths) -> int:
    serve(paths)
    return 0


def _status(chosen: argparse.Namespace, paths: Paths) -> int:
    document = load_status(paths)
    print(json.dumps(document) if chosen.json else render_status(document))
    return 0 if document["ready"] else 1


def _drain(chosen: argparse.Namespace, paths: Paths) -> int:
    jobs = load_status(paths)["jobs"]
    write_note(paths, Note(Order.DRAIN, chosen.reason))
    print("drains; halts when all payloads have ended, {} now".format(jobs) if jobs else "drains and halts")
    return 0


def _halt(chosen: argparse.Namespace, paths: Paths) -> int:
    jobs = load_status(paths)["jobs"]
    if jobs and not chosen.yes and not _agreed("Payloads that run will be lost, {}. Halt all the same?".format(jobs)):
        raise AgentError("nothing was done; `b2ct-agent drain` waits for payloads, --yes halts without asking")
    write_note(paths, Note(Order.HALT, chosen.reason))
    print("halts")
    return 0


def _agreed(question: str) -> bool:
    """Ask whoever sits at the terminal; nobody there means no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(question + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _doctor(_chosen: argparse.Namespace, paths: Paths) -> int:
    checks = examine(paths, load_context(paths), run_program)
    for check in checks:
        print("{:8} {}: {}".format(check.state.value, check.name, check.detail))
    return 1 if any(check.state is State.FAILED for check in checks) else 0


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


def _scratch(_chosen: argparse.Namespace, paths: Paths) -> int:
    check = prepare_scratch(paths, load_context(paths).settings, run_program)
    print("{}: {}".format(check.state.value, check.detail))
    return 1 if check.state is State.FAILED else 0


def _pilot(chosen: argparse.Namespace, paths: Paths) -> int:
    settings = load_context(paths).settings
    if chosen.ended:
        record_end(paths, settings, chosen.number, dict(os.environ))
        return 0
    if chosen.secrets:
        renew_secrets(paths, settings, chosen.number)
        return 0
    print("runs in {}".format(prepare_pilot(paths, settings, chosen.number)))
    return 0
