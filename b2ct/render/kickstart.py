"""Renders the plan's kickstarts from the templates in ``kickstart/``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from b2ct.plan.artifact import Artifact
from b2ct.plan.model import Card, CardFact, FromCard, Ipv4, Ipv4Method
from b2ct.render.environment import TemplateError, make_environment, template_errors
from b2ct.render.quoting import Quoted, base64_lines, commas, sh_words, verbatim, word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Template

    from b2ct.assets import Assets
    from b2ct.plan.model import HostPlan, Plan

HOST_TEMPLATE = "kickstart/host.ks.j2"
"""The template of all kickstarts."""

PRE_LIBRARIES = "kickstart/snippets/pre/"
"""The shell libraries that every %pre starts with."""


def render_kickstarts(plan: Plan, assets: Assets) -> tuple[Artifact, ...]:
    """Return ``b2ct/<host>.ks`` for every host, and ``b2ct/ask.ks``.

    Raises:
        QuotingError: a value cannot be written in the language it goes into.
        TemplateError: a template (a site's own copy perhaps) does not quote a value.
    """
    template = make_template(assets, HOST_TEMPLATE)
    libraries = [assets.read_text(name) for name in assets.names() if name.startswith(PRE_LIBRARIES)]
    return tuple(Artifact(host.kickstart, _render(template, plan, host, libraries)) for host in plan.hosts)


def make_template(assets: Assets, name: str) -> Template:
    """Return a kickstart template with the filters of all languages in it; a value without one is refused.

    Raises:
        TemplateError: it is wrong.
    """
    environment = make_environment(assets).overlay(finalize=_refuse_unquoted)
    environment.filters |= {
        "word": word,
        "commas": commas,
        "verbatim": verbatim,
        "sh_words": sh_words,
        "base64_lines": base64_lines,
        "json_text": json_text,
        "pre_address": pre_address,
        "card_device": card_device,
        "card_devices": card_devices,
        "bond_options": bond_options,
    }
    with template_errors(name):
        return environment.get_template(name)


def _refuse_unquoted(value: object) -> object:
    if isinstance(value, Quoted):
        return value
    raise TemplateError(f"a kickstart template writes {value!r} without a quoting filter")


def _render(template: Template, plan: Plan, host: HostPlan, libraries: list[str]) -> bytes:
    with template_errors(HOST_TEMPLATE):
        text = template.render(plan=plan, host=host, pre_libraries=libraries)
    check_sections(text, host.kickstart)
    return text.encode()


def check_sections(text: str, where: str) -> None:
    """Check that sections open and close in turn: a script line that starts with ``%`` would end its section.

    Raises:
        TemplateError: they do not.
    """
    is_open = False
    for line in text.splitlines():
        if not line.startswith("%") or line.startswith("%include "):
            continue
        if (line == "%end") is not is_open:
            raise TemplateError(f"{where}: the line {line!r} breaks the kickstart's sections")
        is_open = not is_open


def json_text(value: object) -> str:
    """Return ``value`` as JSON on one line."""
    return json.dumps(value)


def pre_address(ipv4: Ipv4) -> str:
    """Return an address as %pre takes it: empty is asked."""
    return {Ipv4Method.ASKED: "", Ipv4Method.DHCP: "dhcp"}.get(ipv4.method, ipv4.address)


def card_device(key: str) -> FromCard:
    """Return the device name of a card, looked up at install time."""
    return FromCard(key, CardFact.DEVICE)


def card_devices(cards: Iterable[Card]) -> Quoted:
    """Return the device names of cards with commas between."""
    return commas([card_device(card.key) for card in cards])


def bond_options(options: Iterable[tuple[str, str]], separator: str = ",") -> Quoted:
    """Return a bond's options, ``mode=802.3ad,miimon=100``."""
    return commas([f"{name}={value}" for name, value in options], separator)
