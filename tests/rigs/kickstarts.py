"""The example sites of tests/golden, their kickstarts, and what pykickstart and shell checkers say of a kickstart."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from b2ct.assets import Assets
from b2ct.plan.generation import load_generation
from b2ct.plan.make import make_plan
from b2ct.plan.model import Facts, Plan
from b2ct.render.kickstart import render_kickstarts
from b2ct.site.load import load_site

if TYPE_CHECKING:
    from b2ct.site.model import Site

GOLDEN = Path(__file__).parent.parent / "golden"

CASES = tuple(sorted(folder.name for folder in GOLDEN.iterdir() if (folder / "site.yaml").is_file()))
"""Names of the example sites."""


def load_facts(case: str) -> Facts:
    """Return the facts of an example site, from ``facts.yaml``."""
    data = yaml.safe_load((GOLDEN / case / "facts.yaml").read_text(encoding="utf-8"))
    return Facts(**data, b2ct_version="0.0.0")


def load_case(case: str) -> Plan:
    """Return the plan of an example site."""
    return plan_of(load_site(GOLDEN / case / "site.yaml"), load_facts(case))


def plan_of(site: Site, facts: Facts) -> Plan:
    """Return the plan of a site, with the data files as shipped."""
    return make_plan(site, facts, load_generation(Assets(), site.media.generation))


def render_case(case: str) -> dict[str, str]:
    """Return the kickstarts of an example site by path."""
    return render_texts(load_case(case))


def render_texts(plan: Plan) -> dict[str, str]:
    """Return the kickstarts of a plan by path."""
    return {artifact.path: artifact.data.decode() for artifact in render_kickstarts(plan, Assets())}


def parse(text: str, version: str) -> Any:  # noqa: ANN401 - pykickstart has no types
    """Return pykickstart's handler after it read ``text`` in the syntax of ``version``; a warning is an error."""
    handler = makeVersion(version)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A biosboot partition on each of two disks, and a VLAN's command after its bond's, are meant.
        warnings.filterwarnings("ignore", message=".*(biosboot|bond0) has already been defined")
        KickstartParser(handler, followIncludes=False).readKickstartFromString(text)
    return handler


def scripts(handler: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the text of the kickstart's scripts in their order: %pre first."""
    return [script.script for script in handler.scripts]


def keyfiles(text: str) -> dict[str, str]:
    """Return the keyfiles that a kickstart's %post writes; addresses that are asked are left out."""
    found = re.findall(r'b2ct_write "\$profiles/(\S+)\.nmconnection" 0600 <<EOF\n(.*?\n)EOF\n', text, re.DOTALL)
    known = {"mac": "52:54:00:aa:00:01", "device": "card0"}
    asked = re.compile(r"\$\(b2ct_card_(mac|device) '[^']*'\)")
    return {
        name: asked.sub(lambda m: known[m[1]], body).replace("$(b2ct_ipv4_asked)", "method=auto")
        for name, body in found
    }
