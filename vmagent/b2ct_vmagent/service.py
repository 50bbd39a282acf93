"""The running agent: checks, reports, waits, until it is told to end."""

import os
import random
import threading
import time
from typing import List, Optional, Tuple

from b2ct_vmagent.checks import check_clock, check_disk, check_names, check_settings
from b2ct_vmagent.context import Context, load_context
from b2ct_vmagent.cvmfs import check_cvmfs, write_cvmfs_settings
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder
from b2ct_vmagent.log import log
from b2ct_vmagent.onegate import OneGate
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilot import check_pilot, start_pilot
from b2ct_vmagent.programs import Runner, run_program
from b2ct_vmagent.reports import Delivery
from b2ct_vmagent.scratch import check_scratch
from b2ct_vmagent.status import Status, write_status

UNREADY_PERIOD_S = 10.0
"""While something fails it is looked at more often: a squid or a DNS that comes late is no reason to wait long."""
SLACK_S = 300.0
"""How much longer than a period a round may take: every program that a check runs has its own limit."""


def make_status(paths: Paths, context: Context, run: Runner) -> Status:
    """Make every check."""
    settings = context.settings
    return Status(
        (
            check_settings(context.problems),
            check_clock(run),
            check_names(settings),
            check_scratch(paths, settings),
            check_disk(paths, settings),
            *check_cvmfs(paths, settings, run),
            check_pilot(settings, run),
        )
    )


def make_deliveries(context: Context) -> List[Delivery]:
    """Return a way to each one who wants to know."""
    settings = context.settings
    if not (settings.onegate_endpoint and settings.vmid and context.token):
        return []
    return [Delivery(OneGate(settings.onegate_endpoint, settings.vmid, context.token), settings.period_s)]


def run_service(paths: Paths, stop: threading.Event, run: Runner = run_program) -> None:
    """Run until ``stop`` is set, then take the status away.

    Raises:
        AgentError: the status cannot be written.
    """
    make_folder(paths.run)
    context = _set_up(paths)
    deliveries = make_deliveries(context)
    status: Optional[Status] = None
    check_due_s = 0.0
    started = not context.settings.pilot
    try:
        while not stop.is_set():
            if time.monotonic() >= check_due_s:
                status, check_due_s = _check(paths, context, run, status)
                for delivery in deliveries:
                    delivery.offer(status.facts())
                _write(paths, context, status, deliveries)
                started = started or _start_pilot(paths, status, run)
            tried = [delivery.push(time.monotonic()) for delivery in deliveries]
            if status and any(tried):
                _write(paths, context, status, deliveries)
            stop.wait(_pause_s(check_due_s, deliveries))
    finally:
        if os.path.exists(paths.status):
            os.unlink(paths.status)
        log("info", "ends")


def _set_up(paths: Paths) -> Context:
    """Read the context and write what follows from it; what goes wrong is a problem of the context."""
    context = load_context(paths)
    try:
        if write_cvmfs_settings(paths, context.settings):
            log("info", "wrote {}".format(paths.cvmfs_settings))
    except AgentError as error:
        context = context._replace(problems=(*context.problems, str(error)))
    return context


def _check(paths: Paths, context: Context, run: Runner, before: Optional[Status]) -> Tuple[Status, float]:
    """Return the new status, and when the next is due by the monotonic clock."""
    status = make_status(paths, context, run)
    if before is None or status.facts() != before.facts():
        log("info" if status.ready else "warning", "ready" if status.ready else "not ready: " + status.error)
    period_s = float(context.settings.period_s)
    if not status.ready:
        period_s = min(period_s, UNREADY_PERIOD_S)
    return status, time.monotonic() + period_s * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, hides nothing


def _start_pilot(paths: Paths, status: Status, run: Runner) -> bool:
    """Start the pilot of a machine that is ready; return whether nothing is left to do."""
    if not status.ready:
        return False
    try:
        if start_pilot(paths, run):
            log("info", "asked systemd to start the pilot")
    except AgentError as error:
        log("error", str(error))
        return False
    return True


def _write(paths: Paths, context: Context, status: Status, deliveries: List[Delivery]) -> None:
    reports = {delivery.reporter.name: delivery.state() for delivery in deliveries}
    write_status(paths, status, context.settings, reports, context.settings.period_s * 1.1 + SLACK_S)


def _pause_s(check_due_s: float, deliveries: List[Delivery]) -> float:
    now_s = time.monotonic()
    pauses = [delivery.pause_s(now_s) for delivery in deliveries]
    return max(0.0, min([check_due_s - now_s, *(pause for pause in pauses if pause is not None)]))
