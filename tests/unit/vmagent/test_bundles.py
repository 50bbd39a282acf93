"""The bundles that B2CT provides speak the agent's language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from b2ct_vmagent.context import load_context
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.settings import KEYS, Value, make_settings

from b2ct.plan.one_grammar import parse_template

if TYPE_CHECKING:
    from collections.abc import Iterable

BUNDLES = sorted(path.parent for path in (Path(__file__).parents[3] / "templates").glob("*/template.txt"))
OPTIONS = {variable: key.option for key in KEYS for variable in key.variables}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_agent_understands_the_context(bundle: Path) -> None:
    path = bundle / "template.txt"
    template = parse_template(path.read_text(encoding="utf-8"), str(path))
    contexts: list[Iterable[tuple[str, str]]] = [
        attribute.value for attribute in template if attribute.name == "CONTEXT" and isinstance(attribute.value, tuple)
    ]
    given = {name: value for context in contexts for name, value in context if name.startswith("B2CT_")}
    assert set(given) <= set(OPTIONS)
    assert make_settings({OPTIONS[name]: Value(value, name) for name, value in given.items()})[1] == []


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_agent_understands_the_settings_file_of_the_user_data(bundle: Path, tmp_path: Path) -> None:
    user_data = bundle / "user-data.yaml"
    if not user_data.exists():
        pytest.skip("this bundle has no user-data")
    files = {
        file["path"]: file["content"] for file in yaml.safe_load(user_data.read_text(encoding="utf-8"))["write_files"]
    }
    conf = tmp_path / "etc/b2ct-vm/agent.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(files.get("/etc/b2ct-vm/agent.conf", ""), encoding="utf-8")
    assert load_context(Paths(str(tmp_path))).problems == ()
