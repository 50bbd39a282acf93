"""Image files go from this machine to a front-end, as curl (what OpenNebula's downloader runs) fetches them."""

from __future__ import annotations

import hashlib
import http.client
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from b2ct.apply.opennebula.report import ApplyError, Phase
from b2ct.apply.opennebula.sources import Download, Upload
from b2ct.apply.opennebula.upload import FileServer, UploadError, address_towards
from b2ct.errors import UsageError
from b2ct.plan.attributes import first_text
from b2ct.plan.cloud_model import Kind
from tests.rigs.opennebula.server import OpenNebulaServer
from tests.rigs.opennebula.wishes import Bench, wanted_image
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 10_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "worker 1.0.0.qcow2"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def bench() -> Iterator[Bench]:
    with OpenNebulaServer("7.4") as one:
        yield Bench(one)


def ignore(_done: int, _total: int) -> None:
    """Count nothing."""


def ask(url: str, method: str = "GET", path: str | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    connection.request(method, path if path is not None else parts.path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.headers)
    connection.close()
    return found


def test_a_file_is_uploaded_while_the_import_waits(bench: Bench, file: Path) -> None:
    wanted = wanted_image()
    bench.apply(wanted, sources={wanted.name: Upload(file)})
    image = bench.find(Kind.IMAGE, wanted.name)
    assert bench.one.cloud.contents[image.id] == CONTENT
    assert first_text(image.template, "MD5") == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    copied = [event for event in bench.events if event.phase is Phase.COPYING]
    assert (copied[-1].bytes_done, copied[-1].bytes_total) == (len(CONTENT), len(CONTENT))
    path = bench.one.cloud.objects["image"][image.id].findtext("PATH") or ""
    assert path.startswith("http://127.0.0.1:")
    with pytest.raises(ConnectionRefusedError):
        ask(path)
    assert bench.plan(wanted).changes == ()


def test_an_address_is_fetched_by_the_front_end(bench: Bench, file: Path) -> None:
    wanted = wanted_image()
    with FileServer("127.0.0.1") as server:
        offer = server.offer(file, ignore)
        bench.apply(wanted, sources={wanted.name: Download(offer.url, offer.md5)})
    assert first_text(bench.find(Kind.IMAGE, wanted.name).template, "MD5") == offer.md5


def test_a_refused_address_and_a_missing_file_are_said(bench: Bench, tmp_path: Path) -> None:
    wanted = wanted_image()
    with pytest.raises(ApplyError, match=r"the front-end cannot fetch http://127\.0\.0\.1:9/x"):
        bench.apply(wanted, sources={wanted.name: Download("http://127.0.0.1:9/x")})
    with pytest.raises(ApplyError, match="No such file or directory"):
        bench.apply(wanted, sources={wanted.name: Upload(tmp_path / "missing")})
    with pytest.raises(ApplyError, match=r"nothing says where the image worker-1\.0\.0 comes from"):
        bench.apply(wanted, sources={})
    with pytest.raises(ApplyError, match=r"cannot listen on 192\.0\.2\.1"):
        bench.apply(wanted, sources={wanted.name: Upload(tmp_path / "missing")}, bind="192.0.2.1")
    assert bench.one.image_id(wanted.name) is None


@pytest.mark.parametrize(
    ("bind", "host"),
    [("127.0.0.1:{}", "127.0.0.1"), ("[::1]:{}", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")],
)
def test_it_listens_at_the_port_that_is_named(file: Path, tmp_path: Path, bind: str, host: str) -> None:
    need_tool("curl")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    with FileServer(bind.format(port)) as server:
        url = server.offer(file, ignore).url
        run_tool(["curl", "--fail", "-sS", "--noproxy", "*", "-g", "-o", tmp_path / "whole", url])
    assert url.startswith(f"http://{host}:{port if '{}' in bind else ''}")
    assert (tmp_path / "whole").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "bind",
    [
        "",
        ":8080",
        "10.0.0.1:x",
        "10.0.0.1:65536",
        "http://10.0.0.1",
        "[::1",
        "a b",
        "127.0.0.1:\uff18\uff10",
        "\xe9" * 70,
    ],
)
def test_what_is_no_address_to_listen_on_is_refused(bind: str) -> None:
    with pytest.raises(UsageError, match="is no address to listen on"):
        FileServer(bind)


def test_curl_reads_the_whole_the_head_and_a_part(file: Path, tmp_path: Path) -> None:
    need_tool("curl")
    curl = ["curl", "--fail", "-sS", "-k", "-L", "--retry", "3", "--noproxy", "*"]
    with FileServer("127.0.0.1") as server:
        url = server.offer(file, ignore).url
        run_tool([*curl, "-o", tmp_path / "whole", url])
        assert (tmp_path / "whole").read_bytes() == CONTENT
        (tmp_path / "part").write_bytes(CONTENT[:1000])
        run_tool([*curl, "-C", "-", "-o", tmp_path / "part", url])
        assert (tmp_path / "part").read_bytes() == CONTENT
        assert f"Content-Length: {len(CONTENT)}" in run_tool([*curl, "--head", url])
        # the downloader reads the beginning first, to learn format and size, and breaks off
        shell = f"curl --fail -sS --noproxy '*' '{url}' 2>/dev/null | head -c 64"
        assert subprocess.run(["sh", "-c", shell], capture_output=True, check=True, timeout=10).stdout == CONTENT[:64]
        run_tool([*curl, "-o", tmp_path / "again", url])


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-9", 206, CONTENT[:10]),
        ("bytes=100-", 206, CONTENT[100:]),
        ("bytes=-5", 206, CONTENT[-5:]),
        (f"bytes=10-{len(CONTENT) * 2}", 206, CONTENT[10:]),
        (f"bytes=0-{len(CONTENT) - 1}", 200, CONTENT),
        (f"bytes={len(CONTENT)}-", 416, b""),
        ("bytes=5-2", 416, b""),
        ("bytes=0-1,5-6", 200, CONTENT),
        ("bytes=-", 200, CONTENT),
        ("lines=1-2", 200, CONTENT),
    ],
)
def test_ranges(file: Path, header: str, status: int, body: bytes) -> None:
    with FileServer("127.0.0.1") as server:
        found, data, headers = ask(server.offer(file, ignore).url, Range=header)
    assert (found, data, headers["Content-Length"]) == (status, body, str(len(body)))


def test_nothing_else_is_served(file: Path) -> None:
    with FileServer("127.0.0.1") as server:
        url = server.offer(file, ignore).url
        place = urlsplit(url).path
        for path in (
            "/",
            "/worker_1.0.0.qcow2",
            place[:-1],
            place + "x",
            f"{place}/../x",
            "/etc/passwd",
            f"{place}?x",
        ):
            assert ask(url, path=path)[0] == 404, path
        assert ask(url, "POST")[0] == 501
        assert ask(url, "HEAD")[:2] == (200, b"")
        assert ask(server.offer(file, ignore).url)[1] == CONTENT
        file.unlink()
        assert ask(url)[0] == 404
    assert len(place.split("/")[1]) >= 43  # 32 random bytes


def test_where_this_machine_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_towards("http://127.0.0.1:2633/RPC2") == "127.0.0.1"

    def find_nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    with pytest.raises(UsageError, match=r"no way to nowhere\.invalid"):
        address_towards("http://nowhere.invalid:2633/RPC2")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UploadError, match="cannot listen"), FileServer("192.0.2.1"):
        pass
