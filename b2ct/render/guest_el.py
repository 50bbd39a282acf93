"""Renders the kickstart of an EL guest's image from the template in ``kickstart/``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from b2ct.plan.artifact import Artifact
from b2ct.plan.guest_debian import WARM_TIMEOUT_S
from b2ct.plan.guest_el import KICKSTART_PATH
from b2ct.render.environment import template_errors
from b2ct.render.kickstart import check_sections, make_template
from b2ct.render.user_data import render_helpers

if TYPE_CHECKING:
    from b2ct.assets import Assets
    from b2ct.plan.guest_el import GuestPlan

GUEST_TEMPLATE = "kickstart/guest.ks.j2"


def render_guest_kickstart(plan: GuestPlan, assets: Assets) -> Artifact:
    """Return the kickstart of a guest.

    Raises:
        QuotingError: a value cannot be written in the language it goes into.
        TemplateError: a template (a site's own copy perhaps) does not quote a value.
    """
    files = (*plan.customization.files, *render_helpers(assets))
    plan = replace(plan, customization=replace(plan.customization, files=files))
    template = make_template(assets, GUEST_TEMPLATE)
    with template_errors(GUEST_TEMPLATE):
        text = template.render(plan=plan, warm_timeout_s=WARM_TIMEOUT_S)
    check_sections(text, KICKSTART_PATH)
    return Artifact(KICKSTART_PATH, text.encode())
