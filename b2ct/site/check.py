"""Checks that look at the site as a whole: what no single value can tell."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING

from b2ct.errors import Severity
from b2ct.site.check_central import check_central
from b2ct.site.check_cloud import check_cloud
from b2ct.site.check_network import check_networks
from b2ct.site.check_storage import check_storage
from b2ct.site.findings import Finding, find_duplicates
from b2ct.site.host import ASK
from b2ct.site.model import Edition, RootPolicy
from b2ct.site.types import Distro, Role
from b2ct.site.versions import DISTRO_GENERATIONS, opennebula_generations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2ct.site.model import Site

MAX_HOSTNAME = 64
"""Longest host name with domain that Linux takes (HOST_NAME_MAX)."""

SYSTEM_USERS = frozenset(
    {"root", "bin", "daemon", "adm", "lp", "sync", "shutdown", "halt", "mail", "operator", "games", "ftp", "nobody"}
    | {"dbus", "polkitd", "tss", "systemd-network", "systemd-resolve", "sshd", "chrony", "ntp", "mysql", "squid"}
    | {"qemu", "libvirt", "oneadmin", "apache", "rocci"}
)
"""Accounts that the distribution's or OpenNebula's packages make."""


def check_site(site: Site) -> tuple[Finding, ...]:
    """Return everything that is wrong with a site whose single values are all well-formed."""
    hosts = (_check_media, _check_hosts, check_networks, check_storage, _check_accounts, _check_time)
    return tuple(finding for check in (*hosts, check_cloud, check_central) for finding in check(site))


def _check_media(site: Site) -> Iterator[Finding]:
    """The distribution has such a version, and the OpenNebula version runs on it."""
    media, generation = site.media, site.media.generation
    known = DISTRO_GENERATIONS[media.distro]
    if generation not in known:
        versions = ", ".join(map(str, known))
        yield Finding(("media", "version"), f"{media.distro} {media.version} is not supported", f"versions: {versions}")
        return
    runs_on = opennebula_generations(site.opennebula.version)
    if not runs_on:
        version = site.opennebula.version
        yield Finding(("opennebula", "version"), f"no packages of OpenNebula {version} are known", "4.8 to 7.4 are")
    elif generation not in runs_on:
        versions = ", ".join(map(str, runs_on))
        message = f"OpenNebula {site.opennebula.version} does not run on EL{generation}"
        yield Finding(("opennebula", "version"), message, f"it runs on EL {versions}")
    if media.distro is Distro.CENTOS_STREAM:
        message = "OpenNebula does not list CentOS Stream as a platform for front-ends or nodes"
        yield Finding(("media", "distro"), message, "AlmaLinux or RHEL are listed", Severity.WARNING)
    if site.opennebula.edition is Edition.ENTERPRISE and site.sources.opennebula is None:
        message = "the packages of the enterprise edition come from a mirror of yours"
        yield Finding(("opennebula", "edition"), message, "sources.opennebula: http://...")


def _check_hosts(site: Site) -> Iterator[Finding]:
    """Host names are unique and fit into the kernel's limit; the roles make a cloud."""
    yield from find_duplicates("the host name", ((("hosts", i, "name"), h.name) for i, h in enumerate(site.hosts)))
    for i, host in enumerate(site.hosts):
        fqdn = f"{host.name}.{site.domain}"
        if len(fqdn) > MAX_HOSTNAME:
            yield Finding(("hosts", i, "name"), f"{fqdn} is longer than {MAX_HOSTNAME} characters")
        if host.name == "localhost":
            yield Finding(("hosts", i, "name"), "localhost is no name for a host of the site")
        yield from find_duplicates(
            "the service", ((("hosts", i, "services", n), s) for n, s in enumerate(host.services))
        )
    named = [host for host in site.hosts if host.name != ASK]
    frontends = [i for i, host in enumerate(site.hosts) if host.role is Role.FRONTEND and host.name != ASK]
    if named and all(host.role for host in named) and not frontends:
        yield Finding(("hosts",), "no host is the frontend", "role: frontend", Severity.WARNING)
    for i in frontends[1:]:
        yield Finding(("hosts", i, "role"), "a second frontend is not joined to the first", "", Severity.WARNING)


def _check_accounts(site: Site) -> Iterator[Finding]:
    """Somebody can log in, and the root policy has what it needs."""
    yield from find_duplicates("the user", ((("users", i, "name"), u.name) for i, u in enumerate(site.users)))
    for i, user in enumerate(site.users):
        if user.name in SYSTEM_USERS:
            hint = "see the key root" if user.name == "root" else "choose another name"
            yield Finding(("users", i, "name"), f"{user.name} is an account of the system", hint)
        if not user.ssh_keys and user.password is None:
            yield Finding(("users", i), f"{user.name} has neither ssh_keys nor password", "nobody could log in as them")
    root = site.root
    if root.policy is RootPolicy.KEYS and not root.ssh_keys:
        yield Finding(("root", "policy"), "root has no ssh_keys", "root.ssh_keys: [...]")
    if root.policy is RootPolicy.PASSWORD and root.password is None:
        yield Finding(("root", "policy"), "root has no password", "root.password: file:...")
    if root.policy is RootPolicy.LOCKED and not any(user.admin for user in site.users):
        hint = "add a user with ssh_keys, or set root.policy"
        yield Finding(("users",), "nobody could administer the hosts: root is locked and no user is an admin", hint)


NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Names that systems keep beside the zones of the IANA database."""


def _is_time_zone(name: str) -> bool:
    """Return whether the IANA database has this zone; listing all of them would read hundreds of files."""
    if name.startswith(NO_ZONES):
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _check_time(site: Site) -> Iterator[Finding]:
    """The time zone exists in the IANA database; Anaconda itself takes any word."""
    if not _is_time_zone(site.time.zone):
        yield Finding(("time", "zone"), f"{site.time.zone!r} is not a time zone", "such as Europe/Rome or UTC")
