"""The boot menus of stock install ISOs, as the look-alikes have them, and what we make of them for a site."""

from __future__ import annotations

from b2ct.assets import Assets
from b2ct.plan.iso_facts import EspHome, IsoFacts, MenuFile, MenuHome, MenuSyntax
from b2ct.plan.media import MediaOptions, make_media_plan
from b2ct.render.bootmenu import render_bootmenus
from b2ct.site.model import Site
from tests.rigs.media import DISTROS
from tests.rigs.stock_menus import render_grub, render_grub_legacy, render_isolinux
from tests.rigs.stock_release import Release, StockKind, make_release
from tests.unit.site.sites import changed

KINDS = (StockKind.EL6_BOOT, StockKind.EL7_BOOT, StockKind.EL8_DVD, StockKind.EL9_BOOT, StockKind.EL10_DVD)
"""One kind of each generation."""

PRODUCTS = {word: product for product, word in DISTROS.items()}
"""The product name of each distribution's word in the site file."""


def site_release(site: Site, *, is_dvd: bool) -> Release:
    """Return the release of the stock ISO that a site means."""
    kind = StockKind(f"el{site.media.generation}-{'dvd' if is_dvd else 'boot'}")
    return make_release(kind, PRODUCTS[site.media.distro], site.media.version)


def stock_menus(release: Release) -> tuple[MenuFile, ...]:
    """Return the different menus of a stock ISO, one copy each."""
    generation = release.kind.generation
    grub = MenuFile(MenuHome.TREE, "EFI/BOOT/grub.cfg", MenuSyntax.GRUB2, render_grub(release, bios=False))
    if generation == 10:
        bios = MenuFile(MenuHome.TREE, "boot/grub2/grub.cfg", MenuSyntax.GRUB2, render_grub(release, bios=True))
        return (grub, bios)
    isolinux = MenuFile(MenuHome.TREE, "isolinux/isolinux.cfg", MenuSyntax.ISOLINUX, render_isolinux(release))
    if generation == 6:
        legacy = render_grub_legacy(release)
        return (isolinux, MenuFile(MenuHome.ESP, "EFI/BOOT/BOOTX64.conf", MenuSyntax.GRUB_LEGACY, legacy))
    return (isolinux, grub)


def stock_facts(release: Release, menus: tuple[MenuFile, ...]) -> IsoFacts:
    """Return what probing a stock ISO with these menus would find."""
    return IsoFacts(
        path="stock.iso",
        size=1,
        volume_id=release.volume_id,
        product=release.product,
        version=release.version,
        arch="x86_64",
        generation=release.kind.generation,
        esp_home=EspHome.APPENDED if release.kind.generation == 10 else EspHome.EMBEDDED,
        is_dvd=release.kind.is_dvd,
        menus=menus,
        has_media_check=True,
    )


def render_site_menus(
    site: Site, release: Release, options: MediaOptions | None = None, menus: tuple[MenuFile, ...] | None = None
) -> list[MenuFile]:
    """Return a site's menus, made from those of a stock ISO (or from ``menus``)."""
    menus = menus or stock_menus(release)
    plan = make_media_plan(site, stock_facts(release, menus), options or MediaOptions())
    tree, esp = render_bootmenus(menus, plan, Assets())
    done = {(MenuHome.TREE, artifact.path): artifact.data for artifact in tree}
    done |= {(MenuHome.ESP, artifact.path): artifact.data for artifact in esp}
    return [MenuFile(file.home, file.path, file.syntax, done[file.home, file.path]) for file in menus]


def make_test_site(release: Release) -> Site:
    """Return the unit tests' site, with this distribution."""
    media = {"distro": DISTROS[release.product], "version": release.version}
    return Site.model_validate(changed("media", media))
