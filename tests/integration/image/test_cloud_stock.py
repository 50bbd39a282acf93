"""Stock images from a real server on loopback: kept, resumed, compared; and local ones that are no disks."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
import requests

from b2ct.apply.image.builder import ImageRequest
from b2ct.apply.image.from_cloud_image import copy_stock, write_seed
from b2ct.apply.image.stock_image import load_stock, stock_folder
from b2ct.apply.repository.download import DownloadError
from b2ct.assets import Assets
from b2ct.errors import UsageError
from b2ct.plan.image import load_image_description
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool
from tests.rigs.web import Fault, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rigs.web import Web

DATA = bytes(range(256)) * 4000
SUM = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "stock.qcow2").write_bytes(DATA)
    with serve(folder) as server:
        yield server


def request(url: str, checksum: str | None = SUM, mirror: str | None = None) -> ImageRequest:
    assets = Assets()
    description = load_image_description(assets, "worker-el9")
    source = description.source.model_copy(update={"url": url, "checksum": checksum})
    return ImageRequest(
        description.model_copy(update={"source": source}), assets, assets.packaged / "never.qcow2", mirror=mirror
    )


def gets(web: Web) -> list[str]:
    return [ranges for path, ranges in web.asked if path == "stock.qcow2"]


def test_a_download_is_kept_and_not_fetched_again(web: Web) -> None:
    path = load_stock(request(f"{web.url}/stock.qcow2"))
    assert path.read_bytes() == DATA
    count = len(web.asked)
    assert load_stock(request(f"{web.url}/stock.qcow2")) == path
    assert len(web.asked) == count
    assert [file.name for file in stock_folder().iterdir()] == [path.name]


def test_an_interrupted_download_goes_on(web: Web) -> None:
    web.faults["stock.qcow2"] = Fault(times=2, cut_after=300_000)  # the first request only asks for the size
    assert load_stock(request(f"{web.url}/stock.qcow2")).read_bytes() == DATA
    assert any(ranges.startswith("bytes=") and ranges != "bytes=0-" for ranges in gets(web))


def test_wrong_bytes_are_thrown_away(web: Web) -> None:
    web.faults["stock.qcow2"] = Fault(data=b"x" * len(DATA))
    with pytest.raises(DownloadError, match="was promised"):
        load_stock(request(f"{web.url}/stock.qcow2"))
    assert list(stock_folder().iterdir()) == []
    web.faults.clear()
    assert load_stock(request(f"{web.url}/stock.qcow2")).read_bytes() == DATA


def test_without_checksum_only_https_is_trusted(web: Web) -> None:
    with pytest.raises(DownloadError, match="neither checksum nor https"):
        load_stock(request(f"{web.url}/stock.qcow2", checksum=None))


def test_a_mirror_on_another_server_is_followed_when_the_checksum_is_known(web: Web, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serve(tmp_path / "empty") as distributor:
        distributor.faults["stock.qcow2"] = Fault(location=f"{web.url}/stock.qcow2")
        assert load_stock(request(f"{distributor.url}/stock.qcow2")).read_bytes() == DATA
        distributor.faults["stock.qcow2"] = Fault(location=f"{distributor.url}/stock.qcow2")
        with pytest.raises(DownloadError, match="redirected more than 5 times"):
            load_stock(request(f"{distributor.url}/stock.qcow2", f"sha256:{'0' * 64}"))


@pytest.mark.parametrize("hops", [["http://a.example/x", "https://b.example/x"], ["https://a.example/x", "http://b/x"]])
def test_every_hop_has_to_be_https_without_checksum(web: Web, monkeypatch: pytest.MonkeyPatch, hops: list[str]) -> None:
    def lead(_session: requests.Session, _url: str, **_: object) -> requests.Response:
        answers = []
        for hop in hops:
            answers.append(requests.Response())
            answers[-1].status_code, answers[-1].url = 200, hop
        answers[-1].history = answers[:-1]
        answers[-1].headers["Content-Length"] = "7"
        answers[-1].raw = BytesIO()
        return answers[-1]

    monkeypatch.setattr(requests.Session, "get", lead)
    plain = next(hop for hop in hops if hop.startswith("http:"))
    with pytest.raises(DownloadError, match=f"{plain}: neither checksum nor https"):
        load_stock(request(hops[0], checksum=None))
    assert web.asked == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(DownloadError, match="neither http nor https"):
        load_stock(request(url))


def test_a_server_that_is_not_there_is_said_in_few_words(web: Web) -> None:
    url = f"{web.url.rpartition(':')[0]}:1/x"
    with pytest.raises(DownloadError) as caught:
        load_stock(request(url))
    assert caught.value.message == f"{url}: nothing answers there"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            requests.ConnectionError("HTTPSConnectionPool(host='x', port=443): Max retries exceeded"),
            "the connection broke",
        ),
        (
            requests.ConnectionError("Failed to resolve 'x' ([Errno -2] Name or service not known)"),
            "there is no such server",
        ),
        (requests.ConnectTimeout("HTTPSConnectionPool(host='x')"), "the server does not answer in time"),
        (requests.exceptions.SSLError("HTTPSConnectionPool(host='x')"), "the server's certificate cannot be trusted"),
        (
            requests.ConnectionError("Pool(host='x'): Read timed out."),
            "the server does not answer in time",
        ),
        (requests.exceptions.ProxyError("Unable to connect to proxy"), "the proxy does not let us through"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_libraries_say_is_put_into_few_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(requests.Session, "get", fail)
    with pytest.raises(DownloadError) as caught:
        load_stock(request("https://stock.example/x"))
    assert caught.value.message == f"https://stock.example/x: {words}"


def test_what_is_not_there_is_said(web: Web) -> None:
    with pytest.raises(DownloadError, match="404"):
        load_stock(request(f"{web.url}/other.qcow2"))


def test_a_local_file_is_used_where_it_is(web: Web, tmp_path: Path) -> None:
    local = tmp_path / "www" / "stock.qcow2"
    assert load_stock(request(f"{web.url}/stock.qcow2", mirror=str(local))) == local
    assert web.asked == []
    with pytest.raises(UsageError, match="no such file"):
        load_stock(request(f"{web.url}/stock.qcow2", mirror=str(tmp_path / "none")))
    local.write_bytes(b"other")
    with pytest.raises(DownloadError, match="was promised"):
        load_stock(request(f"{web.url}/stock.qcow2", mirror=str(local)))
    assert local.read_bytes() == b"other"


def test_only_whole_disks_are_copied(tmp_path: Path) -> None:
    need_tool("qemu-img")
    stock, disk = tmp_path / "stock.qcow2", tmp_path / "disk.qcow2"
    (tmp_path / "stock.raw").write_bytes(bytes(510) + b"\x55\xaa" + bytes(8 * 1024**2 - 512))
    run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", tmp_path / "stock.raw", stock])
    copy_stock(stock, disk, 16 * 1024**2)
    assert '"virtual-size": 16777216' in run_tool(["qemu-img", "info", "--output=json", disk])
    with pytest.raises(UsageError, match="larger than size"):
        copy_stock(stock, disk, 4 * 1024**2)
    overlay = tmp_path / "overlay.qcow2"
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", stock, overlay])
    with pytest.raises(UsageError, match="a difference to another file"):
        copy_stock(overlay, disk, 16 * 1024**2)
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "empty.qcow2", "8M"])
    with pytest.raises(UsageError, match="neither partition table nor boot record"):
        copy_stock(tmp_path / "empty.qcow2", disk, 16 * 1024**2)
    (tmp_path / "page.qcow2").write_text("<html>")
    with pytest.raises(UsageError, match="its name says qcow2"):
        copy_stock(tmp_path / "page.qcow2", disk, 16 * 1024**2)
    (tmp_path / "page.img").write_text("<html>" * 1000)
    with pytest.raises(UsageError, match="neither partition table nor boot record"):
        copy_stock(tmp_path / "page.img", disk, 16 * 1024**2)
    (tmp_path / "disk.img").write_bytes(bytes(510) + b"\x55\xaa" + bytes(512))
    copy_stock(tmp_path / "disk.img", disk, 16 * 1024**2)


def test_the_seed_is_found_by_its_label_and_holds_both_files(tmp_path: Path) -> None:
    need_tool("blkid", "xorriso")
    seed = tmp_path / "seed.iso"
    write_seed(seed, "#cloud-config\n{}\n", "instance-id: x\n")
    assert run_tool(["blkid", "-p", "-s", "LABEL", "-o", "value", seed]).strip().lower() == "cidata"
    run_tool(["xorriso", "-osirrox", "on", "-indev", seed, "-extract", "/", tmp_path / "out"])
    assert (tmp_path / "out" / "user-data").read_text() == "#cloud-config\n{}\n"
    assert (tmp_path / "out" / "meta-data").read_text() == "instance-id: x\n"
