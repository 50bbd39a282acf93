"""Decides what a Debian or Ubuntu guest is made of: packages, steps inside it, and what is cleaned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.errors import UsageError
from b2ct.plan.image import CVMFS, DEBIAN_PACKAGE, Family

if TYPE_CHECKING:
    from b2ct.plan.image import ImageDescription, Repository

_MINIMAL = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "iproute2",
    "libnss-systemd",
    "openssh-server",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
)
"""What every guest has: it boots, grows its root, reads its context, has a network, lets root in by key.

cloud-init reads OpenNebula's context.sh as another user, by way of sudo; libnss-systemd knows the pilot's user by name.
"""

WARM_PROGRAM = "tmp/b2ct-warm-cvmfs"
"""Script in the guest that mounts CVMFS repositories and looks into them; the finished image has it no more."""

WARM_TIMEOUT_S = 300
"""How long one CVMFS repository may take to fill the cache, seconds."""

EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/i18n/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)
"""Files that no package brings along, now and at updates (dpkg(1), --path-exclude)."""

INCLUDED = ("/usr/share/doc/*/copyright",)
"""Exceptions from that: the licences."""

EMPTIED = (
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/lib/cloud",
    "var/lib/dhcp",
    "var/tmp",
)
"""Folders whose content belongs to the build, not to the guest."""

LOGS = "var/log"
"""Folder whose files are removed while its folders stay: programs that write there do not make them."""

REMOVED = (
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_*",
    "etc/.pwd.lock",
    "root/.*_history",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/chrony/*",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/random-seed",
)
"""Files of the build, and everything that has to differ from guest to guest."""

LINKS = (
    ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
    ("var/lib/dbus/machine-id", "/etc/machine-id"),
)
"""Links and where they lead."""

MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "man-db.timer",
)
"""Units that have no work in a worker: it is replaced, not updated."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The distribution's package archive, and what depends on it."""

    keyring: str
    """Public keys of the archive, at the same path on the build host and in the guest."""
    keyring_debian: str
    """Package that brings them to a build host with Debian or Ubuntu."""
    keyring_el: str | None
    """The same for EL."""
    kernel: str
    """Package that always stands for the newest kernel."""


ARCHIVES = {
    # The cloud kernel has no AHCI: on a q35 machine it would not see the context CD.
    Family.DEBIAN: Archive(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "debian-keyring",
        "linux-image-amd64",
    ),
    Family.UBUNTU: Archive(
        "/usr/share/keyrings/ubuntu-archive-keyring.gpg", "ubuntu-archive-keyring", "ubu-keyring", "linux-image-virtual"
    ),
}


@dataclass(frozen=True, slots=True)
class PackageSource:
    """One entry of apt's sources."""

    url: str
    suite: str
    components: tuple[str, ...]
    keyring: str
    """Path of the keys that sign it."""
    name: str
    """Name of its file in the guest, without the suffix."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command that runs inside the guest's root, in namespaces of its own."""

    argv: tuple[str, ...]
    timeout_s: int
    must_work: bool = True
    """Otherwise a failure is only told."""


def archive_of(description: ImageDescription) -> Archive:
    """Return the archive of the guest's family.

    Raises:
        UsageError: this method cannot build such a guest.
    """
    if description.family not in ARCHIVES:
        raise UsageError(f"{description.name}: no {description.family} guest can be made by debootstrap")
    if description.source.suite is None:
        raise UsageError(f"{description.name}: source.suite is missing", hint="such as bookworm")
    return ARCHIVES[description.family]


def make_packages(description: ImageDescription, *, with_repositories: bool) -> tuple[str, ...]:
    """Return the packages to install, sorted; what they depend on comes along, what they recommend does not.

    Raises:
        UsageError: a name is none of a package; apt would take it for a pattern, a file or several names.
    """
    wanted = {archive_of(description).kernel, *_MINIMAL, *description.packages}
    if with_repositories:
        wanted.update(description.repository_packages)
    for name in sorted(wanted):
        if not DEBIAN_PACKAGE.fullmatch(name):
            raise UsageError(f"{description.name}: {name!r} is no name of a package")
    return tuple(sorted(wanted))


def make_sources(
    description: ImageDescription, mirror: str | None = None, security_mirror: str | None = None
) -> tuple[PackageSource, ...]:
    """Return the sources of the distribution: the suite, its updates and its security updates."""
    source, keyring = description.source, archive_of(description).keyring
    url, suite = mirror or source.url, str(source.suite)
    name = description.family.value
    sources = [
        PackageSource(url, suite, source.components, keyring, name),
        PackageSource(url, f"{suite}-updates", source.components, keyring, f"{name}-updates"),
    ]
    if security := security_mirror or source.security_url:
        sources.append(PackageSource(security, f"{suite}-security", source.components, keyring, f"{name}-security"))
    return tuple(sources)


def make_repository_source(repository: Repository) -> PackageSource:
    """Return the source of a repository beside the distribution's; its key goes with it, and is good for it alone.

    Raises:
        UsageError: it names no suite and component.
    """
    suite, *components = repository.suite.split() or [""]
    if not components:
        raise UsageError(f"repository {repository.name}: suite and component are missing", hint="suite: bookworm main")
    return PackageSource(
        repository.url, suite, tuple(components), f"/etc/apt/keyrings/{repository.name}.gpg", repository.name
    )


def make_steps(description: ImageDescription, units: tuple[str, ...], *, with_repositories: bool) -> tuple[Step, ...]:
    """Return what runs inside the guest after all files are there: ``units`` start with it, CVMFS is set up and warm.

    Everything that ``MASKED`` names never starts.
    """
    steps = [
        Step(("systemctl", "enable", "systemd-networkd.service", *units), 60),
        Step(("systemctl", "mask", *MASKED), 60),
    ]
    if with_repositories and CVMFS in description.repository_packages:
        steps.append(Step(("cvmfs_config", "setup", "nostart"), 120))
        steps.append(Step(("systemctl", "enable", "autofs.service"), 60))
        if description.warm:
            words = ("/bin/sh", f"/{WARM_PROGRAM}", str(WARM_TIMEOUT_S), *description.warm)
            steps.append(Step(words, 3 * WARM_TIMEOUT_S * len(description.warm), must_work=False))
    return tuple(steps)
