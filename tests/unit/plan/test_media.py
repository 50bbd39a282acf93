"""What the install media offer, and which stock ISOs and options are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b2ct.errors import UsageError
from b2ct.plan.iso_facts import EspHome, IsoFacts
from b2ct.plan.media import LOCAL_DISK, MediaOptions, make_media_plan
from b2ct.site.model import Site
from tests.unit.site.sites import SITE, changed

FACTS = IsoFacts(
    path="stock.iso",
    size=1,
    volume_id="AlmaLinux-9-6-x86_64-dvd",
    product="AlmaLinux",
    version="9.6",
    arch="x86_64",
    generation=9,
    esp_home=EspHome.EMBEDDED,
    is_dvd=False,
    menus=(),
    has_media_check=True,
)


def site(path: str = "language", value: object = "en_US.UTF-8") -> Site:
    return Site.model_validate(changed(path, value))


def test_every_host_and_the_interactive_entry_are_offered_and_the_default_erases_nothing() -> None:
    plan = make_media_plan(Site.model_validate(SITE), FACTS, MediaOptions())
    assert [(entry.id, entry.kickstart) for entry in plan.entries] == [
        ("b2ct-host-cn01", "b2ct/cn01.ks"),
        ("b2ct-host-hv01", "b2ct/hv01.ks"),
        ("b2ct-host-ask", "b2ct/ask.ks"),
    ]
    assert plan.default_id == LOCAL_DISK


def test_titles_say_what_is_erased_in_the_width_that_isolinux_shows() -> None:
    plan = make_media_plan(Site.model_validate(SITE), FACTS, MediaOptions())
    assert [entry.title for entry in plan.entries] == [
        "Install cn01 (frontend): ERASES disk S3Z8NB0K",
        "Install hv01 (node): ERASES 480 GB disk",
        "Install any host: asks for role, name, network, disk",
    ]


def test_an_ask_host_takes_the_place_of_the_interactive_entry() -> None:
    plan = make_media_plan(site("hosts", [{"name": "ask", "kernel_arguments": ["x=1"]}]), FACTS, MediaOptions())
    assert [(entry.host, entry.arguments) for entry in plan.entries] == [("ask", ("x=1",))]


def test_kernel_arguments_come_from_site_host_and_command_line_and_the_serial_console_is_the_last() -> None:
    data = changed("kernel_arguments", ["site=1"])
    data["console"] = "ttyS1,115200n8"
    data["hosts"][0]["kernel_arguments"] = ["host=1"]
    plan = make_media_plan(Site.model_validate(data), FACTS, MediaOptions(extra_arguments=("line=1",)))
    assert plan.entries[0].arguments == ("site=1", "host=1", "line=1", "console=tty0", "console=ttyS1,115200n8")
    assert plan.serial == (1, 115200)


def test_an_unattended_host_is_the_default() -> None:
    plan = make_media_plan(site(), FACTS, MediaOptions(default="hv01", timeout_s=5))
    assert (plan.default_id, plan.timeout_s) == ("b2ct-host-hv01", 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MediaOptions(default="hv99"), "no such host"),
        (MediaOptions(volume_id="A" * 33), "at most 32"),
        (MediaOptions(volume_id="MY SITE"), "only letters, digits"),
        (MediaOptions(volume_id="a:b"), "only letters, digits"),
        (MediaOptions(volume_id=""), "only letters, digits"),
    ],
)
def test_options_that_cannot_work_are_refused(options: MediaOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_media_plan(site(), FACTS, options)


@pytest.mark.parametrize(
    ("distro", "version", "product", "found", "fits"),
    [
        ("almalinux", "9", "AlmaLinux", "9.6", True),
        ("almalinux", "9.6", "AlmaLinux", "9.6", True),
        ("almalinux", "9.5", "AlmaLinux", "9.6", False),
        ("almalinux", "9.6", "Rocky Linux", "9.6", False),
        ("rocky", "9", "Rocky Linux", "9.5", True),
        ("rhel", "9", "Red Hat Enterprise Linux", "9.5", True),
        ("centos-stream", "9", "CentOS Stream", "9", True),
        ("centos-stream", "9", "AlmaLinux", "9.6", False),
    ],
)
def test_an_iso_of_another_distribution_is_refused(
    distro: str, version: str, product: str, found: str, *, fits: bool
) -> None:
    model = site("media", {"distro": distro, "version": version})
    facts = replace(FACTS, product=product, version=found)
    if fits:
        make_media_plan(model, facts, MediaOptions())
        return
    with pytest.raises(UsageError, match="the site file says"):
        make_media_plan(model, facts, MediaOptions())


def test_centos_7_and_centos_stream_are_told_apart() -> None:
    model = site("media", {"distro": "centos", "version": "7"})
    make_media_plan(model, replace(FACTS, product="CentOS", version="7", generation=7), MediaOptions())
    with pytest.raises(UsageError, match="CentOS Stream"):
        make_media_plan(model, replace(FACTS, product="CentOS Stream", version="8", generation=8), MediaOptions())
