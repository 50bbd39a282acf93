"""Does what dirac-pilot.py does with its options, where DIRAC is installed already: configures and runs the job agent.

Run by DIRAC's Python in the pilot's folder (DIRACGrid/Pilot, pilotCommands.py: ConfigureSite and LaunchAgent).
"""

from __future__ import annotations

import getopt
import json
import os
import sys
from pathlib import Path

NAMES = "name= Name= Queue= setup= wnVO= release= pilotUUID= pilotCFGFile= cert certLocation= CEType= option= tag="
AGENT = {
    "MaxCycles": "5000",
    "PollingTime": "2",
    "StopAfterFailedMatches": "10",
    "FillingModeFlag": "True",
    "SubmissionDelay": "1",
    "LogLevel": "INFO",
}

found, rest = getopt.getopt(sys.argv[1:], "", NAMES.split())
assert rest == []
options = dict(found)
folder = Path.cwd()
document = json.loads(Path(options["--pilotCFGFile"]).read_text())
assert document["CEs"][options["--Name"]]["Site"] == options["--name"]
values = {
    "/DIRAC/Setup": options["--setup"],
    "/DIRAC/VirtualOrganization": options["--wnVO"],
    "/DIRAC/Configuration/Servers": ",".join(document["ConfigurationServers"]),
    "/DIRAC/Security/CertFile": options["--certLocation"] + "/hostcert.pem",
    "/DIRAC/Security/KeyFile": options["--certLocation"] + "/hostkey.pem",
    "/LocalSite/Site": options["--name"],
    "/LocalSite/GridCE": options["--Name"],
    "/LocalSite/CEQueue": options["--Queue"],
    "/LocalSite/LocalCE": options["--CEType"],
    "/LocalSite/PilotReference": os.environ["PILOT_UUID"],
    "/LocalSite/Architecture": "x86_64",
    "/LocalSite/CPUTime": "86400",
    "/LocalSite/CPUNormalizationFactor": "10",
    "/LocalSite/InstancePath": str(folder),
    "/Resources/Computing/CEDefaults/WorkingDirectory": str(folder),
    "/Resources/Computing/CEDefaults/VirtualOrganization": options["--wnVO"],
    "/Resources/Computing/CEDefaults/Tag": ",".join(value for name, value in found if name == "--tag"),
    "/AgentJobRequirements/ExtraOptions": "pilot.cfg",
    **dict(value.split("=", 1) for name, value in found if name == "--option"),
}
tree: dict[str, object] = {}
for path, value in values.items():
    *sections, name = path.strip("/").split("/")
    section = tree
    for one in sections:
        section = section.setdefault(one, {})  # type: ignore[assignment]  # only options are no sections
    section[name] = value


def render(section: dict[str, object]) -> str:
    return "".join(
        f"{name}\n{{\n{render(value)}}}\n" if isinstance(value, dict) else f"{name} = {value}\n"
        for name, value in section.items()
    )


(folder / "pilot.cfg").write_text(render(tree))
(folder / "etc").mkdir()
(folder / "etc/dirac.cfg").symlink_to("../pilot.cfg")
os.environ["DIRAC"] = os.environ["DIRAC_ROOT_PATH"] = str(folder)
os.environ["DIRACSYSCONFIG"] = str(folder / "pilot.cfg")
# a certificate is for the agent alone: jobs read the same file, and have the user's proxy
AGENT["/DIRAC/Security/UseServerCertificate"] = "yes"
agent = [word for name, value in AGENT.items() for word in ("-o", f"{name}={value}")]
argv = ["dirac-agent", "WorkloadManagement/JobAgent", *agent, "--cfg", "pilot.cfg"]
os.execvp(argv[0], argv)  # noqa: S606 - DIRAC's own
