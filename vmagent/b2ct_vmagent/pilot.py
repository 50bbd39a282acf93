"""The community's pilot: a command in a unit of its own, under a user of its own, once the machine is ready."""

import os
import stat
from typing import List

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.settings import Settings

UNIT = "b2ct-vm-pilot.service"
SYSTEMCTL_S = 30.0


def check_pilot(settings: Settings, run: Runner) -> Check:
    """Return whether the pilot's unit failed: a warning, since the machine itself is as it should be."""
    if not settings.pilot:
        return Check("pilot", State.SKIPPED, "no pilot is asked for")
    if run(["systemctl", "is-failed", "--quiet", UNIT], SYSTEMCTL_S).code == 0:
        return Check("pilot", State.WARNING, "it failed: journalctl -u {}".format(UNIT))
    return Check("pilot", State.OK, "{} has not failed".format(UNIT))


def start_pilot(paths: Paths, run: Runner) -> bool:
    """Have systemd start the pilot, unless it was started since the last boot; return whether that was done.

    Raises:
        AgentError: systemd did not take the order.
    """
    if os.path.exists(paths.pilot):
        return False
    done = run(["systemctl", "--no-block", "start", UNIT], SYSTEMCTL_S)
    if done.code != 0:
        raise AgentError("{} could not be started: {}".format(UNIT, done.output))
    return True


def prepare_pilot(paths: Paths, settings: Settings) -> str:
    """Write what the unit runs, and return the folder that it runs in; done as root before the pilot starts.

    That folder is on the scratch disk, if there is one, and belongs to the user that systemd made for the unit, who is
    the owner of its StateDirectory (systemd.exec(5)). The written file is also what tells that the pilot was started.

    Raises:
        AgentError: there is no pilot to start, or the folder or the file cannot be made.
    """
    if not settings.pilot:
        raise AgentError("no pilot is asked for")
    folder = os.path.join(paths.scratch, "pilot") if settings.scratch else paths.pilot_state
    try:
        owner = os.stat(paths.pilot_state)
        if settings.scratch:
            _give_folder(folder, owner)
    except OSError as error:
        raise AgentError("{}: {}".format(error.filename or folder, error.strerror))
    make_folder(paths.run)
    write_file(paths.pilot, "\n".join(_script(folder, settings)).encode("utf-8"), 0o644)
    return folder


def _give_folder(folder: str, owner: os.stat_result) -> None:
    """Make the folder, if it is not there, and give it away; what only looks like one is left alone."""
    if not os.path.lexists(folder):
        os.mkdir(folder, 0o700)
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise AgentError("{} is no folder".format(folder))
    os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _script(folder: str, settings: Settings) -> List[str]:
    return [
        "cd {} || exit 1".format(folder),
        "export HOME={0} TMPDIR={0}".format(folder),
        settings.pilot,
        "",
    ]
