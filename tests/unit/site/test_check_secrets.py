from __future__ import annotations

from typing import TYPE_CHECKING, Any

from b2ct.errors import Severity
from b2ct.site.check_secrets import check_secret_files
from b2ct.site.model import Site
from tests.unit.site.sites import SITE

if TYPE_CHECKING:
    from pathlib import Path

POOL = {"kind": "htcondor", "central_manager": "condor.example.org", "token": "file:secrets/pool"}


def warnings(folder: Path, **top: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any YAML value
    found = tuple(check_secret_files(Site.model_validate({**SITE, **top}), folder))
    assert {finding.severity for finding in found} <= {Severity.WARNING}
    return [(".".join(map(str, finding.loc)), finding.message) for finding in found]


def test_secrets_that_are_not_there(tmp_path: Path) -> None:
    users = [
        {**SITE["users"][0], "password": f"file:{tmp_path}/p"},
        {"name": "b", "password": "env:P"},
        {"name": "c", "password": "vault:v.yaml#key"},
    ]
    said = [
        ("users.0.password", f"{tmp_path}/p does not exist"),
        ("users.2.password", f"{tmp_path}/v.yaml does not exist"),
    ]
    assert warnings(tmp_path, users=users) == said
    (tmp_path / "p").touch()
    (tmp_path / "v.yaml").touch()
    assert warnings(tmp_path, users=users) == []


def test_a_pools_tokens_come_with_register(tmp_path: Path) -> None:
    (finding,) = check_secret_files(Site.model_validate({**SITE, "central": POOL}), tmp_path)
    assert (finding.loc, finding.hint) == (("central", "token"), "b2ct register SITE --push makes it")
