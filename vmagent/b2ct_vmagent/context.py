"""Finds the VM's context: OpenNebula's CD, what one-context left, and the agent's own file."""

import configparser
import os
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from b2ct_vmagent.assignments import parse_assignments
from b2ct_vmagent.credentials import settle_credentials
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.iso9660 import read_root_files
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner, run_program
from b2ct_vmagent.settings import KEYS, Settings, Value, make_settings

CD_LABEL = "CONTEXT"
"""Volume label of OpenNebula's context CD (OpenNebula, vmm/LibVirtDriver: ``mkisofs -V CONTEXT -J -R``)."""
CD_FILES = ("context.sh", "token.txt")
SETTLE_S = 10.0


class Context(NamedTuple):
    """All that the VM was told."""

    settings: Settings
    values: Dict[str, Value]
    """The text behind each setting that was given, by option."""
    token: str
    """Proves to OneGate that this VM asks; empty without one."""
    problems: Tuple[str, ...]
    """A sentence for each thing that is wrong."""

    @property
    def wants_pilot(self) -> bool:
        """Whether this machine is to run pilots, also when what is said about them is wrong."""
        return self.settings.has_pilot or any(
            option in self.values for option in ("pilot", "pilot_kind", "dirac_pilot")
        )


def load_context(paths: Paths) -> Context:
    """Return the context: the CD wins over what one-context left, both win over agent.conf."""
    problems: List[str] = []
    values: Dict[str, Value] = {}
    token = ""
    for folder in (paths.run, paths.at("/run/one-context")):
        for name in ("context.sh", "one_env"):
            path = os.path.join(folder, name)
            variables = parse_assignments(_read(path, problems) or "")
            for key in KEYS:
                given = [variables[variable] for variable in key.variables if variables.get(variable)]
                if given:
                    values.setdefault(key.option, Value(given[0].strip(), path))
            token = token or variables.get("TOKENTXT", "").strip()
        token = (_read(os.path.join(folder, "token.txt"), problems) or "").strip() or token
    for option, value in _read_conf(paths.conf, problems).items():
        values.setdefault(option, value)
    settings, wrong = make_settings(values)
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        problems.append("the OneGate token is damaged")
        token = ""
    return Context(settle_credentials(settings), values, token, tuple(problems + wrong))


def _drives(paths: Paths) -> List[str]:
    """Return the CD drives."""
    folder = paths.at("/dev")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if re.fullmatch("sr[0-9]+", name)]


def _read(path: str, problems: List[str]) -> Optional[str]:
    try:
        return read_text(path)
    except AgentError as error:
        problems.append(str(error))
        return None


def _read_conf(path: str, problems: List[str]) -> Dict[str, Value]:
    """Return what the section ``[agent]`` of agent.conf sets; an unknown option is a problem, for it is misspelt."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#", ";"))
    try:
        parser.read_string(_read(path, problems) or "", path)
    except configparser.Error as error:
        problems.append("{}: {}".format(path, " ".join(str(error).split())))
        return {}
    if not parser.has_section("agent"):
        if parser.sections():
            problems.append("{}: there is no section [agent]".format(path))
        return {}
    known = {key.option for key in KEYS}
    problems.extend("{}: there is no option {}".format(path, name) for name in parser["agent"] if name not in known)
    return {name: Value(text.strip(), path) for name, text in parser["agent"].items() if name in known}


def save_cd(paths: Paths, run: Runner = run_program) -> Optional[str]:
    """Copy context.sh and token.txt of the context CD to ``/run/b2ct-vm``, for root only; None without a CD.

    Returns:
        The device that it was read from.

    Raises:
        AgentError: the copies cannot be written.
    """
    run(["udevadm", "settle", "--timeout={:.0f}".format(SETTLE_S)], SETTLE_S + 5)
    for device in (paths.at("/dev/disk/by-label/" + CD_LABEL), *_drives(paths)):
        try:
            files = read_root_files(device, CD_LABEL)
        except AgentError:
            continue  # no medium, or another one
        make_folder(paths.run)
        for name in CD_FILES:
            if name in files:
                write_file(os.path.join(paths.run, name), files[name], 0o600)
        return device
    return None
