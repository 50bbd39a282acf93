"""Decides what stands in one copy of a boot menu: our entries, made after the example of the stock ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from b2ct.errors import IsoError, UsageError
from b2ct.plan.iso_facts import MenuSyntax
from b2ct.plan.media import KICKSTART_IMAGE, LOCAL_DISK, UPDATES_IMAGE
from b2ct.plan.menus import parse_menu
from b2ct.site.types import SiteModel

if TYPE_CHECKING:
    from b2ct.assets import Assets
    from b2ct.plan.iso_facts import MenuFile
    from b2ct.plan.media import BootEntry, MediaPlan
    from b2ct.plan.menus import MenuEntry

SPECIAL = re.compile(
    r"(inst\.|rd\.live\.)?(rescue|check|mediacheck|nomodeset|xdriver|text|askmethod|fips)(=.*)?|.*memtest.*"
)
"""Kernels and kernel arguments of stock entries that do not start a plain installation."""


class BootLayout(SiteModel):
    """How the install media of a generation are told what to do: ``iso/layouts/elN.yaml``."""

    kickstart_argument: str
    """Name of the argument that names the kickstart."""
    arguments: tuple[str, ...]
    """Arguments that our entries need besides those of the stock entry; ``{label}`` is the volume id, escaped."""
    dvd_arguments: tuple[str, ...]
    """The same, on media that carry packages."""
    updates_argument: str
    """Name of the argument that names an updates image."""


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry of ours, ready to be written."""

    id: str
    title: str
    kernel_command: str
    kernel: str
    initrd_command: str
    initrds: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MenuEdit:
    """What changes in one copy of a boot menu."""

    items: tuple[MenuItem, ...]
    boots_local_disk: bool
    """Whether this boot loader can boot the machine's own disk."""
    default_id: str
    default_index: int
    """Position of the default entry, the local disk's entry (if there is one) being the first."""
    timeout_s: int | None
    """Seconds until the default entry starts; None waits for ever."""
    serial: tuple[int, int] | None
    old_label: str
    new_label: str


def load_boot_layout(assets: Assets, generation: int) -> BootLayout:
    """Return the boot layout of an EL generation, 6 to 10.

    Raises:
        UsageError: a site's own copy of the file is wrong.
    """
    name = f"iso/layouts/el{generation}.yaml"
    try:
        return BootLayout.model_validate(yaml.safe_load(assets.read_text(name)))
    except (ValidationError, yaml.YAMLError) as error:
        raise UsageError(f"{name}: {error}", hint="b2ct eject --list shows the data files as shipped") from error


def make_menu_edit(file: MenuFile, plan: MediaPlan, layout: BootLayout) -> MenuEdit:
    """Decide what one copy of a boot menu gets.

    Raises:
        IsoError: the menu has no entry that starts an installation.
    """
    stock = _install_entry(file)
    if stock is None:
        hint = "B2CT makes its entries after the stock one"
        raise IsoError(f"{file.path} in the {file.home} has no entry that starts an installation", hint=hint)
    local = file.syntax is not MenuSyntax.GRUB_LEGACY
    ids = ([LOCAL_DISK] if local else []) + [entry.id for entry in plan.entries]
    return MenuEdit(
        items=tuple(_item(file, stock, entry, plan, layout) for entry in plan.entries),
        boots_local_disk=local,
        default_id=plan.default_id,
        default_index=ids.index(plan.default_id) if plan.default_id in ids else 0,
        timeout_s=plan.timeout_s if plan.default_id in ids else None,
        serial=plan.serial,
        old_label=plan.stock_volume_id,
        new_label=plan.volume_id,
    )


def _install_entry(file: MenuFile) -> MenuEntry | None:
    """Return the stock entry that starts a plain installation, or None."""
    for entry in parse_menu(file).entries:
        words = (entry.kernel, *entry.arguments)
        ours = any("/b2ct/" in word for word in words)
        if entry.kernel_command and entry.initrds and not ours and not any(SPECIAL.fullmatch(word) for word in words):
            return entry
    return None


def escape_label(label: str) -> str:
    r"""Return a volume id as kernel arguments name it: Anaconda reads ``\x20`` as a blank."""
    return label.replace(" ", r"\x20")


def _item(file: MenuFile, stock: MenuEntry, entry: BootEntry, plan: MediaPlan, layout: BootLayout) -> MenuItem:
    label = escape_label(plan.volume_id)
    arguments = [
        word.replace(f"LABEL={escape_label(plan.stock_volume_id)}", f"LABEL={label}") for word in stock.arguments
    ]
    removed = set(plan.removed_arguments)
    arguments = [word for word in arguments if not {word, word.split("=", 1)[0]} & removed]
    names = removed | {word.split("=", 1)[0] for word in arguments}
    wanted = [*layout.arguments, *(layout.dvd_arguments if plan.is_dvd else ())]
    arguments += [word.replace("{label}", label) for word in wanted if word.split("=", 1)[0] not in names]
    in_initrd = plan.kickstart_in_initrd and file.syntax is not MenuSyntax.GRUB_LEGACY
    source = "file:" if in_initrd else f"hd:LABEL={label}:"
    arguments.append(f"{layout.kickstart_argument}={source}/{entry.kickstart}")
    if plan.updates:
        arguments.append(f"{layout.updates_argument}=hd:LABEL={label}:/{UPDATES_IMAGE}")
    arguments += entry.arguments
    return MenuItem(
        id=entry.id,
        title=entry.title,
        kernel_command=stock.kernel_command,
        kernel=stock.kernel,
        initrd_command=stock.initrd_command,
        initrds=(*stock.initrds, *([f"/{KICKSTART_IMAGE}"] if in_initrd else [])),
        arguments=tuple(arguments),
    )
