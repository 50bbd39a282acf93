"""Decides what a kickstart makes of a virtual machine: an EL guest's image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import UsageError
from b2ct.plan.make import media_device
from b2ct.plan.media import PRODUCTS
from b2ct.plan.model import Account, Repository, RootAccount
from b2ct.site.types import Distro

if TYPE_CHECKING:
    from b2ct.plan.customization import Customization
    from b2ct.plan.generation import Distribution, Generation, Guest
    from b2ct.plan.image import ImageDescription
    from b2ct.plan.iso_facts import IsoFacts

KICKSTART_LABEL = "B2CT-KS"
"""Volume id of the CD that carries the kickstart."""

KICKSTART_PATH = "ks.cfg"

LOCKED = RootAccount("", (), "prohibit-password")
"""No password opens the account."""


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """An EL guest, decided; what has the same name as in a host's plan is written by the same snippets."""

    title: str
    generation: Generation
    guest: Guest
    media_device: str
    """The install medium, as ``harddrive --partition=`` names it."""
    install_url: str
    """Where the installer gets packages; empty: the medium."""
    install_repositories: tuple[Repository, ...]
    customization: Customization
    """What ``%post`` does."""
    language: str = "en_US.UTF-8"
    keyboard: str = "us"
    timezone: str = "Etc/UTC"
    ntp: tuple[str, ...] = ()
    proxy: str = ""
    root: RootAccount = LOCKED
    accounts: tuple[Account, ...] = ()


def make_guest_plan(
    description: ImageDescription, iso: IsoFacts, generation: Generation, customization: Customization
) -> GuestPlan:
    """Decide how the guest is installed from the stock ISO ``iso``.

    Raises:
        UsageError: the ISO is another release's or distribution's, or nothing has the packages.
    """
    if description.release.split(".")[0] != str(iso.generation):
        found = f"{iso.product} {iso.version}"
        raise UsageError(f"{iso.path} holds {found}, and {description.name} is made of EL {description.release}")
    if generation.guest is None:
        raise UsageError(f"no images are made of EL{generation.el}", hint="of EL 8, 9 and 10 they are")
    repositories = () if iso.is_dvd else _repositories(iso, generation)
    return GuestPlan(
        title=description.title,
        generation=generation,
        guest=generation.guest,
        media_device=media_device(iso.volume_id),
        install_url=repositories[0].url if repositories else "",
        install_repositories=repositories[1:],
        customization=customization,
    )


def make_boot_arguments(volume_id: str) -> str:
    """Return the installer's kernel arguments (Anaconda's boot options): the two CDs are found by their labels.

    Nothing of the installation is left in the guest (``inst.nosave``), and nothing is asked.
    """
    words = (
        f"inst.stage2=hd:{media_device(volume_id)}",
        f"inst.ks=hd:{media_device(KICKSTART_LABEL)}:/{KICKSTART_PATH}",
        "inst.cmdline",
        "inst.nosave=all",
        "console=ttyS0,115200n8",
    )
    return " ".join(words)


def _distribution(iso: IsoFacts, generation: Generation) -> Distribution:
    for distro, found in PRODUCTS.items():
        if re.search(found, iso.product) and Distro(distro) in generation.distributions:
            return generation.distributions[Distro(distro)]
    raise UsageError(f"{iso.path}: {iso.product} {iso.version} is no distribution that B2CT knows")


def _repositories(iso: IsoFacts, generation: Generation) -> tuple[Repository, ...]:
    """Return the distribution's repositories on its public mirror; of the newest minor version."""
    distribution = _distribution(iso, generation)
    if not distribution.mirror:
        raise UsageError(f"{iso.product} has no public mirror", hint="take its DVD ISO, which carries the packages")
    folder = distribution.version.format(major=generation.el, version=iso.version)
    return tuple(
        Repository(item.name, f"{distribution.mirror}/{item.path.format(version=folder, arch=iso.arch)}", "")
        for item in distribution.repositories
        if item.on_media
    )
