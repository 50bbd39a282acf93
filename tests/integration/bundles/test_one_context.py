"""What one-context made of user-data, as recorded, against what we ask for and what we let through."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from b2ct.apply.repository.check import check_user_data
from b2ct.assets import Assets
from b2ct.plan.attributes import first_text
from b2ct.plan.one_grammar import parse_template
from tests.rigs.cloud_init import settle, start_guest, write
from tests.rigs.container import Container

DATA = Path(__file__).parents[2] / "data/one-context"
BUNDLES: dict[str, Any] = json.loads((DATA / "bundles.json").read_text(encoding="utf-8"))
FORMS: dict[str, Any] = json.loads((DATA / "forms.json").read_text(encoding="utf-8"))

MISTAKEN = (
    "alias",
    "colon-word",
    "comma-number",
    "date-content",
    "merge-key",
    "null-runcmd",
    "number-word",
    "owner-alone",
    "permissions-five",
    "permissions-number",
    "permissions-without-zero",
    "true-word",
    "unknown-encoding",
    "unknown-key",
)
"""Forms that one-context refuses or misreads."""

HARMLESS = ("everything-that-both-take", "append", "base64", "defer", "gzip-base64", "plain-text", "quote-in-word")

ONE_CONTEXT_UNIT = """
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=15
ExecStart=/bin/bash -ex /root/runcmd.sh
[Install]
WantedBy=multi-user.target
"""
"""How one-context runs the commands: in the order of boot where its own service stands, ended by the first failure."""


def test_every_bundle_has_a_recording() -> None:
    names = {name.split("/")[1] for name in Assets().names() if name.endswith("/user-data.yaml")}
    assert set(BUNDLES) == names


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_template_holds_the_user_data(bundle: str) -> None:
    file = f"templates/{bundle}/template.txt"
    encoded = first_text(parse_template(Assets().read_text(file), file), "CONTEXT", "USERDATA")
    assert encoded is not None
    assert base64.b64decode(encoded).decode() == Assets().read_text(f"templates/{bundle}/user-data.yaml")


@pytest.mark.parametrize("bundle", BUNDLES)
def test_one_context_does_what_the_user_data_asks_for(bundle: str) -> None:
    """A change of user-data needs a new recording: tests/data/one-context/README.md."""
    recorded = BUNDLES[bundle]
    asked = yaml.safe_load(Assets().read_text(f"templates/{bundle}/user-data.yaml"))
    files = {
        item["path"]: {"mode": item["permissions"], "owner": "0:0", "content": item["content"]}
        for item in asked["write_files"]
    }
    assert {item["owner"] for item in asked["write_files"]} == {"root:root"}
    assert recorded["user_data"] == Assets().read_text(f"templates/{bundle}/user-data.yaml")
    assert recorded["files"] == files
    assert [["systemctl", *words] for words in recorded["systemctl"]] == asked["runcmd"]
    assert (recorded["exit_start"], recorded["exit_finish"], recorded["said"]) == (0, 0, [])


@pytest.mark.parametrize(
    "form",
    MISTAKEN,
)
def test_what_one_context_mistakes_is_refused(form: str) -> None:
    recorded = FORMS[form]
    assert recorded["exit_start"] != 0 or recorded["said"]
    assert list(check_user_data(recorded["user_data"], "user-data.yaml"))


@pytest.mark.parametrize("form", HARMLESS)
def test_what_one_context_takes_is_let_through(form: str) -> None:
    recorded = FORMS[form]
    assert (recorded["exit_start"], recorded["exit_finish"], recorded["said"]) == (0, 0, [])
    assert not list(check_user_data(recorded["user_data"], "user-data.yaml"))


def test_the_first_failing_command_ends_the_others() -> None:
    assert FORMS["failing-command"]["exit_finish"] != 0
    assert FORMS["failing-command"]["files"] == {}


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with start_guest(tmp_path_factory.mktemp("guest") / "system") as machine:
        write(machine, "/etc/systemd/system/one-context.service", ONE_CONTEXT_UNIT)
        machine.tell("systemctl", "daemon-reload")
        yield machine


@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_commands_do_not_wait_for_their_own_end(bundle: str, guest: Container) -> None:
    """The agent starts after one-context, and so after these commands."""
    for name, recorded in BUNDLES[bundle]["files"].items():
        write(guest, name, recorded["content"])
    commands = "".join(f"systemctl {' '.join(words)}\n" for words in BUNDLES[bundle]["systemctl"])
    write(guest, "/root/runcmd.sh", commands)
    guest.tell("systemctl", "stop", "b2ct-vm-agent.service")
    guest.tell("systemctl", "start", "one-context.service")
    settle(guest)
    assert guest.tell("systemctl", "is-active", "b2ct-vm-agent.service") == "active\n"


def test_one_context_and_the_agent_boot_together(guest: Container) -> None:
    guest.tell("systemctl", "enable", "one-context.service", "b2ct-vm-context.service", "b2ct-vm-agent.service")
    done = guest.run(["systemd-analyze", "verify", "multi-user.target"])
    assert b"ordering cycle" not in done.stdout + done.stderr
