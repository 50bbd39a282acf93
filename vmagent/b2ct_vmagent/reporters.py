"""Chooses who is told: from the settings to the ways to those who want to know."""

import os
from typing import List

from b2ct_vmagent.context import Context
from b2ct_vmagent.credentials import Credentials, expected
from b2ct_vmagent.diracx import DiracX, make_rows
from b2ct_vmagent.diset import Diset
from b2ct_vmagent.onegate import OneGate
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.pilots import pilot_count
from b2ct_vmagent.programs import Runner
from b2ct_vmagent.report_file import ReportFile
from b2ct_vmagent.reports import Delivery, Reporter
from b2ct_vmagent.settings import Settings
from b2ct_vmagent.vmdirac import Instance, VmDirac, make_endpoint


def make_reporters(context: Context, uid: str) -> List[Reporter]:
    """Return all who are to be told, as the settings say; adding one means a module and a line here."""
    settings = context.settings
    reporters: List[Reporter] = []
    if settings.onegate_endpoint and settings.vmid and context.token:
        reporters.append(OneGate(settings.onegate_endpoint, settings.vmid, context.token))
    if settings.dirac_manager:
        reporters.append(VmDirac(make_manager(settings), make_instance(settings, uid)))
    if settings.diracx_url:
        count = max(1, pilot_count(settings, os.cpu_count() or 1))
        rows = make_rows(uid, count, settings.vo, settings.dirac_site, settings.dirac_ce)
        reporters.append(DiracX(settings.diracx_url, settings.diracx_token, settings.ca_path, rows))
    if settings.report_file:
        reporters.append(ReportFile(settings.report_file, uid))
    return reporters


def make_manager(settings: Settings) -> Diset:
    """Return the way to DIRAC's VirtualMachineManager."""
    return Diset(
        settings.dirac_manager, settings.certificate, settings.key, settings.ca_path, settings.dirac_setup, settings.vo
    )


def make_instance(settings: Settings, uid: str) -> Instance:
    """Return what DIRAC is to know about this machine."""
    return Instance(
        uid=settings.dirac_instance or uid,
        name=settings.hostname or os.uname().nodename,
        image=settings.dirac_image or settings.kind or "worker",
        endpoint=make_endpoint(settings.dirac_site, settings.dirac_ce),
        pod=settings.dirac_pod or settings.vo,
        given=bool(settings.dirac_instance),
    )


def start_credentials(paths: Paths, context: Context, run: Runner) -> None:
    """Ask for credentials through OneGate from now on, when the settings say so."""
    settings = context.settings
    if settings.credentials == "onegate" and expected(settings) and context.token:
        gate = OneGate(settings.onegate_endpoint, settings.vmid, context.token)
        Credentials(paths, settings, gate, run).start()


def start_deliveries(reporters: List[Reporter], heartbeat_s: int) -> List[Delivery]:
    """Return a running delivery for each reporter."""
    deliveries = [Delivery(reporter, float(heartbeat_s)) for reporter in reporters]
    for delivery in deliveries:
        delivery.start()
    return deliveries
