"""The DIRAC pilot: ``dirac-pilot.py`` with a job agent that gives all cores of its slot to jobs.

Options are those of DIRACGrid/Pilot of 2026, what the job agent does with them is DIRAC 8.0.86 and 9.1.22.
"""

import json
import shlex
from typing import List, Tuple

from b2ct_vmagent.diracx import make_stamp
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.pilot_files import PilotFiles, Slot
from b2ct_vmagent.settings import Settings

WORK = "pilot"
"""Folder that the pilot runs in, below its home; new for each pilot."""
STOP_FILE = WORK + "/control/WorkloadManagement/JobAgent/stop_agent"
"""The job agent looks for it between its cycles, and then waits for its jobs (AgentReactor.go, JobAgent.finalize)."""
PAYLOADS = r"(?:^|[ /])Wrapper_([0-9]+)(?: |$)"
"""One JobWrapper runs for each job, in a container or not (WorkloadManagementSystem/Utilities/Utils.py)."""
IMAGE = "/cvmfs/cernvm-prod.cern.ch/cvm4"
"""The container that DIRAC takes when its configuration names none (SingularityComputingElement.py)."""

_HEAD = """\
here=${0%/*}
home=$PWD
end() {
    echo "$1" >"$home/shutdown_message"
    echo "$1" >&2
    exit 1
}
python=$(command -v python3 || echo /usr/libexec/platform-python)
"""
_FRESH = """\
rm -rf -- {work} || end '700 The folder of the last pilot cannot be removed'
mkdir -p -- {work} || end '700 There is no folder to run in'
cd -- {work} || end '700 There is no folder to run in'
"""
_FETCH = """\
fetch() {{
    curl --fail --silent --show-error --location --proto '=https' --proto-redir '=https' --retry 3 \\
        --connect-timeout 30 --max-time 300 --max-filesize 67108864 --output fetched "$@" {url}
}}
fetch || fetch --capath "$X509_CERT_DIR" || end '600 dirac_pilot cannot be fetched'
echo {check} | sha256sum --check --status || end '700 dirac_pilot is not what dirac_pilot_sha256 says'
"""
_AUTO = """\
ce=Pool
if command -v apptainer && timeout 300 apptainer exec --contain --userns --bind /cvmfs {image} /bin/true; then
    ce=Pool/Singularity
fi >/dev/null 2>&1
echo "jobs run in $ce"
"""


def make_pilot(settings: Settings, slot: Slot) -> PilotFiles:
    """Return what runs a DIRAC pilot in this slot.

    Raises:
        AgentError: ``dirac_options`` cannot be read as words of a shell.
    """
    script, fetch = _find_script(settings)
    stamp = make_stamp(slot.uid, slot.number)
    environment = {
        "PILOT_UUID": "cloud://{}/{}".format(slot.uid, slot.number),
        "DIRAC_PILOT_STAMP": stamp,
        "DIRAC_PILOT_VO": settings.vo,
        "X509_CERT_DIR": settings.ca_path,
        "X509_VOMS_DIR": "/etc/grid-security/vomsdir",
        "X509_VOMSES": "/etc/vomses",
    }
    exports = ["export {}={}\n".format(name, shlex.quote(value)) for name, value in environment.items()]
    words = ['"$python"', shlex.quote(script), *_options(settings, slot, stamp)]
    start = [_HEAD, *exports, _FRESH.format(work=WORK), fetch, _choose_ce(settings), "exec " + " ".join(words) + "\n"]
    return PilotFiles(
        start="".join(start),
        drain="mkdir -p {} && : >{}\n".format(STOP_FILE.rsplit("/", 1)[0], STOP_FILE),
        files={"pilot.json": (_render_json(settings), 0o644)},
        payloads=PAYLOADS,
        copies=(("hostcert.pem", settings.certificate), ("hostkey.pem", settings.key)),
    )


def _find_script(settings: Settings) -> Tuple[str, str]:
    """Return the path of dirac-pilot.py, and the commands that bring it there.

    What is fetched is the ``pilot.tar`` that DIRAC publishes, for dirac-pilot.py needs the modules beside it, or a
    script of one file.
    """
    place = settings.dirac_pilot
    if not place.startswith("https:"):
        return place, ""
    check = shlex.quote("{}  fetched".format(settings.dirac_pilot_sha256))
    fetch = _FETCH.format(url=shlex.quote(place), check=check)
    if place.endswith((".tar", ".tar.gz", ".tgz")):
        return "./dirac-pilot.py", fetch + "tar --no-same-owner -xf fetched || end '700 dirac_pilot is no archive'\n"
    return "./fetched", fetch


def _choose_ce(settings: Settings) -> str:
    """Return commands that set ``$ce`` to the way in which jobs run: with nothing but a process, or in a container."""
    if settings.pilot_isolation == "auto":
        return _AUTO.format(image=IMAGE)
    return "ce={}\n".format("Pool/Singularity" if settings.pilot_isolation == "container" else "Pool")


def _options(settings: Settings, slot: Slot, stamp: str) -> List[str]:
    """Return the words of the command line, quoted; what ``dirac_options`` says comes last and wins."""
    named = {
        "--name": settings.dirac_site,
        "--Name": settings.dirac_ce,
        "--Queue": settings.dirac_queue,
        "--setup": settings.dirac_setup,
        "--wnVO": settings.vo,
        "--release": settings.dirac_version,
        "--pilotUUID": stamp,
    }
    words = [word for option, value in named.items() if value for word in (option, shlex.quote(value))]
    words += ["--pilotCFGFile", '"$here/pilot.json"', "--cert", "--certLocation", '"$here"', "--CEType", '"$ce"']
    # the first place is for the pilot, the second for its job agent, which would take what the queue says
    for place in ("/Resources/Computing/CEDefaults", "/LocalSite"):
        for name, size in (("NumberOfProcessors", slot.cores), ("MaxRAM", slot.memory_mib)):
            words += ["--option", "{}/{}={}".format(place, name, size)]
    if slot.cores > 1:
        # the matcher looks at required tags only when there are tags; any value of the strategy switches it on
        words += ["--tag", "MultiProcessor", "--option", "/Resources/Computing/CEDefaults/MultiProcessorStrategy=True"]
    try:
        words += [shlex.quote(word) for word in shlex.split(settings.dirac_options)]
    except ValueError as error:
        raise AgentError("dirac_options: {}".format(error))
    return words


def _render_json(settings: Settings) -> str:
    """Return the pilot's own description of DIRAC, in the form without setups (pilotTools.py)."""
    document = {
        "ConfigurationServers": list(settings.dirac_servers),
        "CEs": {settings.dirac_ce: {"Site": settings.dirac_site, "GridCEType": "Cloud"}},
        "Defaults": {"Pilot": {"Version": settings.dirac_version}},
    }
    return json.dumps(document, indent=1) + "\n"
