"""Asks DIRAC's own classes what a job agent requests of the matcher; run by DIRAC's Python.

Command line: the options of a pilot's configuration, ``/Section/Option=value``. Standard output: JSON, for each request
of one cycle the processors that are offered, the tags that are required, and both as the matcher understands them.
First with all cores free, then with one in use.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import DIRAC  # type: ignore[import-not-found]  # only DIRAC's Python has it

DIRAC.initialize(require_auth=False)

# DIRAC has to know its configuration before
from DIRAC import gConfig  # noqa: E402
from DIRAC.Resources.Computing.PoolComputingElement import (  # type: ignore[import-not-found]  # noqa: E402
    PoolComputingElement,
)
from DIRAC.WorkloadManagementSystem.Client.Matcher import Matcher  # type: ignore[import-not-found]  # noqa: E402

for option in sys.argv[1:]:
    gConfig.setOptionValue(*option.split("=", 1))


def describe(in_use: int) -> list[dict[str, object]]:
    element = PoolComputingElement("Pool")
    element.setParameters({"InnerCESubmissionType": "InProcess"})
    element.processorsPerTask = {"job": in_use} if in_use else {}
    requests = []
    for description in element.getDescription()["Value"]:
        seen = Matcher._processResourceDescription(SimpleNamespace(), description)  # noqa: SLF001 - the oracle itself
        requests.append(
            {
                "offered": description["NumberOfProcessors"],
                "required": description.get("RequiredTag", []),
                "understood": seen.get("RequiredTag", []),
                "tags": sorted(seen.get("Tag", [])),
            }
        )
    return requests


sys.stdout.write(json.dumps([describe(0), describe(1)]) + "\n")
