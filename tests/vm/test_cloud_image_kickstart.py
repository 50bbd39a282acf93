"""A guest's installation starts unattended and finds its kickstart, as far as a look-alike of the boot ISO can show.

The look-alikes hold no installer: what Anaconda makes of the kickstart is not seen here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from b2ct.apply.image.builder import ImageRequest
from b2ct.apply.image.from_kickstart import KickstartBuilder
from b2ct.apply.image.guest_boot import GuestError
from b2ct.assets import Assets
from b2ct.plan.image import Method, load_image_description
from tests.rigs.boot import OVMF_CODE, read_fields
from tests.rigs.media import read_sha256
from tests.rigs.stock_release import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.vm


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(StockKind.EL8_BOOT, marks=pytest.mark.nightly),
        StockKind.EL9_BOOT,
        pytest.param(StockKind.EL10_BOOT, marks=pytest.mark.nightly),
        pytest.param(StockKind.EL9_DVD, marks=pytest.mark.nightly),
    ],
)
def test_the_kickstart_is_found_and_an_installation_without_report_is_no_success(
    get_stock: Callable[[StockKind], Path], tmp_path: Path, kind: StockKind
) -> None:
    need_tool("qemu-system-x86_64", "qemu-img", str(OVMF_CODE))
    assets = Assets()
    description = load_image_description(assets, f"worker-el{kind.generation}")
    description = description.model_copy(update={"method": Method.KICKSTART})
    request = ImageRequest(description, assets, tmp_path / "never.qcow2", mirror=str(get_stock(kind)))
    builder = KickstartBuilder()
    builder.programs(description)
    with pytest.raises(GuestError, match="went off without doing anything"):
        builder.make_disk(description, request, tmp_path)
    console = (tmp_path / "console.log").read_text(errors="replace")
    fields = read_fields(console)
    assert fields.get("ks-path") == "/ks.cfg", console[-4000:]
    assert fields["ks-sha256"] == read_sha256(tmp_path / "kickstart.iso", "/ks.cfg")
    assert fields["stage2"] == "found"
