"""The Jinja environment of all templates: strict, and with the quoting filters."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import jinja2
from jinja2 import Environment, FunctionLoader, StrictUndefined

from b2ct.errors import B2ctError
from b2ct.render.quoting import grub_quote, isolinux_text, ks_quote, sh_quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.assets import Assets


class TemplateError(B2ctError):
    """A template (a site's own copy perhaps) is wrong: its syntax, a name in it, or a value that it does not quote."""


@contextmanager
def template_errors(name: str) -> Iterator[None]:
    """Turn what Jinja says about the template ``name`` into a TemplateError with file and line."""
    try:
        yield
    except jinja2.TemplateError as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = error.lineno if isinstance(error, jinja2.TemplateSyntaxError) else frames[-1].lineno
        where = error.name if isinstance(error, jinja2.TemplateSyntaxError) and error.name else name
        raise TemplateError(f"{where}:{line}: {error}", hint="b2ct eject shows the file as it is shipped") from error


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
