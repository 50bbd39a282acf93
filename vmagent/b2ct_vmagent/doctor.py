"""Looks for everything that can be wrong with a worker, and says what to do about it."""

import socket
import time
from typing import Dict, List
from urllib.parse import urlsplit

from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.context import Context
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.htcondor import check_condor_pool, check_condor_token
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.service import make_status
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.status import load_status

CONNECT_S = 10.0


def examine(paths: Paths, context: Context, run: Runner) -> List[Check]:
    """Return all checks of the service, and those that are only worth their time when somebody asks."""
    checks = list(make_status(paths, context, run).checks)
    checks.append(check_agent(paths))
    checks += [check(paths, context.settings) for check in (check_condor_token, check_condor_pool)]
    checks += [check_service(name, url) for name, url in sorted(central_services(context.settings).items())]
    return checks


def check_agent(paths: Paths) -> Check:
    """Check that the agent runs, and that everybody whom it tells answers."""
    try:
        document = load_status(paths)
    except AgentError as error:
        return Check("agent", State.FAILED, "{}; systemctl status b2ct-vm-agent".format(error))
    mute = [
        "{}: {}".format(name, told["detail"]) for name, told in document["reports"].items() if told["state"] != "ok"
    ]
    if mute:
        return Check("agent", State.WARNING, "; ".join(mute))
    return Check("agent", State.OK, "runs, {}".format(document["state"]))


def central_services(settings: Settings) -> Dict[str, str]:
    """Return the address, ``host:port``, of each service that this machine needs, by the setting that names it."""
    named = {"dirac_manager": settings.dirac_manager, "diracx_url": settings.diracx_url}
    named["onegate_endpoint"] = settings.onegate_endpoint
    if settings.pilot_kind == "dirac" and settings.dirac_servers:
        named["dirac_servers"] = settings.dirac_servers[0]
    if settings.pilot_kind == "htcondor":
        named["condor_collector"] = "//" + settings.condor_collector
    return {name: _address(url) for name, url in named.items() if url}


def _address(url: str) -> str:
    parts = urlsplit(url)
    return "{}:{}".format(parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0))


def check_service(name: str, address: str) -> Check:
    """Check that a service can be reached at all."""
    host, _, port = address.rpartition(":")
    began_s = time.monotonic()
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        return Check(name, State.FAILED, "{}: {}; is it let through by firewalls?".format(address, error))
    return Check(name, State.OK, "{} answers in {:.0f} ms".format(address, 1000 * (time.monotonic() - began_s)))
