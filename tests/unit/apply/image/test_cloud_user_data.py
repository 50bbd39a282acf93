"""The user-data that makes a golden image of a stock cloud image: files byte for byte, one command, hostile values."""

from __future__ import annotations

import base64
import shlex

import pytest
import yaml

from b2ct.apply.image.from_cloud_image import read_report
from b2ct.apply.image.guest_boot import GuestError, GuestOutput, qemu_value, tail
from b2ct.assets import Assets
from b2ct.plan.artifact import Artifact
from b2ct.plan.customization import Customization, make_customization
from b2ct.plan.image import Family, load_image_description
from b2ct.render.quoting import QuotingError
from b2ct.render.user_data import render_customize_script, render_meta_data, render_user_data, render_yum_repositories

ASSETS = Assets()
HOSTILE = "x'; reboot #\n$(reboot)`reboot`\\"


def make(**changes: object) -> Customization:
    values: dict[str, object] = {"family": Family.EL, "mark": "B2CT-IMAGE-0", **changes}
    return Customization(**values)  # type: ignore[arg-type] # fields of the dataclass


def written(customization: Customization) -> dict[str, tuple[str, bytes]]:
    """What cloud-init would write: mode and content by path."""
    document = yaml.safe_load(render_user_data(customization, ASSETS))
    return {f["path"]: (f["permissions"], base64.b64decode(f["content"])) for f in document["write_files"]}


def test_files_arrive_byte_for_byte_with_their_modes() -> None:
    files = (Artifact("etc/a b", bytes(range(256)), 0o600), Artifact("usr/bin/x", b"#!/bin/sh\n", 0o755))
    found = written(make(files=files))
    assert found["/etc/a b"] == ("0600", bytes(range(256)))
    assert found["/usr/bin/x"] == ("0755", b"#!/bin/sh\n")
    assert found["/run/b2ct-image/clean.sh"][1] == ASSETS.path("templates/images/clean.sh").read_bytes()


def test_it_is_cloud_config_with_one_command_and_no_user() -> None:
    text = render_user_data(make(), ASSETS)
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert document["users"] == []
    assert [command[-1] for command in document["runcmd"]] == ["/run/b2ct-image/customize.sh"]
    assert set(document) == {"users", "ssh_pwauth", "write_files", "runcmd"}


def test_the_mark_stands_nowhere_where_cloud_init_would_show_it() -> None:
    assert "B2CT-IMAGE-0" not in render_user_data(make(), ASSETS)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("field", ["packages", "repository_packages", "units", "warm"])
def test_hostile_words_stay_words(family: Family, field: str) -> None:
    more = {"repository_packages": ("cvmfs",)} if field == "warm" else {}
    script = render_customize_script(make(family=family, **{**more, field: (HOSTILE, "-o")}), ASSETS)
    lines = [line for line in script.splitlines() if "reboot" in line]
    assert len(lines) == 1
    quoted = lines[0].replace("\\047", "'").replace("\\012", "\n").replace("\\134", "\\")
    assert "$'x" in quoted


def test_packages_are_never_options() -> None:
    script = render_customize_script(make(packages=("--nogpgcheck",)), ASSETS)
    (line,) = [line for line in script.splitlines() if line.startswith("dnf ")]
    words = shlex.split(line)
    assert words.index("--") < words.index("--nogpgcheck")


def test_each_family_uses_its_own_package_manager() -> None:
    assert "dnf" in render_customize_script(make(packages=("jq",)), ASSETS)
    debian = render_customize_script(make(family=Family.DEBIAN, packages=("jq",)), ASSETS)
    assert "apt-get" in debian
    assert "dnf" not in debian


def test_without_repositories_nothing_of_them_is_left() -> None:
    description = load_image_description(ASSETS, "worker-el9").model_copy(update={"warm": ("belle.cern.ch",)})
    without = make_customization(description, "M", (), (), with_repositories=False)
    assert (without.repository_packages, without.warm, without.cvmfs) == ((), (), False)
    assert "cvmfs" not in render_customize_script(without, ASSETS).lower()
    whole = render_customize_script(make_customization(description, "M", (), (), with_repositories=True), ASSETS)
    assert "cvmfs_config setup" in whole
    assert "warm.sh '300' 'belle.cern.ch'" in whole


def test_repositories_of_dnf() -> None:
    description = load_image_description(ASSETS, "worker-el10")
    (file,) = render_yum_repositories(description.repositories)
    assert file.path == "etc/yum.repos.d/cernvm.repo"
    assert "gpgcheck=1" in file.data.decode().splitlines()
    hostile = description.repositories[0].model_copy(update={"url": "http://a/\ngpgcheck=0"})
    with pytest.raises(QuotingError):
        render_yum_repositories([hostile])


@pytest.mark.parametrize("name", ["worker-el8", "worker-el9", "worker-el10"])
def test_the_el_workers_are_valid(name: str) -> None:
    description = load_image_description(ASSETS, name)
    assert description.family is Family.EL
    assert f"/{description.release}/" in description.source.url


def test_meta_data_is_yaml() -> None:
    assert yaml.safe_load(render_meta_data("a: b"))["instance-id"] == "a: b"


# ---- what the guest says


def said(*lines: str, console: str = "") -> GuestOutput:
    return GuestOutput(console, "".join(f"{line}\r\n" for line in lines))


def test_the_report_lists_packages() -> None:
    output = said("noise", "M step a", "M package bash 5.2-1", "M package jq 1.6", "M done")
    assert read_report(output, "M") == (("bash", "5.2-1"), ("jq", "1.6"))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            said("M step a", "E: no such package", "M failed while installing packages"),
            "failed while installing packages",
        ),
        (said("M step installing packages", "half a li"), "in the middle of its work"),
        (said("N done", console="Kernel panic"), "without doing anything; it said last:\nN done"),
        (said(console="Kernel panic\x1b[0m"), "Kernel panic"),
        (said("M done", "M failed while x"), "the guest failed while x"),
        (said(), "(nothing)"),
    ],
)
def test_only_the_mark_is_believed(output: GuestOutput, words: str) -> None:
    with pytest.raises(GuestError) as raised:
        read_report(output, "M")
    assert words in raised.value.message


def test_the_end_of_a_log_is_short_and_printable() -> None:
    text = tail("".join(f"line {n}\x1b[2J\x07\n\n" for n in range(1000)))
    assert len(text.splitlines()) == 25
    assert text.endswith("line 999[2J")


def test_commas_are_doubled_for_qemu() -> None:
    assert qemu_value("a,b=c,,") == "a,,b=c,,,,"
