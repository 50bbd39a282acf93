"""The agent runs on Python 3.6: no newer syntax, no newer library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import vermin

SOURCES = sorted((Path(__file__).parents[3] / "vmagent/b2ct_vmagent").glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_is_python_36(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 6))
    config = vermin.Config()
    config.add_exclusion("typing.Protocol")  # reports.py does without it before 3.8
    versions = vermin.detect(text, config, str(source))
    assert versions[1] is None or versions[1] <= (3, 6), versions
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert modules <= {*sys.stdlib_module_names, "b2ct_vmagent"}
