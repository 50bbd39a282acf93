"""%pre of every example runs in a made-up machine; the kickstart is read with what it wrote put in place."""

from __future__ import annotations

import itertools
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from b2ct.site.host import ASK
from b2ct.site.load import load_site
from tests.rigs.kickstarts import CASES, GOLDEN, load_case, parse, render_texts, scripts
from tests.rigs.pre_machine import BASH, GB, FakeDisk, Machine

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from b2ct.site.host import Host

HOSTS = [(case, host.name) for case in CASES for host in load_site(GOLDEN / case / "site.yaml").hosts]
HOSTS += [(case, ASK) for case in CASES if (case, ASK) not in HOSTS]

ANSWERED = {
    "HOST": "typed",
    "ROLE": "node",
    "NIC": "52:54:00:aa:00:01",
    "ADDRESS": "10.20.0.7",
}
"""What stands for the answers to questions; the questions themselves have tests of their own."""

FIRMWARE = ("bios", "uefi")


def host_of(case: str, name: str) -> Host | None:
    return next((host for host in load_site(GOLDEN / case / "site.yaml").hosts if host.name == name), None)


def make_machine(root: Path, host: Host | None, firmware: str) -> Machine:
    """Return a machine with the cards and disks of ``host``, or with one card and two disks."""
    root.mkdir()
    machine = Machine(root)
    letters = itertools.count()
    for disk in host.disks if host and host.disks else ():
        name = f"sd{'abcdefgh'[next(letters)]}"
        machine.add_disk(FakeDisk(name, disk.size or 480 * GB, wwn=disk.wwn or "", serial=disk.serial or ""))
        if disk.path:
            (root / disk.path.removeprefix("/")).symlink_to(root / "dev" / name)
    if not (host and host.disks):
        machine.add_disk(FakeDisk("sda", 480 * GB)).add_disk(FakeDisk("nvme0n1", 960 * GB, bus="nvme"))
    machine.add_nic("ens1", ANSWERED["NIC"], speed=10000)
    for n, nic in enumerate(host.nics if host else ()):
        machine.add_nic(nic.name if nic.name and not nic.mac else f"card{n}", nic.mac or f"52:54:00:bb:00:{n:02x}")
    if firmware == "uefi":
        (root / "sys/firmware/efi").mkdir(parents=True)
    return machine


def answer(script: str) -> str:
    """Return %pre with the questions' answers in place of what is asked."""
    for name, value in ANSWERED.items():
        script = re.sub(rf"^B2CT_{name}=''$", f"B2CT_{name}='{value}'", script, flags=re.MULTILINE)
    return re.sub(r"^B2CT_DISK_RULES=\(\)$", "B2CT_DISK_RULES=('smallest')", script, flags=re.MULTILINE)


