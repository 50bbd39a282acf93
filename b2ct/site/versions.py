"""Which distributions exist in which versions, and which OpenNebula runs on them."""

from __future__ import annotations

from b2ct.site.types import Distro

DISTRO_GENERATIONS: dict[Distro, tuple[int, ...]] = {
    Distro.CENTOS: (6, 7),
    Distro.CENTOS_STREAM: (8, 9, 10),
    Distro.ALMALINUX: (8, 9, 10),
    Distro.ROCKY: (8, 9, 10),
    Distro.RHEL: (8, 9, 10),
}
"""EL generations that each distribution has, and that B2CT supports."""

OPENNEBULA_GENERATIONS: tuple[tuple[tuple[int, int], tuple[int, int], tuple[int, ...]], ...] = (
    ((4, 8), (4, 14), (6, 7)),
    ((5, 0), (5, 8), (7,)),
    ((5, 10), (5, 12), (7, 8)),
    ((6, 0), (6, 4), (7, 8)),
    ((6, 6), (6, 10), (8, 9)),
    ((7, 0), (7, 0), (8, 9, 10)),
    ((7, 2), (7, 4), (9, 10)),
)
"""(first, last) OpenNebula minor version and the EL generations of its front-end and KVM node packages.

Source: the platform notes of each OpenNebula release.
"""


def opennebula_generations(version: str) -> tuple[int, ...]:
    """Return the EL generations that an OpenNebula version, ``7.2`` or ``6.10.5``, has packages for; () if none."""
    major, minor, *_ = [*map(int, version.split(".")), 0]
    for first, last, generations in OPENNEBULA_GENERATIONS:
        if first <= (major, minor) <= last:
            return generations
    return ()
