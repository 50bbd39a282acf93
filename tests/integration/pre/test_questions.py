"""What %pre asks, what it takes for an answer, and what becomes of hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.rigs.pre_machine import ANSWERS, FakeDisk, Machine, Pre

if TYPE_CHECKING:
    from pathlib import Path

OPEN: dict[str, Any] = {"host": "", "role": "", "nic": "", "address": ""}
"""Settings of the interactive installation."""

MAC = "52:54:00:12:34:56"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "machine").add_disk(FakeDisk("sda"))
    return made.add_nic("eno1", MAC, speed=1000).add_nic("eno2", "52:54:00:12:34:57")


def reply(pre: Pre, question: str, answer: str) -> None:
    pre.expect(question)
    pre.send(answer)


def test_nothing_is_asked_when_nothing_is_missing(machine: Machine) -> None:
    with machine.boot(nic=MAC.upper()) as pre:
        assert pre.answers() == {
            "HOST": "hv01",
            "ROLE": "node",
            "NIC": MAC,
            "NIC_DEVICE": "eno1",
            "ADDRESS": "10.10.0.11",
            "PREFIX": "24",
            "GATEWAY": "10.10.0.1",
            "DNS": "10.10.0.2",
            "DISKS": "sda",
            "FIRMWARE": "bios",
        }
        assert pre.seen == ""
    assert not (machine.root / "ip.log").exists()


def test_nothing_is_asked_without_a_terminal(machine: Machine) -> None:
    with machine.boot(terminal=False) as pre:
        assert pre.answers()["DISKS"] == "sda"


@pytest.mark.parametrize(
    ("nic", "expected"), [("eno2", ("52:54:00:12:34:57", "eno2")), ("bond0", ("bond0", "bond0")), (MAC, (MAC, "eno1"))]
)
def test_card_of_the_site_file(machine: Machine, nic: str, expected: tuple[str, str]) -> None:
    machine.write("sys/class/net/bond0/type", 1)
    machine.write("sys/class/net/bond0/address", MAC)  # a bond is no card, and has the address of one
    with machine.boot(nic=nic) as pre:
        answers = pre.answers()
        assert (answers["NIC"], answers["NIC_DEVICE"]) == expected


def test_everything_asked(machine: Machine) -> None:
    with machine.boot(**OPEN, disk_rules=[]) as pre:
        reply(pre, r"Role of this host: frontend or node \[node\]: ", "frontend")
        reply(pre, r"Host name, without .example.org: ", "cn02.example.org")
        table = pre.expect(r"Network card of the management network \(or r: look again\) \[eno1\]: ")
        assert f"eno1            {MAC}  igb          link, 1000 Mb/s" in table
        assert "eno2            52:54:00:12:34:57  igb          no link" in table
        pre.send("52:54:00:12:34:57")
        reply(pre, r"IPv4 address of this host in 10.10.0.0/24, or dhcp \[dhcp\]: ", "10.10.0.20/24")
        reply(pre, r"Gateway, or none \[10.10.0.1\]: ", "")
        reply(pre, r"Name servers .* \[10.10.0.2\]: ", "10.10.0.3, 8.8.8.8")
        reply(pre, "Disk 1 of 1", "sda")
        reply(pre, "Type yes", "yes")
        summary = pre.expect(r"Is this right\? y or n \[y\]: ")
        assert "Host      cn02.example.org\n" in summary
        assert "Address   10.10.0.20/24, gateway 10.10.0.1, name servers 10.10.0.3,8.8.8.8\n" in summary
        assert "Network   eno2 (52:54:00:12:34:57)\n" in summary
        pre.send("y")
        assert pre.answers() == {
            "HOST": "cn02",
            "ROLE": "frontend",
            "NIC": "52:54:00:12:34:57",
            "NIC_DEVICE": "eno2",
            "ADDRESS": "10.10.0.20",
            "PREFIX": "24",
            "GATEWAY": "10.10.0.1",
            "DNS": "10.10.0.3,8.8.8.8",
            "DISKS": "sda",
            "FIRMWARE": "bios",
        }
    assert (machine.root / "ip.log").read_text() == "link set dev eno2 up\n"


def test_not_right_starts_again_with_the_answers_as_defaults(machine: Machine) -> None:
    with machine.boot(host="", address="") as pre:
        reply(pre, r"Host name.*org: ", "hv02")
        reply(pre, r"\[dhcp\]: ", "10.10.0.12")
        reply(pre, r"\[10.10.0.1\]: ", "none")
        reply(pre, r"\[10.10.0.2\]: ", "none")
        reply(pre, r"Is this right", "what?")
        reply(pre, r"Is this right", "n")
        reply(pre, r"Host name.*\[hv02\]: ", "hv03")
        reply(pre, r"\[10.10.0.12\]: ", "")
        reply(pre, r"Gateway, or none \[none\]: ", "")
        reply(pre, r"Name servers .* \[none\]: ", "")
        reply(pre, r"Is this right", "")
        answers = pre.answers()
    assert (answers["HOST"], answers["ADDRESS"], answers["GATEWAY"], answers["DNS"]) == ("hv03", "10.10.0.12", "", "")


def test_dhcp_asks_no_further(machine: Machine) -> None:
    with machine.boot(address="") as pre:
        reply(pre, r"\[dhcp\]: ", "")
        reply(pre, r"Address   dhcp\n[^?]*Is this right", "y")
        assert pre.answers()["ADDRESS"] == "dhcp"


WRONG_ADDRESSES = {
    "10.10.0.300": "no IPv4 address",
    "10.10.0": "no IPv4 address",
    "10.10.0.1.5": "no IPv4 address",
    "10.10.0.5.": "no IPv4 address",
    "10..0.5": "no IPv4 address",
    "010.10.0.5": "no IPv4 address",
    "10.10.0.x": "no IPv4 address",
    "0x0a.10.0.5": "no IPv4 address",
    "99999999999999999999.1.1.1": "no IPv4 address",
    "hv02": "no IPv4 address",
    "/24": "no IPv4 address",
    "10.10.1.5": r"not in 10.10.0.0/24",
    "10.10.0.0": "network or broadcast address",
    "10.10.0.255": "network or broadcast address",
    "10.10.0.1": "is the gateway",
    "10.10.0.10": "is the address of cn01",
    "10.10.0.100": "is for virtual machines: OpenNebula gives them 10.10.0.100 to 10.10.0.150",
    "10.10.0.150": "is for virtual machines",
    "10.10.0.200": "is for virtual machines",
    "10.10.0.5/25": "prefix length of this network is 24",
    "10.10.0.5/": "prefix length of this network is 24",
    "10.10.0.5/x; reboot": "prefix length of this network is 24",
    "127.0.0.1": "no address that a host can have",
    "224.0.0.1": "no address that a host can have",
    "0.0.0.1": "no address that a host can have",
}


def test_wrong_addresses(machine: Machine) -> None:
    with machine.boot(address="") as pre:
        for wrong, why in WRONG_ADDRESSES.items():
            reply(pre, r"or dhcp \[dhcp\]: ", wrong)
            pre.expect(why)
        reply(pre, r"or dhcp \[dhcp\]: ", "10.10.0.151")
        for wrong in ("10.10.0.151", "10.10.1.1", "10.10.0.255", "10.10.0.0", "gw", "10.10.0.1.", "yes"):
            reply(pre, r"Gateway, or none \[10.10.0.1\]: ", wrong)
            pre.expect("no IPv4 address|own address|no host's address")
        reply(pre, "Gateway", "10.10.0.2")
        for wrong in ("10.10.0.256", "a,b", ",", "10.10.0.2;reboot", "10.10.0.2,,10.10.0.3"):
            reply(pre, "Name servers", wrong)
            pre.expect("Type IPv4 addresses")
        reply(pre, "Name servers", "10.10.0.2")
        reply(pre, "Is this right", "y")
        answers = pre.answers()
    assert (answers["ADDRESS"], answers["GATEWAY"], answers["DNS"]) == ("10.10.0.151", "10.10.0.2", "10.10.0.2")


def test_network_that_the_site_file_does_not_say(machine: Machine) -> None:
    with machine.boot(address="", network_cidr="", prefix="", gateway="", dns="") as pre:
        for wrong in ("192.168.7.5", "192.168.7.5/0", "192.168.7.5/33", "192.168.7.5/08", "192.168.7.5/-1"):
            reply(pre, r"IPv4 address of this host, or dhcp \[dhcp\]: ", wrong)
            pre.expect("Add the prefix length")
        reply(pre, "IPv4 address", "192.168.7.5/23")
        reply(pre, r"Gateway, or none \[none\]: ", "192.168.6.1")
        reply(pre, r"Name servers .* \[none\]: ", "")
        reply(pre, "Is this right", "")
        answers = pre.answers()
    assert (answers["ADDRESS"], answers["PREFIX"], answers["GATEWAY"]) == ("192.168.7.5", "23", "192.168.6.1")


LONGEST = 64 - len(".example.org")

HOSTILE = [
    "$(touch HERE)",
    "`touch HERE`",
    "x';touch HERE;'",
    'x";touch HERE;"',
    "a b",
    "${PATH}",
    "x\\",
    "../../etc/passwd",
    "*",
    "-n",
    "hv-",
    "HV02",
    "hv_02",
    "hv02.other.org",
    "localhost",
    "cn01",
    "a" * (LONGEST + 1),
    "a" * 1000,
    "b\x1b[2Jb",
    "caf\u00e9",
    "\u202ex",
    "\x1b[A",
]


def test_hostile_host_names(machine: Machine) -> None:
    with machine.boot(host="") as pre:
        for name in HOSTILE:
            pre.expect(r"Host name, without .example.org: ")
            pre.send(name.replace("HERE", str(machine.root / "executed")))
            if len(name) > 255 or not (name.isascii() and name.isprintable()):
                pre.expect("That is too long, or has characters other than")
        reply(pre, "Host name", "a" * LONGEST)
        reply(pre, "Is this right", "y")
        assert pre.answers()["HOST"] == "a" * LONGEST
    assert not (machine.root / "executed").exists()


def test_hostile_answers_to_every_question(machine: Machine) -> None:
    evil = f"';touch {machine.root}/executed;'$(touch {machine.root}/executed)`touch {machine.root}/executed`[a]=1"
    with machine.boot(**OPEN, disk_rules=[]) as pre:
        for question, good in [
            ("Role", "node"),
            ("Host name", "hv02"),
            ("Network card", "eno1"),
            ("IPv4 address", "10.10.0.12"),
            ("Gateway", "10.10.0.1"),
            ("Name servers", "10.10.0.2"),
            ("Disk 1", "sda"),
            ("Type yes", "yes"),
            ("Is this right", "y"),
        ]:
            if question != "Type yes":
                reply(pre, question, evil)
                reply(pre, question, "a[$(touch /nowhere)0]")
            reply(pre, question, good)
        assert pre.answers()["HOST"] == "hv02"
    assert not (machine.root / "executed").exists()


def test_settings_come_back_as_they_were(machine: Machine) -> None:
    strange = "a'b\"c $(reboot) `x` \\ \n* \u00e9 ''"
    with machine.boot(gateway=strange, dns=strange, prefix=strange, nic=strange) as pre:
        answers = pre.answers()
    assert {answers[name] for name in ("GATEWAY", "DNS", "PREFIX", "NIC")} == {strange}
    assert set(answers) == set(ANSWERS)


def test_silence_takes_defaults_but_never_a_host_name(machine: Machine) -> None:
    with machine.boot(**OPEN, ask_timeout_s=1) as pre:
        pre.expect("No answer: taking node")
        for _ in range(2):
            pre.expect("Host name, without .example.org: ")
        assert not (pre.run_dir / "answers.sh").exists()
        pre.send("hv02")
        for taken in ("eno1", "dhcp", "y"):
            pre.expect(f"No answer: taking {taken}")
        answers = pre.answers()
    assert (answers["ROLE"], answers["NIC_DEVICE"], answers["ADDRESS"]) == ("node", "eno1", "dhcp")


def test_no_card_is_proposed_when_two_have_a_link(machine: Machine) -> None:
    machine.add_nic("eno3", "52:54:00:12:34:58", speed=0)
    with machine.boot(nic="", ask_timeout_s=1) as pre:
        for _ in range(2):
            table = pre.expect(r"Network card of the management network \(or r: look again\): ")
            assert "taking" not in table
        reply(pre, "Network card", "eno9")
        pre.expect('There is no network card "eno9"')
        machine.add_nic("eno9", "52:54:00:12:34:59")
        pre.send("r")
        pre.expect("eno9 ")
        reply(pre, "Network card", "eno9")
        assert pre.answers()["NIC"] == "52:54:00:12:34:59"


def test_control_keys_and_end_of_file_do_not_end_the_questions(machine: Machine) -> None:
    with machine.boot(host="") as pre:
        for keys in (b"\x04", b"\x03", b"\x1c", b"\x1a"):
            pre.expect("Host name")
            pre.key(keys)
            pre.send("")
        reply(pre, "Host name", "hv02")
        reply(pre, "Is this right", "y")
        assert pre.answers()["HOST"] == "hv02"


@pytest.mark.parametrize(
    ("cmdline", "console", "switched"),
    [
        ("ks=hd:LABEL=X:/ks.cfg", "tty3", "3\n1\n"),
        ("console=ttyS0,115200 console=tty0", "tty3", "3\n1\n"),
        ("console=tty0 console=ttyS0,115200n8", "ttyS0", ""),
        ("console=tty0 console=hvc0", "hvc0", ""),
    ],
)
def test_el6_console(machine: Machine, cmdline: str, console: str, switched: str) -> None:
    machine.write("proc/cmdline", cmdline)
    with machine.boot(host="", generation=6, tty="/dev/tty3", own_terminal=console) as pre:
        reply(pre, "Host name", "hv02")
        reply(pre, "Is this right", "y")
        assert pre.answers()["HOST"] == "hv02"
    log = machine.root / "chvt.log"
    assert (log.read_text() if log.exists() else "") == switched


def test_log_keeps_questions_and_answers(machine: Machine) -> None:
    with machine.boot(host="") as pre:
        reply(pre, "Host name", "hv02")
        reply(pre, "Is this right", "y")
        pre.answers()
        log = (pre.run_dir / "pre.log").read_text()
    assert "Host name, without .example.org: hv02\n" in log
    assert "disk sda: 500000000000 bytes" in log
    assert "answers written" in log
