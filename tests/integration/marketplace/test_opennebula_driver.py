"""What OpenNebula's own marketplace driver makes of the list of appliances.

``tests/data/marketplace/`` holds a list, ``appliance``, and what ``src/market_mad/remotes/one/monitor`` of each release
wrote when it read it from ``http://127.0.0.1:8000/repo/``. The list is compared with what is rendered now: when it
changes, the driver has to be asked again.
"""

from __future__ import annotations

import base64
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from b2ct.plan.attributes import first_text, first_value
from b2ct.plan.one_grammar import parse_template
from tests.rigs.bundles import USER_DATA
from tests.rigs.process import run_tool
from tests.rigs.tools import need_tool
from tests.rigs.web import serve

if TYPE_CHECKING:
    from b2ct.plan.attributes import Template
    from tests.integration.marketplace.conftest import Workshop

DATA = Path(__file__).parents[2] / "data/marketplace"
RELEASES = ("6.10.0", "6.10.5", "7.0.0", "7.4.0")
BEFORE_7 = RELEASES[:2]


def apps_of(release: str) -> dict[str, Template]:
    """Return the apps that a release's driver told oned about, by name; each is decoded as oned decodes it."""
    output = parse_template((DATA / f"monitor-{release}.txt").read_text(), release)
    apps = [parse_template(decode(str(app.value)), release) for app in output if app.name == "APP"]
    return {str(first_text(app, "NAME")): app for app in apps}


def decode(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def test_the_list_is_the_one_that_the_driver_was_asked_about(workshop: Workshop) -> None:
    workshop.build()
    assert (workshop.out / "appliance").read_text() == (DATA / "appliance").read_text()


def test_onemarket_takes_the_marketplace(workshop: Workshop) -> None:
    workshop.build()
    template = parse_template((workshop.out / "marketplace.one").read_text(), "marketplace.one")
    assert first_text(template, "MARKET_MAD") == "one"
    assert first_text(template, "ENDPOINT") == "http://127.0.0.1:8000/repo/"


@pytest.mark.parametrize("release", RELEASES)
def test_the_image_is_seen_with_size_sum_and_template(release: str) -> None:
    app = apps_of(release)["worker-el9-1.0.0"]
    said = {name: first_text(app, name) for name in ("TYPE", "FORMAT", "VERSION", "SIZE", "REGTIME", "DESCRIPTION")}
    assert said == {
        "TYPE": "IMAGE",
        "FORMAT": "qcow2",
        "VERSION": "1.0.0",
        "SIZE": "2048",
        "REGTIME": "1718000000",
        "DESCRIPTION": "A worker",
    }
    assert re.fullmatch("[0-9a-f]{32}", str(first_text(app, "MD5")))
    image = parse_template(decode(str(first_text(app, "APPTEMPLATE64"))), release)
    assert (first_text(image, "DEV_PREFIX"), first_text(image, "TYPE")) == ("vd", "OS")
    check_template(decode(str(first_text(app, "VMTEMPLATE64"))), release)


@pytest.mark.parametrize("release", RELEASES)
def test_the_vm_template_is_seen_with_its_image(release: str) -> None:
    app = apps_of(release)["worker-el9-1.0.0-template"]
    assert first_text(app, "TYPE") == "VMTEMPLATE"
    assert first_text(app, "DISK", "APP") == "worker-el9-1.0.0"
    check_template(decode(str(first_text(app, "APPTEMPLATE64"))), release)


def check_template(text: str, release: str) -> None:
    """Check a VM template as the driver wrote it; an export appends NAME and the image's DISK."""
    template = parse_template(text, release)
    vectors = [(item.name, dict(item.value)) for item in template if not isinstance(item.value, str)]
    assert [item for item in vectors if item[0] == "DISK"] == [
        ("DISK", {"TYPE": "fs", "SIZE": "20480", "TARGET": "vdb"}),
        ("DISK", {"TYPE": "swap", "SIZE": "1024", "TARGET": "vdc"}),
    ]
    assert [item for item in vectors if item[0] == "NIC"] == [
        ("NIC", {"NETWORK_MODE": "auto", "MODEL": "virtio", "SECURITY_GROUPS": "0"}),
        ("NIC", {"NETWORK_MODE": "auto", "MODEL": "virtio"}),
    ]
    assert first_text(template, "OS", "BOOT") == "disk2"
    assert first_value(template, "NAME") is None
    assert first_text(template, "DESCRIPTION") == "says \"worker\", and 'no more'"
    requirements = '(CLUSTER_ID = 0 | NAME = "big*")'
    assert first_text(template, "SCHED_REQUIREMENTS") == (
        requirements if release in BEFORE_7 else f"{requirements} & HYPERVISOR=kvm"
    )
    assert first_text(template, "CONTEXT", "SET_HOSTNAME") == "$NAME"
    assert decode(str(first_text(template, "CONTEXT", "USERDATA"))) == USER_DATA


def test_a_plain_web_server_serves_what_the_driver_asks_for(workshop: Workshop) -> None:
    need_tool("curl", "busybox")
    workshop.build()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", workshop.out])
    try:
        curl = ["curl", "--fail", "-sS", "--retry", "20", "--retry-delay", "1", "--retry-connrefused"]
        told = run_tool([*curl, f"http://127.0.0.1:{port}//appliance"])
        source = str(first_text(apps_of(RELEASES[-1])["worker-el9-1.0.0"], "SOURCE"))
        url = source.replace("http://127.0.0.1:8000/repo", f"http://127.0.0.1:{port}")
        run_tool([*curl, url, "-o", workshop.home / "downloaded"])
    finally:
        server.kill()
        server.wait()
    assert told == (DATA / "appliance").read_text()
    assert (workshop.home / "downloaded").read_bytes() == (workshop.images / "worker-el9-1.0.0.qcow2").read_bytes()


@pytest.mark.parametrize("release", RELEASES)
def test_the_source_leads_to_the_image_on_any_web_server(release: str, workshop: Workshop) -> None:
    need_tool("curl")
    workshop.build()
    source = str(first_text(apps_of(release)["worker-el9-1.0.0"], "SOURCE"))
    with serve(workshop.out) as web:
        url = source.replace("http://127.0.0.1:8000/repo", web.url)
        target = workshop.home / "downloaded"
        run_tool(["curl", "--fail", "-sS", "-k", "-L", url, "-o", target])  # as OpenNebula's downloader.sh does
    assert target.read_bytes() == (workshop.images / "worker-el9-1.0.0.qcow2").read_bytes()
