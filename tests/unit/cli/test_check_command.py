from __future__ import annotations

import json
from typing import TYPE_CHECKING

from b2ct.cli import main as cli
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_secret_that_is_not_there_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(json.dumps({**SITE, "root": {"policy": "password", "password": "file:none"}}))
    assert cli.main(["check", str(path)]) == 0
    assert f"warning: root.password: {tmp_path}/none does not exist" in capsys.readouterr().err.replace("\n", "")
