"""Decides where packages come from, and which packages, units and open ports a role needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import UsageError
from b2ct.plan.model import FirewallRule, Repository, RolePlan, SquidPlan
from b2ct.site.model import Edition
from b2ct.site.types import Role, Service

if TYPE_CHECKING:
    from b2ct.plan.generation import Distribution, Generation, OpenNebulaRange, Ports
    from b2ct.plan.model import Facts
    from b2ct.site.host import Host
    from b2ct.site.model import Site

MEDIA = "file:///mnt/b2ct-media"
"""Where %post mounts the install media."""

MEDIA_EXTRAS = "b2ct/packages"
"""Folder on the media with a repository of what an offline site needs besides the distribution; its key is in it."""

SSH = "22"
SQUID = "3128"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where packages come from."""

    install_url: str
    """Empty: from the media."""
    install_repositories: tuple[Repository, ...]
    repositories: tuple[Repository, ...]


def make_sources(site: Site, facts: Facts, generation: Generation) -> Sources:
    """Decide where the installer and the installed system get packages.

    Raises:
        UsageError: nothing has the packages that are needed.
    """
    distribution = _distribution(site, generation)
    offline = site.sources.offline
    if offline and not facts.is_dvd:
        raise UsageError(
            f"{site.media.distro} {site.media.version}: an offline site needs media that carry packages",
            hint="take the DVD ISO, or set sources.offline to false",
        )
    mirror = str(site.sources.os or distribution.mirror).rstrip("/")
    if not mirror and not facts.is_dvd:
        raise UsageError(
            f"{site.media.distro} has no public mirror, and the media carry no packages",
            hint="take the DVD ISO, or give a mirror in sources.os",
        )
    release = _release(site, distribution)
    network = tuple(
        Repository(
            name=item.name,
            url=f"{mirror}/{item.path.format(version=release, arch=site.media.arch)}",
            key=distribution.key,
        )
        for item in distribution.repositories
        if mirror and not offline
    )
    media = tuple(
        Repository(f"media-{item.name}", f"{MEDIA}/{item.on_media}".rstrip("/"), distribution.key, on_media=True)
        for item in distribution.repositories
        if facts.is_dvd and item.on_media
    )
    extras = (
        (Repository("media-b2ct", f"{MEDIA}/{MEDIA_EXTRAS}", f"{MEDIA}/{MEDIA_EXTRAS}/key.asc", on_media=True),)
        if offline
        else (_epel(site, generation), _opennebula(site, generation))
    )
    return Sources(
        install_url="" if facts.is_dvd else network[0].url,
        install_repositories=() if facts.is_dvd else network[1:],
        repositories=(*network, *media, *extras),
    )


def _distribution(site: Site, generation: Generation) -> Distribution:
    try:
        return generation.distributions[site.media.distro]
    except KeyError:
        known = ", ".join(generation.distributions)
        raise UsageError(
            f"{site.media.distro} {site.media.version}: there is no such distribution of EL{generation.el}",
            hint=f"EL{generation.el} is there as {known}",
        ) from None


def _release(site: Site, distribution: Distribution) -> str:
    """Return the name of the mirror's version folder."""
    version = site.media.version
    known = distribution.versions.get(version)
    return known or distribution.version.format(major=site.media.generation, version=version)


def _epel(site: Site, generation: Generation) -> Repository:
    mirror = str(site.sources.epel or generation.epel.mirror).rstrip("/")
    path = (_distribution(site, generation).epel or generation.epel.path).format(arch=site.media.arch)
    return Repository("epel", f"{mirror}/{path}", f"{mirror}/{generation.epel.key}")


def find_range(site: Site, generation: Generation) -> OpenNebulaRange:
    """Return the packages of the site's OpenNebula version.

    Raises:
        UsageError: OpenNebula has no packages of that version for the generation.
    """
    wanted = _version(site.opennebula.version)
    for item in generation.opennebula:
        if _version(item.first) <= wanted <= _version(item.last):
            return item
    ranges = ", ".join(f"{item.first} to {item.last}" for item in generation.opennebula)
    raise UsageError(
        f"OpenNebula {site.opennebula.version} has no packages for EL{generation.el}",
        hint=f"EL{generation.el} runs {ranges}",
    )


def _version(text: str) -> tuple[int, int]:
    """Return major and minor of ``6.10.2``."""
    major, minor, *_ = [*map(int, text.split(".")), 0]
    return major, minor


def _opennebula(site: Site, generation: Generation) -> Repository:
    mirror = str(site.sources.opennebula or generation.opennebula_mirror).rstrip("/")
    if site.opennebula.edition is Edition.ENTERPRISE and not site.sources.opennebula:
        raise UsageError(
            "the enterprise repositories of OpenNebula need a token, and no secret goes on to install media",
            hint="give a mirror of them in sources.opennebula",
        )
    item = find_range(site, generation)
    folder = (item.folder or _distribution(site, generation).opennebula).format(arch=site.media.arch)
    key = f"{mirror}/{item.key}" if item.key else ""
    return Repository("opennebula", f"{mirror}/{site.opennebula.version}/{folder}", key)


def make_role(site: Site, host: Host, role: Role, generation: Generation) -> RolePlan:
    """Decide what a host gets for ``role`` and its services."""
    item = find_range(site, generation)
    packages, units = generation.packages, generation.units
    frontend = role is Role.FRONTEND
    squid = Service.SQUID in host.services
    rocci = generation.rocci if Service.ROCCI in host.services else None
    unsigned = () if item.key else (f"OpenNebula's packages of {site.opennebula.version} carry no signature.",)
    return RolePlan(
        role=role,
        packages=_unique(
            packages.base, packages.frontend if frontend else packages.node, packages.squid if squid else ()
        ),
        cloud_packages=item.frontend_packages if frontend else item.node_packages,
        units=_unique(
            units.base,
            (*units.frontend, *item.frontend_units) if frontend else units.node,
            units.squid if squid else (),
        ),
        firewall=_firewall(site, host, generation, item.frontend_ports if frontend else generation.node_ports),
        left=(*unsigned, *(item.left if frontend else ()), *(rocci.left if rocci else ())),
    )


def _unique(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _firewall(site: Site, host: Host, generation: Generation, ports: tuple[Ports, ...]) -> tuple[FirewallRule, ...]:
    """Open a role's ports to the management network, and what users and guests need to all of the site's networks."""
    everywhere = tuple(str(network.cidr) for network in site.networks.values())
    management = (str(site.networks[site.management].cidr),)
    rules = [FirewallRule(SSH, "tcp", everywhere)]
    rules += [FirewallRule(item.port, item.protocol, everywhere if item.site_wide else management) for item in ports]
    if Service.SQUID in host.services:
        rules.append(FirewallRule(SQUID, "tcp", _squid_clients(site)))
    if Service.ROCCI in host.services and generation.rocci.port:
        rules.append(FirewallRule(generation.rocci.port, "tcp", everywhere))
    return tuple(rules)


def _squid_clients(site: Site) -> tuple[str, ...]:
    return tuple(map(str, site.squid.clients or (network.cidr for network in site.networks.values())))


def make_squid(site: Site, generation: Generation) -> SquidPlan:
    """Decide the CVMFS proxy."""
    mib = 1024**2
    return SquidPlan(
        memory_mb=max(1, site.squid.memory // mib),
        disk_mb=max(1, site.squid.disk // mib),
        clients=_squid_clients(site),
        destinations=site.squid.destinations,
        collapsed_forwarding=generation.squid_collapsed_forwarding,
        names_only=generation.squid_names_only,
    )
