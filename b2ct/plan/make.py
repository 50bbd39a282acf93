"""Decides everything about a site's install media: ``make_plan``."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import TYPE_CHECKING

from b2ct.plan.media import kickstart_path, media_hosts
from b2ct.plan.model import Account, HostPlan, Plan, RootAccount
from b2ct.plan.network import make_network
from b2ct.plan.software import make_role, make_sources, make_squid
from b2ct.plan.storage import make_storage
from b2ct.site.host import ASK
from b2ct.site.model import RootPolicy
from b2ct.site.types import Role, Service

if TYPE_CHECKING:
    from b2ct.plan.generation import Generation
    from b2ct.plan.model import Facts
    from b2ct.site.host import Host
    from b2ct.site.model import Site, User

NO_PASSWORD = "*"  # noqa: S105 - the crypt(3) hash that no password has
"""Password field of an account that only keys open (shadow(5))."""

ASK_TIMEOUT_S = 300
"""Seconds until the default of a question at install time is taken."""

UDEV_PLAIN = frozenset(ascii_letters + digits + "#+-.:=@_")
"""What udev leaves as it is in names below /dev/disk/by-label."""

PERMIT_ROOT = {
    RootPolicy.LOCKED: "no",
    RootPolicy.KEYS: "without-password",
    RootPolicy.PASSWORD: "no",
}
"""sshd's PermitRootLogin; the root password is for the console."""


def make_plan(site: Site, facts: Facts, generation: Generation) -> Plan:
    """Decide what the install media of ``site`` hold.

    Raises:
        UsageError: the site cannot be installed from these media, with what to do about it.
    """
    sources = make_sources(site, facts, generation)
    return Plan(
        site=site.site,
        domain=site.domain,
        generation=generation,
        facts=facts,
        distro=site.media.distro.value,
        version=site.media.version,
        opennebula=site.opennebula.version,
        language=site.language,
        keyboard=site.keyboard,
        timezone=site.time.zone,
        ntp=site.time.ntp,
        proxy=str(site.sources.proxy or ""),
        ask_timeout_s=ASK_TIMEOUT_S,
        install_url=sources.install_url,
        install_repositories=sources.install_repositories,
        media_device=media_device(facts.volume_id),
        repositories=sources.repositories,
        accounts=tuple(_account(user, facts) for user in site.users),
        root=_root(site, facts),
        hosts=tuple(_host(site, host, generation) for host in media_hosts(site)),
    )


def media_device(volume_id: str) -> str:
    r"""Return the media with this volume id as ``harddrive --partition=`` names them.

    ``LABEL=`` is looked up among udev's ID_FS_LABEL, in which a blank is ``_``, and Anaconda's dracut module writes it
    as it is into the boot arguments, where a blank ends it. So what udev encodes is named by udev's link, in which a
    blank is ``\x20`` (``b2ct_udev_encode`` in ``kickstart/snippets/pre/disks.sh`` does the same).
    """
    if all(map(UDEV_PLAIN.__contains__, volume_id)):
        return f"LABEL={volume_id}"
    encoded = "".join(c if c in UDEV_PLAIN else "".join(f"\\x{b:02x}" for b in c.encode()) for c in volume_id)
    return f"/dev/disk/by-label/{encoded}"


def _account(user: User, facts: Facts) -> Account:
    return Account(
        name=user.name,
        gecos=user.gecos or "",
        admin=user.admin,
        password_hash=facts.password_hashes.get(user.name, NO_PASSWORD),
        ssh_keys=user.ssh_keys,
    )


def _root(site: Site, facts: Facts) -> RootAccount:
    policy = site.root.policy
    return RootAccount(
        password_hash=facts.password_hashes.get("root", "") if policy is RootPolicy.PASSWORD else "",
        ssh_keys=site.root.ssh_keys if policy is RootPolicy.KEYS else (),
        permit_login=PERMIT_ROOT[policy],
    )


def _host(site: Site, host: Host, generation: Generation) -> HostPlan:
    asks_name = host.name == ASK
    console = host.console or site.console or ""
    arguments = (*site.kernel_arguments, *host.kernel_arguments)
    consoles = ("console=tty0", f"console={console}") if console else ()
    network = make_network(site, host, generation.network)
    storage = make_storage(host, generation.storage, (*consoles, *arguments))
    roles = (host.role,) if host.role else tuple(Role)
    return HostPlan(
        name="" if asks_name else host.name,
        kickstart=kickstart_path(host.name),
        fqdn="" if asks_name else f"{host.name}.{site.domain}",
        roles=tuple(make_role(site, host, role, generation) for role in roles),
        services=tuple(service.value for service in host.services),
        network=network,
        storage=storage,
        squid=make_squid(site, generation) if Service.SQUID in host.services else None,
        rocci=Service.ROCCI in host.services,
    )
