"""What tells one stock install ISO from another: generation, names, volume id, which files it carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StockKind(StrEnum):
    """The stock install ISOs that have a look-alike."""

    EL6_BOOT = "el6-boot"
    EL7_BOOT = "el7-boot"
    EL7_DVD = "el7-dvd"
    EL8_BOOT = "el8-boot"
    EL8_DVD = "el8-dvd"
    EL9_BOOT = "el9-boot"
    EL9_DVD = "el9-dvd"
    EL10_BOOT = "el10-boot"
    EL10_DVD = "el10-dvd"

    @property
    def generation(self) -> int:
        """EL major version, 6 to 10."""
        return int(self.removeprefix("el").split("-")[0])

    @property
    def is_dvd(self) -> bool:
        """Whether it carries packages."""
        return self.endswith("-dvd")


@dataclass(frozen=True, slots=True)
class Release:
    """One stock ISO: its kind and the names that stand in it."""

    kind: StockKind
    product: str
    """As menus and .treeinfo spell it: ``AlmaLinux``, ``Rocky Linux``."""
    version: str
    """``9.6``, or ``7`` alone where the distribution says no more."""

    @property
    def volume_id(self) -> str:
        r"""As the distributions choose it; blanks in it (CentOS 7) stand as ``\x20`` in boot arguments."""
        if self.kind.generation == 6:
            return "CentOS"  # anaconda's mk-images of EL6 gives boot.iso the product's name alone
        if self.kind.generation == 7:
            return f"{self.product} {self.version} x86_64"
        return f"{_SHORT.get(self.product, self.product)}-{self.version.replace('.', '-')}-x86_64-dvd"

    @property
    def title(self) -> str:
        """Product and version, as menus show them."""
        return f"{self.product} {self.version}"

    @property
    def stage2_path(self) -> str:
        """Where the installer's image lies."""
        return "LiveOS/squashfs.img" if self.kind.generation == 7 else "images/install.img"


_SHORT = {"Rocky Linux": "Rocky", "CentOS Stream": "CentOS-Stream", "Red Hat Enterprise Linux": "RHEL"}

_USUAL = {
    6: ("CentOS", "6.7"),
    7: ("CentOS", "7"),
    8: ("Rocky Linux", "8.10"),
    9: ("AlmaLinux", "9.6"),
    10: ("Rocky Linux", "10.1"),
}


def make_release(kind: StockKind, product: str | None = None, version: str | None = None) -> Release:
    """The release that ``kind`` imitates, with another product or version when told."""
    usual = _USUAL[kind.generation]
    return Release(kind, product or usual[0], version or usual[1])
