"""What is done inside a guest that its distributor made, or its installer, to make it a golden image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.plan.image import CVMFS

if TYPE_CHECKING:
    from b2ct.plan.artifact import Artifact
    from b2ct.plan.image import Family, ImageDescription


@dataclass(frozen=True, slots=True)
class Customization:
    """What a guest gets."""

    family: Family
    mark: str
    """Word that begins the guest's lines for us on its second serial port; nobody else can know it."""
    packages: tuple[str, ...] = ()
    """Of the distribution."""
    repository_packages: tuple[str, ...] = ()
    """Of the repositories that are among the files."""
    files: tuple[Artifact, ...] = ()
    """Files of the guest: the agent's, package sources and their keys."""
    units: tuple[str, ...] = ()
    """Units to enable."""
    warm: tuple[str, ...] = ()
    """CVMFS repositories whose catalogues are fetched."""

    @property
    def cvmfs(self) -> bool:
        """True when the CVMFS client is among the packages."""
        return CVMFS in self.repository_packages


def make_customization(
    description: ImageDescription,
    mark: str,
    files: tuple[Artifact, ...],
    units: tuple[str, ...],
    *,
    with_repositories: bool,
) -> Customization:
    """Decide what a guest of this description gets; ``files`` and ``units`` are the agent's and the repositories'."""
    wanted = description.repository_packages if with_repositories else ()
    return Customization(
        family=description.family,
        mark=mark,
        packages=description.packages,
        repository_packages=wanted,
        files=files,
        units=units,
        warm=description.warm if CVMFS in wanted else (),
    )
