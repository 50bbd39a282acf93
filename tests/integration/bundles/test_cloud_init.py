"""What Debian's cloud-init makes of the bundles' user-data, on an OpenNebula context."""

import json
from collections.abc import Iterator

import pytest
import yaml

from b2ct.assets import Assets
from tests.rigs.cloud_init import RUNCMD, carry, contextualize, say_files, settle, start_guest, write
from tests.rigs.container import Container

BUNDLES = ("belle2-worker", "generic-worker", "squid")
KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA ada o'hara", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ bob")
HOSTILE = "it's \"$HOME\" `id` $(id) \\ #\n  B2CT_KIND='x'\t; é"
CONTEXT = {
    "NETWORK": "YES",
    "SET_HOSTNAME": "worker-17",
    "SSH_PUBLIC_KEY": "\n".join(KEYS),
    "TARGET": "hda",
    "B2CT_SITE": HOSTILE,
}
"""As the front-end fills it in for a virtual machine, but for the user-data."""


def user_data(bundle: str) -> str:
    return Assets().read_text(f"templates/{bundle}/user-data.yaml")


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def guest(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with start_guest(tmp_path_factory.mktemp("guest") / "system") as machine:
        contextualize(machine, {**CONTEXT, **carry(user_data(bundle))})
        yield machine


def test_its_schema_takes_the_user_data(bundle: str, guest: Container) -> None:
    write(guest, "/root/user-data.yaml", user_data(bundle))
    said = guest.tell("cloud-init", "schema", "--config-file", "/root/user-data.yaml")
    assert said.startswith("Valid cloud-config")


def test_the_files_are_what_the_user_data_says(bundle: str, guest: Container) -> None:
    wanted = {
        item["path"]: {"mode": item["permissions"], "owner": "0:0", "content": item["content"]}
        for item in yaml.safe_load(user_data(bundle))["write_files"]
    }
    assert say_files(guest, wanted) == wanted


def test_the_commands_start_and_enable_what_they_name(bundle: str, guest: Container) -> None:
    services = ["b2ct-vm-agent.service", *(["squid.service"] if bundle == "squid" else [])]
    for service in services:
        assert guest.tell("systemctl", "is-enabled", service) == "enabled\n"
        assert guest.tell("systemctl", "is-active", service) == "active\n"


def test_the_commands_can_run_again(guest: Container) -> None:
    guest.tell("sh", "-e", RUNCMD)
    settle(guest)
    assert guest.tell("systemctl", "is-active", "b2ct-vm-agent.service") == "active\n"


def test_nothing_went_wrong_on_the_way(guest: Container) -> None:
    result = json.loads(guest.tell("cat", "/run/cloud-init/result.json"))["v1"]
    assert result == {
        "datasource": "DataSourceOpenNebula [seed=/var/lib/cloud/seed/opennebula][dsmode=net]",
        "errors": [],
    }


def test_hostname_keys_and_values_arrive(guest: Container) -> None:
    assert guest.tell("hostname") == "worker-17\n"
    keys = guest.tell("cat", "/home/debian/.ssh/authorized_keys").splitlines()
    assert set(KEYS) <= set(keys)
    seen = json.loads(guest.tell("cloud-init", "query", "ds"))["meta_data"]
    assert seen["B2CT_SITE"] == HOSTILE
