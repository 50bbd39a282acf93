"""The community's pilot: a command in a unit of its own, under a user of its own, once the machine is ready."""

import os
from typing import List

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.settings import Settings

UNIT = "b2ct-vm-pilot.service"
START_S = 30.0


def start_pilot(run: Runner) -> None:
    """Have systemd start the pilot; one that was started since the last boot stays as it is.

    Raises:
        AgentError: systemd did not take the order.
    """
    done = run(["systemctl", "--no-block", "start", UNIT], START_S)
    if done.code != 0:
        raise AgentError("{} could not be started: {}".format(UNIT, done.output))


def prepare_pilot(paths: Paths, settings: Settings) -> str:
    """Write what the unit runs, and return the folder that it runs in; done as root before the pilot starts.

    That folder is on the scratch disk, if there is one, and belongs to the user that systemd made for the unit, who is
    the owner of ``/run/b2ct-vm-pilot`` (``RuntimeDirectory=`` in systemd.exec(5)).

    Raises:
        AgentError: there is no pilot to start, or the folder or the file cannot be made.
    """
    if not settings.pilot:
        raise AgentError("no pilot is asked for")
    folder = os.path.join(paths.scratch, "pilot") if settings.scratch else paths.pilot_state
    try:
        owner = os.stat(paths.pilot_run)
        if settings.scratch:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.chown(folder, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise AgentError("{}: {}".format(error.filename or folder, error.strerror))
    write_file(os.path.join(paths.pilot_run, "start"), "\n".join(_script(folder, settings)).encode("utf-8"), 0o644)
    return folder


def _script(folder: str, settings: Settings) -> List[str]:
    return [
        "cd {} || exit 1".format(folder),
        "export HOME={0} TMPDIR={0}".format(folder),
        settings.pilot,
        "",
    ]
