"""What runs on the cloud: communities and their virtual machines."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize, Field

from b2ct.site.pilot import Pilot, Stop, StopPolicy
from b2ct.site.types import (
    DomainName,
    Name,
    SecretRef,
    SiteModel,
    Size,
    SizeOrNone,
    SshKey,
    VersionNumber,
)


class Limits(SiteModel):
    """The most that a community may use at once; left out means no limit."""

    vms: Annotated[int, Field(ge=1)] | None = None
    """Virtual machines."""
    cores: Annotated[int, Field(ge=1)] | None = None
    """CPU cores."""
    memory: Size | None = None
    """Memory."""


class Community(SiteModel):
    """A virtual organisation (VO) that the site serves: a group in OpenNebula, with its quota and its templates."""

    name: Name
    """The VO's name, ``belle``; its group in OpenNebula is called the same."""
    cvmfs: tuple[DomainName, ...] = ()
    """CVMFS repositories that its jobs need, ``belle.cern.ch``."""
    pilot: Pilot | None = None
    """What its workers run when they are ready: one line for the shell, ``/cvmfs/t2k.egi.eu/pilot/start.sh``, or a
    kind of pilot with its keys; left out: nothing."""
    stop: StopPolicy = Stop()
    """When its workers stop by themselves; ``never``, or times in seconds."""
    limits: Limits = Limits()
    """The most that it may use."""
    user: Name | None = None
    """OpenNebula user for its central scheduler; left out: none is made."""
    password: SecretRef | None = None
    """That user's password."""
    ssh_keys: tuple[SshKey, ...] = ()
    """OpenSSH public keys that may log in to its virtual machines."""


class Pinning(StrEnum):
    """How virtual cores are bound to real ones (OpenNebula's PIN_POLICY)."""

    CORE = "core"
    """Each virtual core has a whole real core."""
    THREAD = "thread"
    """Each virtual core has a hardware thread."""
    SHARED = "shared"
    """Virtual machines share the real cores."""


class HugePages(StrEnum):
    """Sizes of huge pages."""

    MIB2 = "2MiB"
    GIB1 = "1GiB"

    @property
    def mib(self) -> int:
        """The size in MiB."""
        return {HugePages.MIB2: 2, HugePages.GIB1: 1024}[self]


WHOLE_NODE = "whole-node"
"""As many cores as the cluster's smallest node has."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int) else value


def _number_or_word(value: object) -> object:
    """Refuse other words here, where both that is allowed can be named."""
    if isinstance(value, str) and not value.lstrip("-").isdigit() and value != WHOLE_NODE:
        raise ValueError(f"{value!r} has to be a number of cores, or {WHOLE_NODE}")
    return value


Cores = Annotated[Annotated[int, Field(ge=1)] | Literal["whole-node"], BeforeValidator(_number_or_word)]


class Vm(SiteModel):
    """A bundle to import: an image, and a VM template for each of ``cores``."""

    bundle: Name
    """Name of the bundle, ``belle2-worker``."""
    version: VersionNumber | None = None
    """Version of the bundle that new virtual machines get; left out: the newest. An older one rolls back."""
    guest: Name | None = None
    """The bundle's guest system, ``el9``; left out: its first."""
    vo: Name | None = None
    """The community that it works for; only it can use the template. Left out (squid): whoever imports."""
    name: Name | None = None
    """Name of the VM templates; left out: made from community, bundle and guest."""
    network: Name = "private"
    """The network of its virtual machines."""
    address: IPv4Address | None = None
    """Fixed address on that network: a squid has one, so that workers find it."""
    cores: Annotated[tuple[Cores, ...], BeforeValidator(_as_list), Field(min_length=1)] = (1,)
    """CPU cores of one virtual machine: ``1``, ``[1, 8, whole-node]``. Each makes a VM template."""
    memory_per_core: Size = ByteSize(2 * 1024**3)
    """Memory of one virtual machine for each of its cores."""
    scratch_per_core: SizeOrNone = ByteSize(20 * 1000**3)
    """Scratch disk of one virtual machine for each of its cores; ``0`` for none."""
    cpu_model: Name = "host-passthrough"
    """libvirt's CPU model; ``host-passthrough`` is fastest, a named one lets machines move between unlike nodes."""
    pinning: Pinning | None = None
    """Bind virtual cores to real ones; the nodes need PIN_POLICY=PINNED in OpenNebula."""
    hugepages: HugePages | None = None
    """Back the memory with huge pages; the nodes have to have them."""
    cluster: Name | None = None
    """OpenNebula cluster whose nodes run it; left out: the site's."""