def run_pre(machine: Machine, script: str) -> Path:
    """Run %pre to its end; return the folder with what it wrote."""
    run_dir = machine.root / "run"
    file = machine.root / "pre.sh"
    file.write_text(script, encoding="utf-8")
    environment = {"PATH": str(machine.root / "bin"), "B2CT_RUN_DIR": str(run_dir), "B2CT_SYSROOT": str(machine.root)}
    result = subprocess.run(
        [BASH, str(file)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return run_dir


def run_case(case: str, name: str, firmware: str, tmp_path: Path) -> tuple[Any, Path]:
    """Run a host's %pre; return the whole kickstart as pykickstart reads it, and what %pre wrote."""
    plan = load_case(case)
    text = render_texts(plan)[f"b2ct/{name}.ks"]
    version = plan.generation.pykickstart
    pre = scripts(parse(text, version))[0]
    run_dir = run_pre(make_machine(tmp_path / "machine", host_of(case, name), firmware), answer(pre))
    whole = re.sub(r"^%include /tmp/b2ct/(.*)\n", lambda m: (run_dir / m[1]).read_text(), text, flags=re.MULTILINE)
    assert "%include" not in whole
    return parse(whole, version), run_dir


@pytest.mark.parametrize("firmware", FIRMWARE)
@pytest.mark.parametrize(("case", "name"), HOSTS)
def test_the_kickstart_is_whole_with_what_pre_wrote(case: str, name: str, firmware: str, tmp_path: Path) -> None:
    handler, _ = run_case(case, name, firmware, tmp_path)
    only = handler.ignoredisk.onlyuse
    assert only
    assert handler.clearpart.drives == only
    assert handler.zerombr.zerombr
    mounts = [part.mountpoint for part in handler.partition.partitions] + [
        array.mountpoint for array in handler.raid.raidList
    ]
    assert "/boot" in mounts
    assert {part.disk for part in handler.partition.partitions} == set(only)
    assert "/" in [volume.mountpoint for volume in handler.logvol.lvList]
    assert handler.packages.groupList
    plan = load_case(case)
    if plan.generation.el > 6 and not handler.raid.raidList:
        assert handler.reqpart.reqpart
    elif firmware == "uefi":
        assert "/boot/efi" in mounts
    elif plan.generation.el > 6:
        assert mounts.count("biosboot") == len(only)
    links = handler.network.network
    assert links[-1].bootProto in {"static", "dhcp"}
    assert any(link.hostname for link in links)
    assert all(link.activate for link in links)


def test_media_with_blanks_in_their_name_are_one_word(tmp_path: Path) -> None:
    handler, _ = run_case("centos7", "cloud", "bios", tmp_path)
    assert handler.harddrive.partition == r"/dev/disk/by-label/CentOS\x207\x20x86_64"


def test_answers_reach_network_and_packages(tmp_path: Path) -> None:
    handler, run_dir = run_case("interactive", ASK, "bios", tmp_path)
    (link,) = handler.network.network
    assert (link.device, link.ip, link.netmask) == ("ens1", "10.20.0.7", "255.255.255.0")
    assert (link.gateway, link.nameserver, link.hostname) == ("10.20.0.1", "10.20.0.1", "typed.lab.example.org")
    assert "libvirt" in handler.packages.packageList
    assert "mariadb-server" not in handler.packages.packageList
    assert handler.ignoredisk.onlyuse == ["sda"]
    assert (run_dir / "cards.sh").read_text() == "B2CT_CARDS=( asked=ens1=52:54:00:aa:00:01 )\n"


def test_a_bond_with_a_vlan_is_made_of_the_cards_with_those_addresses(tmp_path: Path) -> None:
    handler, run_dir = run_case("cluster", "cn01", "uefi", tmp_path)
    (bond,) = handler.network.network
    assert (bond.device, bond.bondslaves, bond.bondopts) == ("bond0", "card0,card1", "mode=802.3ad,miimon=100")
    assert (bond.vlanid, bond.interfacename, bond.ip) == ("10", "bond0.10", "10.10.0.11")
    assert "left=card0=52:54:00:10:00:01" in (run_dir / "cards.sh").read_text()
    assert handler.bootloader.bootDrive == handler.ignoredisk.onlyuse[0]
    assert handler.bootloader.appendLine == "console=tty0 console=ttyS0,115200n8"


def test_a_card_that_is_not_there_stops_before_anything_is_erased(tmp_path: Path) -> None:
    plan = load_case("centos7")
    pre = scripts(parse(render_texts(plan)["b2ct/kvm1.ks"], "RHEL7"))[0]
    machine = make_machine(tmp_path / "machine", None, "bios")
    machine.program("sleep", "kill -KILL $PPID")  # whoever waits here waits for ever
    file = machine.root / "pre.sh"
    file.write_text(pre.replace("    b2ct_console_open\n    while", "    while"), encoding="utf-8")
    environment = {"PATH": str(machine.root / "bin"), "B2CT_SYSROOT": str(machine.root)}
    environment["B2CT_RUN_DIR"] = str(machine.root / "run")
    result = subprocess.run([BASH, str(file)], env=environment, capture_output=True, text=True, check=False)
    assert "no network card 52:54:00:70:01:01. Nothing has been erased." in result.stdout
    assert not (machine.root / "run" / "disk.ks").exists()
