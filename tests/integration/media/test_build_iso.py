"""``b2ct build-iso`` and ``inspect-iso`` on look-alikes: the options, the report, the same bytes twice, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pycdlib
import pytest

from b2ct.cli.main import main as b2ct
from b2ct.errors import ExitCode
from tests.rigs.media import build_media, write_site
from tests.rigs.stock_release import StockKind
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Stock = Callable[[StockKind], Path]


def read_file(iso: Path, path: str) -> bytes:
    image = pycdlib.PyCdlib()
    image.open(str(iso))
    data = BytesIO()
    image.get_file_from_iso_fp(data, rr_path=path)
    image.close()
    return data.getvalue()


def inspection(capsys: pytest.CaptureFixture[str], iso: Path) -> dict[str, Any]:
    capsys.readouterr()
    code = b2ct(["inspect-iso", str(iso), "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == 0, [check for check in document["iso"]["checks"] if not check["ok"]]
    return document["iso"]  # type: ignore[no-any-return] # JSON


@pytest.mark.parametrize("kind", StockKind)
def test_what_is_built_passes_its_inspection_and_the_media_check(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: StockKind
) -> None:
    need_tool("checkisomd5")
    iso = build_media(kind, get_stock(kind), tmp_path)
    found = inspection(capsys, iso)
    assert [file["path"] for file in found["kickstarts"]] == ["b2ct/ask.ks", "b2ct/cn01.ks", "b2ct/hv01.ks"]
    assert found["media_check"] == "passed"
    subprocess.run(["checkisomd5", str(iso)], check=True, capture_output=True)


def test_the_same_input_gives_the_same_bytes(get_stock: Stock, tmp_path: Path) -> None:
    stock = get_stock(StockKind.EL9_BOOT)
    first = build_media(StockKind.EL9_BOOT, stock, tmp_path).read_bytes()
    assert build_media(StockKind.EL9_BOOT, stock, tmp_path, "--force").read_bytes() == first


def test_a_site_is_rebuilt_from_its_own_media(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = build_media(StockKind.EL10_BOOT, get_stock(StockKind.EL10_BOOT), tmp_path)
    before = inspection(capsys, once)["menus"]
    again = tmp_path / "again"
    again.mkdir()
    assert inspection(capsys, build_media(StockKind.EL10_BOOT, once, again))["menus"] == before


@pytest.mark.parametrize("kind", [StockKind.EL7_DVD, StockKind.EL9_DVD, StockKind.EL10_DVD])
def test_a_new_volume_id_reaches_menus_kickstarts_and_volume(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: StockKind
) -> None:
    iso = build_media(kind, get_stock(kind), tmp_path, "--volid", "LAB")
    found = inspection(capsys, iso)
    assert found["volume_id"] == "LAB"
    kickstart = read_file(iso, "/b2ct/cn01.ks").decode()
    assert "LABEL=LAB" in kickstart
    assert "B2CT_MEDIA_LABEL='LAB'" in kickstart


def test_files_folders_and_updates_can_be_added(get_stock: Stock, tmp_path: Path) -> None:
    (tmp_path / "driver.rpm").write_bytes(b"driver")
    (tmp_path / "extra" / "deep").mkdir(parents=True)
    (tmp_path / "extra" / "deep" / "file").write_bytes(b"deep")
    (tmp_path / "updates.img").write_bytes(b"updates")
    iso = build_media(
        StockKind.EL9_BOOT,
        get_stock(StockKind.EL9_BOOT),
        tmp_path,
        *("--add", str(tmp_path / "driver.rpm"), "--add", f"{tmp_path}/extra:site/extra"),
        *("--updates", str(tmp_path / "updates.img")),
    )
    assert read_file(iso, "/driver.rpm") == b"driver"
    assert read_file(iso, "/site/extra/deep/file") == b"deep"
    assert read_file(iso, "/images/updates.img") == b"updates"
    assert b"inst.updates=hd:LABEL=" in read_file(iso, "/EFI/BOOT/grub.cfg")


def test_the_report_names_what_was_made(get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iso = build_media(StockKind.EL9_BOOT, get_stock(StockKind.EL9_BOOT), tmp_path, "--json", "--no-media-check")
    document = json.loads(capsys.readouterr().out)
    assert (document["b2ct"], document["command"], document["ok"]) == (1, "build-iso", True)
    assert document["iso"]["path"] == str(iso)
    assert document["iso"]["size"] == iso.stat().st_size
    assert [entry["host"] for entry in document["entries"]] == ["cn01", "hv01", "ask"]
    assert {file["path"] for file in document["iso"]["files"]} >= {"b2ct/cn01.ks", "isolinux/isolinux.cfg"}


def test_passwords_get_on_to_media_as_hashes_only_and_the_user_is_told(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B2CT_TEST_PASSWORD", "correct horse battery")
    site = write_site(StockKind.EL9_BOOT, tmp_path)
    data = json.loads(site.read_text())
    data["users"][0]["password"] = "env:B2CT_TEST_PASSWORD"  # noqa: S105 - where it is kept
    site.write_text(json.dumps(data))
    out = tmp_path / "out.iso"
    stock = get_stock(StockKind.EL9_BOOT)
    assert b2ct(["build-iso", str(site), "--stock", str(stock), "--out", str(out)]) == 0
    assert "password hashes of: admin" in capsys.readouterr().err
    kickstart = read_file(out, "/b2ct/cn01.ks")
    assert b"$6$" in kickstart
    assert b"correct horse" not in out.read_bytes()


def test_a_checksum_in_the_site_file_is_verified(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(StockKind.EL9_BOOT, tmp_path)
    data = json.loads(site.read_text())
    data["media"]["checksum"] = f"sha256:{'0' * 64}"
    site.write_text(json.dumps(data))
    out = tmp_path / "out.iso"
    stock = get_stock(StockKind.EL9_BOOT)
    assert b2ct(["build-iso", str(site), "--stock", str(stock), "--out", str(out)]) == ExitCode.FAILED
    assert "and the site file says" in capsys.readouterr().err
    assert not out.exists()


def test_an_iso_of_another_distribution_is_refused(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(StockKind.EL9_BOOT, tmp_path)
    stock = get_stock(StockKind.EL10_BOOT)
    out = tmp_path / "out.iso"
    assert b2ct(["build-iso", str(site), "--stock", str(stock), "--out", str(out)]) == ExitCode.USAGE
    assert "the site file says almalinux 9" in capsys.readouterr().err
    assert not out.exists()


def test_an_overridden_template_that_breaks_the_kickstart_is_refused(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(StockKind.EL9_BOOT, tmp_path)
    assert b2ct(["eject", "kickstart/host.ks.j2", "--site", str(site)]) == 0
    template = tmp_path / "overrides" / "kickstart" / "host.ks.j2"
    template.write_text("no-such-command\n" + template.read_text())
    out = tmp_path / "out.iso"
    stock = get_stock(StockKind.EL9_BOOT)
    assert b2ct(["build-iso", str(site), "--stock", str(stock), "--out", str(out)]) == ExitCode.FAILED
    assert "no-such-command" in capsys.readouterr().err
    assert not out.exists()


def test_an_inspection_that_finds_something_wrong_exits_with_1(
    get_stock: Stock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iso = build_media(StockKind.EL9_BOOT, get_stock(StockKind.EL9_BOOT), tmp_path)
    data = bytearray(iso.read_bytes())
    data[-200_000] ^= 1
    iso.write_bytes(data)
    capsys.readouterr()
    assert b2ct(["inspect-iso", str(iso)]) == ExitCode.FAILED
    assert "WRONG" in capsys.readouterr().out


def test_the_program_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "b2ct", "inspect-iso", str(tmp_path / "none.iso"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.FAILED
    assert json.loads(done.stdout)["ok"] is False
    assert done.stderr == ""
