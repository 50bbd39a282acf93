"""Writes the reference pages from the code: ``python docs/generate.py`` (a test keeps them true)."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from b2ct.plan.bundle import Manifest
from b2ct.plan.image import ImageDescription
from b2ct.site.model import Site

if TYPE_CHECKING:
    from b2ct.site.types import SiteModel

MIB, GIB = 1024**2, 1024**3
REFERENCE = Path(__file__).parent / "reference"


def render_cli() -> str:
    """Return the page of the command line, as Typer describes it."""
    command = [sys.executable, "-m", "typer", "b2ct.cli.main", "utils", "docs", "--name", "b2ct"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)  # noqa: S603
    text = html.unescape(re.sub(r"\n{3,}", "\n\n", done.stdout.strip()))
    codes = "0 done, 1 failed, 2 usage, 3 the site file is wrong, 4 something remote refused, 130 interrupted"
    return f"{text}\n\n## Exit codes\n\n{codes}.\n"


def render_model(title: str, model: type[SiteModel]) -> str:
    """Return the page of a YAML file, a table for each part of its model."""
    schema = model.model_json_schema()
    parts = {model.__name__: schema, **schema.get("$defs", {})}
    order = [model.__name__, *(name for name in _referenced(schema, parts))]
    sections = [_section(name, parts) for name in dict.fromkeys(order)]
    intro = f"# {title}\n\nEvery key, made from the model that reads it. Keys in **bold** have to be given."
    return "\n\n".join([intro, *sections]) + "\n"


def _referenced(part: Any, parts: dict[str, Any]) -> list[str]:  # noqa: ANN401 - JSON Schema
    """Return the parts that a part refers to, in the order in which a reader meets them."""
    found: list[str] = []
    if isinstance(part, dict):
        if "$ref" in part:
            name = part["$ref"].rsplit("/", 1)[1]
            found += [name, *_referenced(parts[name], parts)]
        for key, value in part.items():
            if key not in {"$defs", "mapping"}:
                found += _referenced(value, parts)
    elif isinstance(part, list):
        for value in part:
            found += _referenced(value, parts)
    return found


def _section(name: str, parts: dict[str, Any]) -> str:
    part = parts[name]
    text = f"## {name}\n\n{_words(part.get('description', ''))}"
    if "enum" in part:
        return f"{text}\n\nOne of: {', '.join(f'`{value}`' for value in part['enum'])}."
    required = set(part.get("required", []))
    rows = [
        f"| {f'**{key}**' if key in required else key} "
        f"| {_type(value)} | {_default(value)} | {_meaning(value, parts)} |"
        for key, value in part.get("properties", {}).items()
    ]
    return "\n".join([f"{text}\n", "| key | value | default | meaning |", "|---|---|---|---|", *rows])


def _meaning(value: dict[str, Any], parts: dict[str, Any]) -> str:
    referenced = parts.get(value.get("$ref", "").rsplit("/", 1)[-1], {})
    return _words(value.get("description", referenced.get("description", "")))


def _words(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    options = [option for option in value.get("anyOf", value.get("oneOf", [])) if option.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    if value.get("type") == "object":
        return f"names, each with {_type(next(iter(value.get('patternProperties', {}).values()), {}))}"
    if "const" in value or "enum" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    return str(value.get("format", value.get("type", "")))


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None or default in ([], {}):
        return ""
    if isinstance(default, dict):
        return "see there"
    if isinstance(default, int) and default >= MIB and default % MIB == 0:
        return f"`{default // GIB}GiB`" if default % GIB == 0 else f"`{default // MIB}MiB`"
    if isinstance(default, list):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{default}`"


PAGES = {
    "cli.md": render_cli,
    "site-file.md": lambda: render_model("The site file", Site),
    "bundle.md": lambda: render_model("bundle.yaml", Manifest),
    "image.md": lambda: render_model("Descriptions of golden images", ImageDescription),
}
"""Pages of the reference, and what renders them."""

if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for page, render in PAGES.items():
        (REFERENCE / page).write_text(render(), encoding="utf-8")
