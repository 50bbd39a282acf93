"""Chooses who is told: from the settings to the ways to those who want to know."""

from typing import List

from b2ct_vmagent.context import Context
from b2ct_vmagent.onegate import OneGate
from b2ct_vmagent.report_file import ReportFile
from b2ct_vmagent.reports import Delivery, Reporter


def make_reporters(context: Context, uid: str) -> List[Reporter]:
    """Return all who are to be told, as the settings say; adding one means a module and a line here."""
    settings = context.settings
    reporters: List[Reporter] = []
    if settings.onegate_endpoint and settings.vmid and context.token:
        reporters.append(OneGate(settings.onegate_endpoint, settings.vmid, context.token))
    if settings.report_file:
        reporters.append(ReportFile(settings.report_file, uid))
    return reporters


def start_deliveries(reporters: List[Reporter], heartbeat_s: int) -> List[Delivery]:
    """Return a running delivery for each reporter."""
    deliveries = [Delivery(reporter, float(heartbeat_s)) for reporter in reporters]
    for delivery in deliveries:
        delivery.start()
    return deliveries
