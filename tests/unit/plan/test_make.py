from typing import Any

import pytest

from b2ct.errors import UsageError
from b2ct.plan.make import media_device
from b2ct.plan.model import Facts, Plan
from b2ct.site.model import Site
from tests.rigs.kickstarts import plan_of

BASE: dict[str, Any] = {
    "site": "lab",
    "domain": "example.org",
    "media": {"distro": "almalinux", "version": "9.6"},
    "opennebula": {"version": "7.2"},
    "networks": {"service": {"cidr": "10.10.0.0/24"}, "guests": {"cidr": "10.11.0.0/16", "vlan": 11}},
    "hosts": [{"name": "cn01", "role": "frontend"}],
}


def plan(*, is_dvd: bool = False, hashes: dict[str, str] | None = None, **changes: Any) -> Plan:  # noqa: ANN401 - parts of a site file
    site = Site.model_validate({**BASE, **changes})
    return plan_of(site, Facts("LABEL", is_dvd, hashes or {}, "1.0"))


@pytest.mark.parametrize(
    ("distro", "version", "opennebula", "url"),
    [
        ("almalinux", "9.6", "7.2", "https://repo.almalinux.org/almalinux/9/BaseOS/x86_64/os/"),
        ("rocky", "10.0", "7.4", "https://dl.rockylinux.org/pub/rocky/10/BaseOS/x86_64/os/"),
        ("centos-stream", "8", "6.10", "https://vault.centos.org/8-stream/BaseOS/x86_64/os/"),
        ("centos-stream", "10", "7.2", "https://mirror.stream.centos.org/10-stream/BaseOS/x86_64/os/"),
        ("centos", "7", "5.12", "https://vault.centos.org/7.9.2009/os/x86_64/"),
        ("centos", "7.6", "5.12", "https://vault.centos.org/7.6.1810/os/x86_64/"),
        ("centos", "6.7", "4.14", "http://vault.centos.org/6.7/os/x86_64/"),
        ("centos", "6", "4.14", "http://vault.centos.org/6.10/os/x86_64/"),
    ],
)
def test_a_netinstall_fetches_from_the_distributor(distro: str, version: str, opennebula: str, url: str) -> None:
    made = plan(media={"distro": distro, "version": version}, opennebula={"version": opennebula})
    assert made.install_url == url


def test_mirrors_take_the_place_of_the_distributors() -> None:
    sources = {"os": "http://m/alma/", "epel": "http://m/epel", "opennebula": "http://m/one"}
    made = plan(sources=sources)
    assert made.install_url == "http://m/alma/9/BaseOS/x86_64/os/"
    assert {item.name: item.url for item in made.repositories} == {
        "baseos": "http://m/alma/9/BaseOS/x86_64/os/",
        "appstream": "http://m/alma/9/AppStream/x86_64/os/",
        "crb": "http://m/alma/9/CRB/x86_64/os/",
        "epel": "http://m/epel/9/Everything/x86_64/",
        "opennebula": "http://m/one/7.2/AlmaLinux/9/x86_64",
    }
    assert made.repositories[-1].key == "http://m/one/repo2.key"


@pytest.mark.parametrize(
    ("distro", "version", "folder"),
    [
        ("almalinux", "10", "10z"),
        ("almalinux", "10.0", "10z"),
        ("rocky", "10.1", "10z"),
        ("centos-stream", "10", "10"),
        ("centos-stream", "9", "9"),
    ],
)
def test_epel_is_built_for_the_distribution(distro: str, version: str, folder: str) -> None:
    made = plan(media={"distro": distro, "version": version})
    (epel,) = [item.url for item in made.repositories if item.name == "epel"]
    assert epel == f"https://dl.fedoraproject.org/pub/epel/{folder}/Everything/x86_64/"


@pytest.mark.parametrize(
    ("volume_id", "device"),
    [
        ("AlmaLinux-9-6-x86_64-dvd", "LABEL=AlmaLinux-9-6-x86_64-dvd"),
        ("CentOS 7 x86_64", r"/dev/disk/by-label/CentOS\x207\x20x86_64"),
        ("a/b\u00e9", r"/dev/disk/by-label/a\x2fb\xc3\xa9"),
    ],
)
def test_the_media_are_named_as_every_part_of_the_installer_finds_them(volume_id: str, device: str) -> None:
    assert media_device(volume_id) == device


def test_a_dvd_is_installed_from() -> None:
    made = plan(is_dvd=True)
    assert made.install_url == ""
    assert [item.name for item in made.repositories if item.on_media] == ["media-baseos", "media-appstream"]


