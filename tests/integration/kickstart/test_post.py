"""%post of every example runs in a made-up installed system; real programs judge the files that it writes."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from b2ct.site.host import ASK
from b2ct.site.load import load_site
from tests.rigs.installed import Installed
from tests.rigs.kickstarts import CASES, GOLDEN, load_case, parse, render_texts, scripts
from tests.rigs.tools import need_tool

if TYPE_CHECKING:
    from pathlib import Path

ROLES = [
    (case, host.name, host.role.value)
    for case in CASES
    for host in load_site(GOLDEN / case / "site.yaml").hosts
    if host.role
] + [(case, ASK, role) for case in ("interactive", "centos67", "centos7") for role in ("frontend", "node")]


def install(  # noqa: PLR0913 - a host, where it is installed, and what is special there
    case: str,
    name: str,
    role: str,
    root: Path,
    *,
    broken: str = "",
    programs: dict[str, str] | None = None,
    address: str = "10.20.0.7",
) -> tuple[Installed, int]:
    """Run %post of a host; return the system that it leaves, and its exit code."""
    plan = load_case(case)
    host = next(host for host in plan.hosts if host.kickstart == f"b2ct/{name}.ks")
    text = render_texts(plan)[host.kickstart]
    system = Installed(root)
    if broken:
        system.program(f"bin/{broken}", "exit 1")
    for path, script in (programs or {}).items():
        system.program(path, script)
    answers = {
        "HOST": host.name or "typed",
        "ROLE": role,
        "ADDRESS": address,
        "PREFIX": "24",
        "GATEWAY": "10.20.0.1",
        "DNS": "10.20.0.2,10.20.0.3",
        "NIC": "52:54:00:aa:00:01",
        "NIC_DEVICE": "ens1",
    }
    cards = [
        f"{card.key}={card.match if card.match and ':' not in card.match else f'card{n}'}"
        f"={card.match if ':' in card.match else '52:54:00:aa:00:01'}"
        for n, card in enumerate(host.network.cards)
    ]
    result = system.run(scripts(parse(text, plan.generation.pykickstart))[-1], answers, cards)
    system.write("stdout", result.stdout + result.stderr)
    return system, result.returncode


@pytest.mark.parametrize(("case", "name", "role"), ROLES)
def test_the_host_is_set_up_to_the_end(case: str, name: str, role: str, tmp_path: Path) -> None:
    system, status = install(case, name, role, tmp_path / "system")
    assert status == 0, system.read("stdout")
    release = json.loads(system.read("etc/b2ct/release.json"))
    plan = load_case(case)
    assert release["role"] == role
    assert release["kickstart"] == f"b2ct/{name}.ks"
    assert release["kickstart_sha256"] == "ab" * 32
    assert release["opennebula"] == plan.opennebula
    host = "typed" if name == ASK else name
    assert release["host"] == f"{host}.{plan.domain}"
    assert system.read("stdout").splitlines()[-1].endswith(f"done: {host} is a {role}")
    enabled = " ".join(system.calls("systemctl" if plan.generation.el > 6 else "chkconfig"))
    wanted = ("opennebula", "mysqld" if plan.generation.el == 6 else "mariadb") if role == "frontend" else ("sshd",)
    assert all(unit in enabled for unit in wanted)
    package = "opennebula" if role == "frontend" else "opennebula-node-kvm"
    assert any(package in call for call in system.calls(plan.generation.package_manager))
    assert system.read("etc/issue") == "stock issue\n"
    assert system.read("etc/ssh/sshd_config").startswith("PermitRootLogin ")


def test_a_failed_step_is_shown_and_nothing_goes_on(tmp_path: Path) -> None:
    system, status = install("single", "cn01", "frontend", tmp_path / "system", broken="dnf")
    assert status == 1
    for file in ("etc/issue", "etc/motd"):
        assert "B2CT: the installation of this host failed while installing OpenNebula; see" in system.read(file)
    assert not (system.root / "etc/b2ct/release.json").exists()
    assert not (system.root / "calls").read_text().count("systemctl")


def test_a_package_that_yum_did_not_find_is_noticed(tmp_path: Path) -> None:
    system, status = install("centos67", "worker", "node", tmp_path / "system", broken="rpm")
    assert status == 1
    assert "failed while installing OpenNebula" in system.read("etc/motd")


def test_only_the_plans_repositories_are_enabled(tmp_path: Path) -> None:
    system, _ = install("single", "cn01", "frontend", tmp_path / "system")
    assert system.read("etc/yum.repos.d/stock.repo").splitlines() == [
        "[base]",
        "enabled=0",
        "name=base",
        "mirrorlist=http://x/",
        "[extras]",
        "enabled=0",
        "name=extras",
    ]
    ours = system.read("etc/yum.repos.d/b2ct.repo")
    assert ours.count("gpgcheck=1") == ours.count("[b2ct-") == 5
    assert "gpgkey=https://downloads.opennebula.io/repo/repo2.key" in ours


def test_an_offline_sites_packages_come_from_the_media_alone(tmp_path: Path) -> None:
    system, _ = install("rocky8", "one", "frontend", tmp_path / "system")
    assert system.calls("mount") == ["-o ro -L Rocky-8-10-x86_64-dvd /mnt/b2ct-media"]
    assert sorted(path.name for path in (system.root / "etc/yum.repos.d").iterdir()) == ["stock.repo"]


def test_the_database_password_is_in_oned_conf_and_nowhere_else_on_the_media(tmp_path: Path) -> None:
    system, _ = install("single", "cn01", "frontend", tmp_path / "system")
    conf = system.read("etc/one/oned.conf")
    found = re.search(r'PASSWD = "([0-9a-f]{48})", DB_NAME = "opennebula" \]', conf)
    assert found
    assert f"IDENTIFIED BY '{found[1]}'" in system.read("stdin.mariadb")
    assert "sqlite" not in conf
    assert "VNC_PORTS" in conf
    assert (system.root / "etc/one/oned.conf").stat().st_mode & 0o777 == 0o640


def test_users_get_their_keys_and_admins_sudo(tmp_path: Path) -> None:
    system, _ = install("cluster", "hv01", "node", tmp_path / "system")
    keys = system.root / "home/ada/.ssh/authorized_keys"
    assert keys.read_text().startswith("ssh-ed25519 AAAA")
    assert (keys.stat().st_mode & 0o777, keys.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert keys.stat().st_uid == keys.parent.stat().st_uid != 0
    assert system.read("etc/sudoers.d/b2ct") == "ada ALL=(ALL) NOPASSWD: ALL\n"


@pytest.mark.parametrize(
    ("case", "name", "names", "root"),
    [
        ("centos7", "cloud", ("mysql_install_db", "mysqld", "mysql"), "normal"),  # as before MariaDB 10.4
        ("single", "cn01", ("mariadb-install-db", "mariadbd", "mariadb"), "socket"),
    ],
)
def test_nobody_gets_into_the_database_without_a_password(
    case: str, name: str, names: tuple[str, str, str], root: str, tmp_path: Path
) -> None:
    need_tool("mariadb-install-db", "mariadbd", "mariadb")
    programs = {
        f"bin/{names[0]}": f'/usr/bin/mariadb-install-db --no-defaults --auth-root-authentication-method={root} "$@"',
        f"usr/libexec/{names[1]}": 'exec /usr/sbin/mariadbd --no-defaults "$@"',
        f"bin/{names[2]}": 'exec /usr/bin/mariadb --no-defaults "$@"',
    }
    system, status = install(case, name, "frontend", tmp_path / "system", programs=programs)
    assert status == 0, system.read("stdout") + system.read("var/log/b2ct/database.log")
    own = system.root / "root/.my.cnf"
    found = re.fullmatch(r"\[client\]\nuser=root\npassword=([0-9a-f]{48})\n", own.read_text())
    assert found
    assert own.stat().st_mode & 0o777 == 0o600
    listed = tmp_path / "accounts"
    query = f"SET @p = PASSWORD('{found[1]}');\n"
    query += f"SELECT User, Host, Password = @p FROM mysql.user INTO OUTFILE '{listed}';\n"  # noqa: S608 - our own words
    data = system.root / "var/lib/mysql"
    subprocess.run(
        ["mariadbd", "--no-defaults", "--bootstrap", "--user=root", f"--datadir={data}"],
        input=query,
        text=True,
        capture_output=True,
        check=True,
    )
    accounts = {tuple(line.split("\t")) for line in listed.read_text().splitlines()}
    assert ("oneadmin", "localhost", "0") in accounts
    assert ("root", "localhost", "1") in accounts
    assert {set_up for user, _, set_up in accounts if user == "root"} == {"1"}
    assert {user for user, _, _ in accounts} - {"mysql", "mariadb.sys", "PUBLIC"} == {"root", "oneadmin"}


@pytest.mark.parametrize(("address", "line"), [("10.20.0.7", "10.20.0.7"), ("dhcp", "127.0.1.1")])
def test_the_host_finds_its_own_name(address: str, line: str, tmp_path: Path) -> None:
    system, _ = install("interactive", ASK, "node", tmp_path / "system", address=address)
    wanted = f"127.0.0.1 localhost\n{line} typed.lab.example.org typed\n"
    assert system.read("etc/hosts") == wanted
    assert "\nvisible_hostname typed.lab.example.org\n" in system.read("etc/squid/squid.conf")


def test_oneadmin_alone_reaches_libvirt(tmp_path: Path) -> None:
    system, _ = install("cluster", "hv01", "node", tmp_path / "system")
    assert 'auth_unix_rw = "none"' in system.read("etc/libvirt/virtqemud.conf")
    assert system.read("etc/systemd/system/virtqemud.socket.d/b2ct.conf") == (
        "[Socket]\nSocketGroup=oneadmin\nSocketMode=0660\n"
    )


def test_what_is_left_to_do_is_said_at_login(tmp_path: Path) -> None:
    system, _ = install("single", "cn01", "frontend", tmp_path / "system")
    assert "B2CT, left to do: rOCCI-server was last released in 2017" in system.read("etc/motd")


def test_rocci_is_installed_where_it_exists(tmp_path: Path) -> None:
    system, _ = install("centos67", "server", "frontend", tmp_path / "system")
    assert "-y install occi-server" in system.calls("yum")
    assert "httpd on" in system.calls("chkconfig")
    assert "rocci-server.repo" in system.calls("curl")[0]


def test_the_installers_own_profiles_are_gone(tmp_path: Path) -> None:
    system, _ = install("single", "cn01", "frontend", tmp_path / "system")
    profiles = system.root / "etc/NetworkManager/system-connections"
    names = sorted(path.name for path in profiles.iterdir())
    assert names == ["br-service.nmconnection", "card-52-54-00-10-00-01.nmconnection"]
    assert {path.stat().st_mode & 0o777 for path in profiles.iterdir()} == {0o600}
    assert [path.name for path in (system.root / "etc/sysconfig/network-scripts").iterdir()] == ["ifcfg-lo"]


def test_an_asked_address_is_in_the_bridges_profile(tmp_path: Path) -> None:
    system, _ = install("interactive", ASK, "node", tmp_path / "system")
    bridge = system.read("etc/NetworkManager/system-connections/br-service.nmconnection")
    assert "address1=10.20.0.7/24,10.20.0.1\ndns=10.20.0.2;10.20.0.3;\n" in bridge
    assert "mac-address=52:54:00:aa:00:01" in bridge


def test_ifcfg_profiles_name_devices_that_pre_found(tmp_path: Path) -> None:
    system, _ = install("centos7", "kvm1", "node", tmp_path / "system")
    scripts_folder = system.root / "etc/sysconfig/network-scripts"
    names = sorted(path.name for path in scripts_folder.iterdir())
    wanted = ["br-public", "br-service", "bond0", "bond0.185", "bond0.30", "card0", "card1", "lo"]
    assert names == sorted(f"ifcfg-{name}" for name in wanted)
    assert "HWADDR=52:54:00:70:01:02" in system.read("etc/sysconfig/network-scripts/ifcfg-card1")


def test_the_firewall_zone_is_the_default_and_open_to_the_site_only(tmp_path: Path) -> None:
    system, _ = install("single", "cn01", "frontend", tmp_path / "system")
    assert "DefaultZone=b2ct" in system.read("etc/firewalld/firewalld.conf").splitlines()
    zone = ET.fromstring(system.read("etc/firewalld/zones/b2ct.xml"))  # noqa: S314 - our own file
    sources = {source.get("address") for source in zone.iter("source")}
    ports = {(port.get("port"), port.get("protocol")) for port in zone.iter("port")}
    assert sources == {"10.10.0.0/24"}
    assert {("22", "tcp"), ("2633", "tcp"), ("4124", "udp"), ("5030", "tcp"), ("3128", "tcp")} <= ports


@pytest.mark.parametrize(("name", "role"), [("server", "frontend"), ("worker", "node")])
def test_iptables_takes_the_rules(name: str, role: str, tmp_path: Path) -> None:
    need_tool("iptables-restore", "unshare")
    system, _ = install("centos67", name, role, tmp_path / "system")
    result = subprocess.run(
        ["unshare", "--net", "iptables-restore", "--test", str(system.root / "etc/sysconfig/iptables")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("case", "name", "role"), [("single", "cn01", "frontend"), ("centos67", "server", "frontend")])
def test_squid_takes_its_configuration(case: str, name: str, role: str, tmp_path: Path) -> None:
    need_tool("squid")
    system, _ = install(case, name, role, tmp_path / "system")
    conf = system.root / "etc/squid/squid.conf"
    conf.write_text(conf.read_text().replace("/var/spool/squid", str(system.root / "var/spool/squid")))
    result = subprocess.run(["squid", "-k", "parse", "-f", str(conf)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not re.search(r"ERROR|WARNING|FATAL|unrecognized", result.stderr), result.stderr


@pytest.mark.parametrize("case", CASES)
def test_sudo_takes_its_rules(case: str, tmp_path: Path) -> None:
    need_tool("visudo")
    name, role = next((name, role) for a_case, name, role in [*ROLES, (case, ASK, "node")] if a_case == case)
    system, _ = install(case, name, role, tmp_path / "system")
    rules = str(system.root / "etc/sudoers.d/b2ct")
    result = subprocess.run(["visudo", "-c", "-q", "-f", rules], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
