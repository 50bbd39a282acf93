"""One host of the site."""

from __future__ import annotations

from pydantic import Field

from b2ct.site.network import Bond, Link, Nic
from b2ct.site.storage import Disk, Layout
from b2ct.site.types import Console, HostName, KernelArgument, Role, Service, SiteModel

ASK = "ask"
"""Name of the host whose every value is asked at install time."""


class Host(SiteModel):
    """One machine. What is left out is asked on its console at install time.

    The name ``ask`` stands for any machine: its entry gives the defaults of the interactive installation.
    """

    name: HostName
    """Host name without the domain; ``ask`` for the interactive installation."""
    role: Role | None = None
    """What the host is to the cloud; left out: asked."""
    services: tuple[Service, ...] = ()
    """What it offers besides."""
    nics: tuple[Nic, ...] = ()
    """Its network cards; left out: asked."""
    bonds: tuple[Bond, ...] = ()
    """Bonds over its cards."""
    links: tuple[Link, ...] = ()
    """Its connections to networks; left out: the management network, its address asked."""
    disks: tuple[Disk, ...] = ()
    """The disk to install on (two with RAID 1); left out: asked. Everything on it is erased."""
    layout: Layout = Field(default_factory=Layout)
    """How the disk is divided."""
    console: Console | None = None
    """Serial console; left out: the site's."""
    kernel_arguments: tuple[KernelArgument, ...] = ()
    """Kernel arguments besides the site's, for the installer and the installed system."""