def test_rhel_needs_a_mirror_or_a_dvd() -> None:
    media = {"distro": "rhel", "version": "9.4"}
    with pytest.raises(UsageError, match="rhel has no public mirror"):
        plan(media=media)
    assert plan(media=media, is_dvd=True).install_url == ""
    assert plan(media=media, sources={"os": "http://m/rhel"}).install_url == "http://m/rhel/9/BaseOS/x86_64/os/"


def test_offline_needs_a_dvd_and_names_no_network() -> None:
    with pytest.raises(UsageError, match="offline site needs media that carry packages"):
        plan(sources={"offline": True})
    assert {item.url.split("/")[0] for item in plan(sources={"offline": True}, is_dvd=True).repositories} == {"file:"}


def test_the_enterprise_token_never_goes_on_the_media() -> None:
    enterprise = {"version": "7.2", "edition": "enterprise", "token": "env:TOKEN"}
    with pytest.raises(UsageError, match="need a token"):
        plan(opennebula=enterprise)
    assert plan(opennebula=enterprise, sources={"opennebula": "http://m/one"}).repositories[-1].name == "opennebula"


def test_an_opennebula_without_packages_is_refused() -> None:
    with pytest.raises(UsageError, match=r"OpenNebula 5\.12 has no packages for EL9"):
        plan(opennebula={"version": "5.12"})


def test_a_distribution_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no such distribution of EL9"):
        plan(media={"distro": "centos", "version": "9"})


def test_unsigned_packages_are_said_to_be() -> None:
    made = plan(media={"distro": "centos", "version": "6.7"}, opennebula={"version": "4.14"})
    assert "OpenNebula's packages of 4.14 carry no signature." in made.hosts[0].roles[0].left
    assert made.repositories[-1].key == ""


def test_the_interactive_host_is_last_always_there_and_has_every_role() -> None:
    made = plan()
    assert [host.kickstart for host in made.hosts] == ["b2ct/cn01.ks", "b2ct/ask.ks"]
    assert made.hosts[-1].name == made.hosts[-1].fqdn == ""
    assert [role.role for role in made.hosts[-1].roles] == ["frontend", "node"]


def test_services_bring_packages_units_and_ports() -> None:
    role = plan(hosts=[{"name": "cn01", "role": "frontend", "services": ["squid"]}]).hosts[0].roles[0]
    assert "squid" in role.packages
    assert "squid" in role.units
    rules = {rule.port: rule.sources for rule in role.firewall}
    assert rules["3128"] == ("10.10.0.0/24", "10.11.0.0/16")
    assert rules["2633"] == ("10.10.0.0/24",)
    assert rules["5030"] == ("10.10.0.0/24", "10.11.0.0/16")


def test_no_rule_is_open_to_the_world() -> None:
    for host in plan(hosts=[{"name": "x", "services": ["squid", "rocci"]}]).hosts:
        for role in host.roles:
            assert all(rule.sources and "0.0.0.0/0" not in rule.sources for rule in role.firewall)


def test_root_is_locked_unless_the_site_says_else() -> None:
    assert (plan().root.password_hash, plan().root.permit_login) == ("", "no")
    keys = plan(root={"policy": "keys"}, hashes={"root": "$6$x$y"})
    assert (keys.root.password_hash, keys.root.permit_login) == ("", "without-password")
    password = plan(root={"policy": "password", "password": "env:X"}, hashes={"root": "$6$x$y"})
    assert (password.root.password_hash, password.root.permit_login) == ("$6$x$y", "no")


def test_no_password_means_one_that_nothing_matches() -> None:
    accounts = plan(users=[{"name": "ada"}, {"name": "bob"}], hashes={"bob": "$y$h"}).accounts
    assert [account.password_hash for account in accounts] == ["*", "$y$h"]


def test_the_console_is_for_the_installed_system_too() -> None:
    made = plan(console="ttyS0,115200n8", kernel_arguments=["intel_iommu=on"])
    wanted = ("console=tty0", "console=ttyS0,115200n8", "intel_iommu=on")
    assert made.hosts[0].storage.kernel_arguments == wanted


def test_disk_rules_are_in_the_words_of_pre() -> None:
    disks = [{"wwn": "0x5000", "smallest": True}, {"size": "480GB"}]
    storage = plan(hosts=[{"name": "x", "disks": disks, "layout": {"raid": "1"}}]).hosts[0].storage
    assert storage.rules == ("wwn=0x5000,smallest", "size=480000000000")
    assert (storage.count, storage.mirrored) == (2, True)
    assert storage.volumes[1].mount == storage.volumes[1].fstype == "swap"
    assert storage.minimum_mib > 65 * 1024
