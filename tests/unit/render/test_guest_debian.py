"""The files of a Debian guest: what cloud-init, apt and the boot read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from b2ct.plan.guest_debian import make_repository_source, make_sources
from b2ct.render.disk import render_grub_config
from b2ct.render.guest_debian import render_early_files, render_late_files, render_source, render_sources
from b2ct.render.quoting import QuotingError
from tests.unit.plan.images import DESCRIPTION, PLAN

if TYPE_CHECKING:
    from b2ct.plan.artifact import Artifact

LATE = {file.path: file for file in render_late_files(PLAN)}
EARLY = {file.path: file for file in render_early_files(PLAN)}


def text(file: Artifact) -> str:
    return file.data.decode()


def cloud_config() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(text(LATE["etc/cloud/cloud.cfg.d/95-b2ct.cfg"]))
    return config


def test_only_context_cds_are_asked() -> None:
    assert cloud_config()["datasource_list"] == ["OpenNebula", "NoCloud", "None"]
    # ds-identify reads lines, not YAML
    assert "\ndatasource_list: [ OpenNebula, NoCloud, None ]\n" in text(LATE["etc/cloud/cloud.cfg.d/95-b2ct.cfg"])
    assert text(LATE["etc/cloud/ds-identify.cfg"]) == "policy: enabled\n"


def test_root_grows_and_has_the_context_s_key() -> None:
    config = cloud_config()
    assert {"growpart", "resizefs", "ssh", "write-files", "set_hostname"} <= set(config["cloud_init_modules"])
    assert "runcmd" in config["cloud_config_modules"]
    assert "scripts-user" in config["cloud_final_modules"]
    assert config["users"] == ["root"]
    assert config["disable_root"] is False


def test_every_guest_finds_its_own_machine_id() -> None:
    assert LATE["etc/machine-id"].data == b""


def test_the_same_uuid_is_mounted_booted_and_searched() -> None:
    assert text(EARLY["etc/fstab"]).startswith(f"UUID={PLAN.root.uuid} / ext4 ")
    assert f"root=UUID={PLAN.root.uuid} ro console=tty0 console=ttyS0,115200n8\n" in render_grub_config(PLAN)


def test_sources_are_signed_by_their_own_keys() -> None:
    lines = [text(file) for file in render_sources(make_sources(DESCRIPTION))]
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert lines[0] == f"deb [signed-by={key}] http://mirror.example/debian bookworm main\n"
    assert render_source(make_repository_source(DESCRIPTION.repositories[0])) == (
        "deb [signed-by=/etc/apt/keyrings/cernvm.gpg] http://cvmfs.example/apt bookworm-prod main"
    )


@pytest.mark.parametrize(
    "hostile", ["http://x\ndeb http://evil y z", "http://x y", "[trusted=yes]", "x]", "#", "", "$(id)"]
)
@pytest.mark.parametrize("where", ["url", "suite", "keyring"])
def test_a_value_cannot_become_another_source_or_option(where: str, hostile: str) -> None:
    source = replace(make_sources(DESCRIPTION)[0], **{where: hostile})  # type: ignore[arg-type] # all three are str
    with pytest.raises(QuotingError):
        render_source(source)
