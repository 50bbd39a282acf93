"""The kickstart of an EL guest's image: the installer's parser takes it, it is the golden one, and hard to break."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from b2ct.apply.kickstart_check import check_kickstarts
from b2ct.assets import Assets
from b2ct.errors import UsageError
from b2ct.plan.artifact import Artifact
from b2ct.plan.customization import make_customization
from b2ct.plan.generation import load_generation
from b2ct.plan.guest_el import make_boot_arguments, make_guest_plan
from b2ct.plan.image import load_image_description
from b2ct.plan.iso_facts import EspHome, IsoFacts
from b2ct.render.environment import TemplateError
from b2ct.render.guest_el import render_guest_kickstart
from b2ct.render.quoting import QuotingError, base64_lines
from b2ct.render.user_data import render_helpers, render_yum_repositories

if TYPE_CHECKING:
    from b2ct.plan.guest_el import GuestPlan

GOLDEN = Path(__file__).parent / "golden"
ASSETS = Assets()
HOSTILE = "x'; reboot #\n%end\n%post\nreboot"


def make_iso(el: int, **changes: object) -> IsoFacts:
    facts = IsoFacts(
        path="boot.iso",
        size=1,
        volume_id=f"AlmaLinux-{el}-6-x86_64-dvd",
        product="AlmaLinux",
        version=f"{el}.6",
        arch="x86_64",
        generation=el,
        esp_home=EspHome.EMBEDDED,
        is_dvd=False,
        menus=(),
        has_media_check=False,
    )
    return replace(facts, **changes)  # type: ignore[arg-type] # fields of the dataclass


def make_plan(el: int, **iso: object) -> GuestPlan:
    description = load_image_description(ASSETS, f"worker-el{el}").model_copy(update={"packages": ("jq",)})
    files = (*render_yum_repositories(description.repositories), Artifact("usr/libexec/b2ct-vm/agent", b"agent", 0o755))
    units = ("b2ct-vm-agent.service",)
    customization = make_customization(description, "B2CT-IMAGE-0", files, units, with_repositories=True)
    return make_guest_plan(description, make_iso(el, **iso), load_generation(ASSETS, el), customization)


def render(plan: GuestPlan) -> str:
    return render_guest_kickstart(plan, ASSETS).data.decode()


@pytest.mark.parametrize("el", [8, 9, 10])
def test_the_installers_parser_takes_the_kickstart(el: int) -> None:
    plan = make_plan(el)
    check_kickstarts([render_guest_kickstart(plan, ASSETS)], plan.generation.pykickstart)


@pytest.mark.parametrize("el", [8, 9, 10])
def test_the_kickstart_is_the_golden_one(el: int) -> None:
    # the helpers change more often than the kickstart does; without them the difference is easy to read
    text = render(make_plan(el))
    for helper in render_helpers(ASSETS):
        text = text.replace(base64_lines(helper.data), f"<{helper.path}>")
    golden = GOLDEN / f"guest-el{el}.ks"
    assert text == golden.read_text(), f"if that is wanted, write it to {golden}"


@pytest.mark.parametrize("el", [8, 9, 10])
def test_partitions_boot_with_both_firmwares_and_the_root_grows_last(el: int) -> None:
    parser = KickstartParser(makeVersion(f"RHEL{el}"))
    parser.readKickstartFromString(render(make_plan(el)))
    parts = [(part.mountpoint, part.fstype) for part in parser.handler.partition.partitions]
    assert parts == [("biosboot", "biosboot"), ("/boot/efi", "efi"), ("/", "ext4")]
    assert parser.handler.rootpw.lock


def test_packages_come_from_the_mirror_or_from_the_dvd() -> None:
    assert 'url --url="https://repo.almalinux.org/almalinux/9/BaseOS/x86_64/os/"' in render(make_plan(9))
    dvd = render(make_plan(9, is_dvd=True))
    assert "url --url" not in dvd
    assert 'harddrive --partition="LABEL=AlmaLinux-9-6-x86_64-dvd" --dir=/' in dvd


def test_every_file_arrives_as_it_is() -> None:
    text = render(make_plan(9))
    found = dict(re.findall(r"^b2ct_unpack '([^']+)' '\d+' <<'B2CT'\n(.*?)\nB2CT$", text, re.MULTILINE | re.DOTALL))
    assert base64.b64decode(found["/usr/libexec/b2ct-vm/agent"]) == b"agent"
    assert b"baseurl=https://cvmrepo.s3.cern.ch/" in base64.b64decode(found["/etc/yum.repos.d/cernvm.repo"])
    assert base64.b64decode(found["/run/b2ct-image/clean.sh"]) == Path("templates/images/clean.sh").read_bytes()


def test_an_empty_file_is_written_too() -> None:
    assert base64_lines(b"") == ""
    assert base64.b64decode(base64_lines(bytes(range(256)) * 9)) == bytes(range(256)) * 9


@pytest.mark.parametrize("field", ["packages", "repository_packages", "units", "mark"])
def test_hostile_values_never_become_lines_of_their_own(field: str) -> None:
    plan = make_plan(9)
    value = HOSTILE if field == "mark" else (HOSTILE,)
    plan = replace(plan, customization=replace(plan.customization, **{field: value}))  # type: ignore[arg-type] # fields
    try:
        text = render(plan)
    except (QuotingError, TemplateError):
        return
    parser = KickstartParser(makeVersion("RHEL9"))
    parser.readKickstartFromString(text)
    assert len(parser.handler.scripts) == 2
    assert "\nreboot" not in text


def test_another_iso_is_refused() -> None:
    with pytest.raises(UsageError, match="worker-el9 is made of EL 9"):
        make_guest_plan(
            load_image_description(ASSETS, "worker-el9"),
            make_iso(8),
            load_generation(ASSETS, 8),
            make_plan(8).customization,
        )
    with pytest.raises(UsageError, match="no distribution that B2CT knows"):
        make_plan(9, product="Fedora")
    with pytest.raises(UsageError, match="has no public mirror"):
        make_plan(9, product="Red Hat Enterprise Linux")


def test_images_are_not_made_of_old_generations() -> None:
    description = load_image_description(ASSETS, "worker-el9").model_copy(update={"release": "7"})
    with pytest.raises(UsageError, match="no images are made of EL7"):
        make_guest_plan(description, make_iso(7), load_generation(ASSETS, 7), make_plan(9).customization)


def test_the_kernel_is_told_where_kickstart_and_stage_2_are() -> None:
    words = make_boot_arguments("CentOS 7 x86_64").split()
    assert "inst.ks=hd:LABEL=B2CT-KS:/ks.cfg" in words
    assert r"inst.stage2=hd:/dev/disk/by-label/CentOS\x207\x20x86_64" in words
    assert "inst.stage2=hd:LABEL=AlmaLinux-9-6-x86_64-dvd" in make_boot_arguments("AlmaLinux-9-6-x86_64-dvd").split()
