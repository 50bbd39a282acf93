"""The Jinja environment of all templates: strict, and with the quoting filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, FunctionLoader, StrictUndefined

from b2ct.render.quoting import grub_quote, isolinux_text, ks_quote, sh_quote

if TYPE_CHECKING:
    from b2ct.assets import Assets


def make_environment(assets: Assets) -> Environment:
    """Return an environment that reads templates by their data file's name, ``kickstart/host.ks.j2``."""
    environment = Environment(
        loader=FunctionLoader(assets.read_text),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is no HTML; each value is quoted by the filter of its language
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "sh_quote": sh_quote,
        "ks_quote": ks_quote,
        "grub_quote": grub_quote,
        "isolinux_text": isolinux_text,
    }
    return environment
