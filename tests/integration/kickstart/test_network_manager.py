"""A real NetworkManager reads the keyfiles that %post writes, and brings a bridge up from them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.rigs.kickstarts import CASES, keyfiles, load_case, render_texts
from tests.rigs.tools import need_root, need_tool

BRING_UP = Path(__file__).parents[2] / "rigs" / "network_manager.sh"

LEFT_OUT = {("connection", "autoconnect", "true"), ("connection", "autoconnect-slaves", "1")}
"""What NetworkManager does not write back, being its default or an older word for one of its own."""


KEYFILES = [
    pytest.param(name, text, id=f"{case}-{path}-{name}")
    for case in CASES
    if load_case(case).generation.el >= 8
    for path, kickstart in render_texts(load_case(case)).items()
    for name, text in keyfiles(kickstart).items()
]


def lines(text: str) -> set[tuple[str, str, str]]:
    section, found = "", set()
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line:
            key, value = line.split("=", 1)
            found.add((section, key, value.lower()))  # it writes MAC addresses in capitals
    return found


@pytest.mark.parametrize(("name", "text"), KEYFILES)
def test_network_manager_keeps_every_line_of_a_profile(name: str, text: str) -> None:
    need_tool("nmcli")
    command = ["nmcli", "--offline", "connection", "modify", "connection.id", name]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    understood = lines(result.stdout.replace("controller=", "master=").replace("port-type=", "slave-type="))
    assert {line for line in lines(text) if line not in LEFT_OUT} <= understood


def test_the_bridge_comes_up_with_the_address_over_the_card_with_that_mac(tmp_path: Path) -> None:
    need_tool("NetworkManager", "nm-online", "dbus-daemon", "ip", "unshare")
    need_root()
    for name, text in keyfiles(render_texts(load_case("single"))["b2ct/cn01.ks"]).items():
        (tmp_path / f"{name}.nmconnection").write_text(text)
        (tmp_path / f"{name}.nmconnection").chmod(0o600)
    cards = ["52:54:00:ff:ff:ff", "52:54:00:10:00:01"]
    result = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", str(BRING_UP), str(tmp_path), *cards],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    links, addresses, routes = json.loads(result.stdout)
    masters = {link["ifname"]: link.get("master") for link in links}
    assert masters["card1"] == "br-service"
    assert masters["card0"] is None
    (bridge,) = (link for link in links if link["ifname"] == "br-service")
    assert bridge["address"] == "52:54:00:10:00:01"
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    found = {
        (device["ifname"], address["local"], address["prefixlen"])
        for device in addresses
        for address in device["addr_info"]
        if address["scope"] == "global"
    }
    assert found == {("br-service", "10.10.0.11", 24)}
    assert [(route["gateway"], route["dev"]) for route in routes if route["dst"] == "default"] == [
        ("10.10.0.1", "br-service")
    ]
