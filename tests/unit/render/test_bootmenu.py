"""Our entries in the boot menus of every generation, judged by reading the result back."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2ct.assets import Assets
from b2ct.errors import B2ctError, IsoError
from b2ct.plan.iso_facts import MenuFile, MenuHome, MenuSyntax
from b2ct.plan.media import MediaOptions, make_media_plan
from b2ct.plan.menu_entries import load_boot_layout
from b2ct.plan.menus import parse_menu
from b2ct.render.bootmenu import render_bootmenus
from b2ct.render.quoting import QuotingError
from b2ct.site.model import Site
from tests.rigs.menus import KINDS, make_test_site, render_site_menus, stock_facts, stock_menus
from tests.rigs.stock_release import StockKind, make_release

if TYPE_CHECKING:
    from pathlib import Path

    from b2ct.plan.artifact import Artifact


def rendered(
    kind: StockKind, options: MediaOptions | None = None, menus: tuple[MenuFile, ...] | None = None
) -> list[MenuFile]:
    release = make_release(kind)
    return render_site_menus(make_test_site(release), release, options, menus)


@pytest.mark.parametrize("kind", KINDS)
def test_our_entries_come_first_and_the_stock_entries_stay_as_they_are(kind: StockKind) -> None:
    for before, after in zip(stock_menus(make_release(kind)), rendered(kind), strict=True):
        old = [(entry.title, entry.kernel, entry.arguments) for entry in parse_menu(before).entries]
        new = [(entry.title, entry.kernel, entry.arguments) for entry in parse_menu(after).entries]
        assert new[-len(old) :] == old
        ours = [title for title, *_ in new[: -len(old)]]
        local = [] if after.syntax is MenuSyntax.GRUB_LEGACY else ["Boot from the local disk"]
        assert ours[: len(local)] == local
        assert [title.split(":")[0] for title in ours[len(local) :]] == [
            "Install cn01 (frontend)",
            "Install hv01 (node)",
            "Install any host",
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_erased_unless_somebody_chooses_it(kind: StockKind) -> None:
    for file in rendered(kind):
        menu = parse_menu(file)
        if file.syntax is MenuSyntax.GRUB_LEGACY:
            assert menu.timeout_s is None
        else:
            assert (menu.default and menu.default.title, menu.timeout_s) == ("Boot from the local disk", 60)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unattended_host_starts_by_itself(kind: StockKind) -> None:
    for file in rendered(kind, MediaOptions(default="hv01", timeout_s=7)):
        menu = parse_menu(file)
        assert menu.timeout_s == 7
        assert menu.default is not None
        assert menu.default.title.startswith("Install hv01")


@pytest.mark.parametrize("kind", KINDS)
def test_the_kickstart_is_named_as_the_generation_needs_it(kind: StockKind) -> None:
    label = make_release(kind).volume_id.replace(" ", r"\x20")
    name = "ks" if kind.generation == 6 else "inst.ks"
    for file in rendered(kind):
        entry = next(entry for entry in parse_menu(file).entries if "hv01" in entry.title)
        assert f"{name}=hd:LABEL={label}:/b2ct/hv01.ks" in entry.arguments
        stage2 = "stage2" if kind.generation == 6 else "inst.stage2"
        assert any(word.startswith(f"{stage2}=hd:LABEL={label}") for word in entry.arguments)
        assert not any("check" in word for word in entry.arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_a_menu_that_has_our_entries_gets_them_anew(kind: StockKind) -> None:
    once = rendered(kind)
    assert rendered(kind, menus=tuple(once)) == once


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_volume_id_is_named_everywhere(kind: StockKind) -> None:
    old = make_release(kind).volume_id
    for file in rendered(kind, MediaOptions(volume_id="TORINO")):
        text = file.data.decode()
        labels = re.findall(r"LABEL=([^:\s]+)|search .*-l '([^']+)'", text)
        assert {label for pair in labels for label in pair if label} == {"TORINO"}
        assert old.replace(" ", r"\x20") not in text or old == "CentOS"


@pytest.mark.parametrize("kind", KINDS)
def test_kickstarts_can_come_from_a_second_initrd(kind: StockKind) -> None:
    for file in rendered(kind, MediaOptions(kickstart_in_initrd=True)):
        entry = next(entry for entry in parse_menu(file).entries if "hv01" in entry.title)
        in_initrd = file.syntax is not MenuSyntax.GRUB_LEGACY
        assert ("/b2ct/ks.img" in entry.initrds) is in_initrd
        assert any(word.endswith("ks=file:/b2ct/hv01.ks") for word in entry.arguments) is in_initrd


def test_arguments_can_be_added_and_removed() -> None:
    options = MediaOptions(
        extra_arguments=("mpath=1", "inst.stage2=http://x/"), removed_arguments=("quiet", "inst.stage2"), updates=True
    )
    for file in rendered(StockKind.EL9_BOOT, options):
        entry = next(entry for entry in parse_menu(file).entries if "hv01" in entry.title)
        label = make_release(StockKind.EL9_BOOT).volume_id
        assert entry.arguments == (
            f"inst.ks=hd:LABEL={label}:/b2ct/hv01.ks",
            f"inst.updates=hd:LABEL={label}:/images/updates.img",
            "mpath=1",
            "inst.stage2=http://x/",
        )


def test_no_host_takes_the_place_of_the_local_disk() -> None:
    for kind in KINDS:
        release = make_release(kind)
        data = make_test_site(release).model_dump(mode="json", exclude_none=True)
        data["hosts"][0]["name"] = "local"
        for file in render_site_menus(Site.model_validate(data), release):
            menu = parse_menu(file)
            if file.syntax is MenuSyntax.GRUB_LEGACY:
                assert menu.timeout_s is None
            else:
                assert menu.default is not None
                assert menu.default.title == "Boot from the local disk"


def test_a_label_with_a_word_of_special_entries_hides_no_entry() -> None:
    text = (
        b"default vesamenu.c32\nlabel linux\n kernel vmlinuz\n"
        b" append initrd=initrd.img inst.stage2=hd:LABEL=healthcheck-rescue quiet\n"
    )
    menu = MenuFile(MenuHome.TREE, "isolinux/isolinux.cfg", MenuSyntax.ISOLINUX, text)
    (done,) = rendered(StockKind.EL9_BOOT, menus=(menu,))
    assert len(parse_menu(done).entries) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if %}", "grub2.j2:1"),
        ("one\n{{ nothing }}", "'nothing' is undefined"),
        (b"\xff".decode("latin-1"), "UTF-8"),
    ],
)
def test_a_template_of_the_site_that_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    own = tmp_path / "iso" / "menus" / "grub2.j2"
    own.parent.mkdir(parents=True)
    own.write_bytes(text.encode("latin-1"))
    release = make_release(StockKind.EL10_DVD)
    menus = stock_menus(release)
    plan = make_media_plan(make_test_site(release), stock_facts(release, menus), MediaOptions())
    with pytest.raises(B2ctError, match=words):
        render_bootmenus(menus, plan, Assets(tmp_path))


def test_a_boot_layout_of_the_site_that_is_wrong_is_named(tmp_path: Path) -> None:
    own = tmp_path / "iso" / "layouts" / "el9.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("kickstart_argument: [1\n")
    with pytest.raises(B2ctError, match=r"el9\.yaml"):
        load_boot_layout(Assets(tmp_path), 9)


def test_a_menu_without_an_installation_is_refused() -> None:
    menu = MenuFile(MenuHome.TREE, "isolinux/isolinux.cfg", MenuSyntax.ISOLINUX, b"default x\nlabel x\n localboot 0\n")
    with pytest.raises(IsoError, match="no entry that starts an installation"):
        rendered(StockKind.EL9_BOOT, menus=(menu,))


def test_a_bare_isolinux_prompt_gets_its_default() -> None:
    text = b"default linux\nprompt 1\ntimeout 600\nlabel linux\n kernel vmlinuz\n append initrd=initrd.img\n"
    menu = MenuFile(MenuHome.TREE, "isolinux/isolinux.cfg", MenuSyntax.ISOLINUX, text)
    (done,) = rendered(StockKind.EL6_BOOT, menus=(menu,))
    assert b"\ndefault b2ct-local\n" in done.data
    assert b"default linux" not in done.data


def _menus(artifacts: tuple[Artifact, ...]) -> list[Artifact]:
    return [artifact for artifact in artifacts if not artifact.path.endswith(".bin")]


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        "'; boot; '",
        "}\nmenuentry 'x' {",
        "\nlabel evil\n  kernel evil",
        '" $(reboot) `x` ${y} \\',
        "^^",
        "# {{ x }}",
        "\u2028",
    ]
)


@settings(max_examples=60, deadline=None)
@given(HOSTILE, st.sampled_from(KINDS))
def test_no_title_breaks_out_of_its_place(text: str, kind: StockKind) -> None:
    release = make_release(kind)
    menus = stock_menus(release)
    plan = make_media_plan(make_test_site(release), stock_facts(release, menus), MediaOptions())
    hostile = replace(plan, entries=tuple(replace(entry, title=text) for entry in plan.entries))
    try:
        tree, esp = render_bootmenus(menus, hostile, Assets())
    except QuotingError:
        assert any(not char.isprintable() for char in text)
        return
    tame, tame_esp = render_bootmenus(menus, plan, Assets())
    for ours, theirs, file in zip(_menus(tree + esp), _menus(tame + tame_esp), menus, strict=True):
        assert ours.path == theirs.path
        entries = parse_menu(replace(file, data=ours.data)).entries
        assert [entry.arguments for entry in entries] == [
            entry.arguments for entry in parse_menu(replace(file, data=theirs.data)).entries
        ]
        assert len(ours.data.splitlines()) == len(theirs.data.splitlines())
