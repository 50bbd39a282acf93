"""import-templates warns of images that lack what workers need, and imports them all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.errors import ExitCode
from tests.rigs.bundles import write_image, write_record

if TYPE_CHECKING:
    from tests.integration.opennebula.conftest import Case

NAME = "worker-debian12-1.0.0.qcow2"


@pytest.mark.parametrize("left_out", [(), ("cvmfs",)], ids=["whole", "without CVMFS"])
def test_an_image_without_cvmfs_is_imported_with_a_warning(case: Case, left_out: tuple[str, ...]) -> None:
    write_record(write_image(case.folder / "images" / NAME), left_out=left_out)
    code, _, err = case.run()
    assert code == ExitCode.DONE, err
    warnings = [line for line in err.splitlines() if "will not become READY" in line]
    assert [line.split(" was built")[0] for line in warnings] == [f"warning: {NAME}"] * len(left_out)
