"""Docs that cannot drift: generated pages, the links, the YAML and the commands in them."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from b2ct.errors import Severity
from b2ct.site.load import read_site_text
from b2ct.site.yaml import read_yaml
from tests.unit.site.sites import SITE

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
COMMANDS = {
    "init",
    "check",
    "schema",
    "render",
    "build-iso",
    "inspect-iso",
    "eject",
    "import-templates",
    "bundle list",
    "bundle show",
    "bundle render",
    "bundle remove",
    "agent package",
    "image build",
    "image check",
    "contextualize",
    "credentials",
    "register",
    "marketplace build",
}
GROUPS = {command.split()[0] for command in COMMANDS if " " in command}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", GENERATED)
def test_generated_pages_are_what_the_code_says(page: str) -> None:
    assert (ROOT / "docs/reference" / page).read_text() == GENERATED[page](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_of_a_whole_site_is_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        if text.startswith("site:"):
            assert read_site_text(text, page.name)[1] == ()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_yaml_snippets_fit_into_a_site(page: Path) -> None:
    for text in blocks(page, "yaml"):
        if not text.startswith("site:"):
            site = {**SITE, "hosts": [], **read_yaml(text, page.name).data}
            problems = read_site_text(json.dumps(site), page.name)[1]
            assert [str(problem) for problem in problems if problem.severity is Severity.ERROR] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_in_the_docs_exist_with_their_options(page: Path) -> None:
    for block in blocks(page, "sh"):
        for line in re.findall(r"^(?:\$ )?b2ct .*", block, re.MULTILINE):
            words = shlex.split(line, comments=True)
            first, second = [*words[words.index("b2ct") + 1 :], ""][:2]
            if first.startswith("-"):
                continue
            command = f"{first} {second}" if first in GROUPS else first
            assert command in COMMANDS, line
            done = subprocess.run(
                [sys.executable, "-m", "b2ct", *command.split(), "--help"],
                capture_output=True,
                text=True,
                check=True,
                cwd=ROOT,
            )
            options = {word.split("=")[0] for word in words if word.startswith("--")}
            assert [option for option in options if option not in done.stdout] == [], line


def test_the_readme_names_every_command() -> None:
    table = re.findall(r"^\| `b2ct ([a-z-]+(?: [a-z]+)?)", (ROOT / "README.md").read_text(), re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "b2ct", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    listed = set(re.findall(r"^[│| ]+([a-z][a-z-]+)  ", done.stdout, re.MULTILINE))
    assert set(table) == COMMANDS
    assert listed >= {command.split()[0] for command in COMMANDS}
