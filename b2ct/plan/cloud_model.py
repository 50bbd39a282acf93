"""Objects of an OpenNebula cloud: as a site wants them, as they are, and the steps from one to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from b2ct.plan.attributes import Template

MARK_SITE = "B2CT_SITE"
MARK_SOURCE = "B2CT_SOURCE"
MARK_VERSION = "B2CT_VERSION"
MARK_CHECKSUM = "B2CT_CHECKSUM"


class Kind(StrEnum):
    """Kinds of objects, named as in the methods of the XML-RPC API, in the order in which they are made."""

    CLUSTER = "cluster"
    GROUP = "group"
    USER = "user"
    HOST = "host"
    DATASTORE = "datastore"
    NETWORK = "vn"
    SECURITY_GROUP = "secgroup"
    IMAGE = "image"
    TEMPLATE = "template"

    @property
    def label(self) -> str:
        """What people call it."""
        return {"vn": "network", "secgroup": "security group", "template": "VM template"}.get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class Mark:
    """What an object that B2CT made carries in its template: without it, an object is never changed or removed."""

    site: str
    """The site file's ``site``."""
    source: str
    """The bundle's name; ``site`` for the cloud's own objects."""
    version: str = ""
    """The bundle's (of an image: the image's) version; empty for the cloud's own objects."""
    checksum: str = ""
    """Of an image: of its file, ``sha256:HEX``. Of all others: of what was wanted when B2CT wrote it last."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An object by kind, name and (where names are unique per owner only) owner."""

    kind: Kind
    name: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a group may use; None means no limit."""

    vms: int | None = None
    cores: int | None = None
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as the site wants it.

    What cannot change once an object exists (an image's file, a network's driver) makes a step ``refuse`` that says so.
    """

    kind: Kind
    name: str
    template: Template = ()
    """Attributes without NAME and mark; for hosts IM_MAD and VM_MAD, for networks with AR vectors."""
    mark: Mark | None = None
    group: str | None = None
    """Group that owns it (images, templates) or that a user belongs to; None: the group of whoever imports."""
    permissions: int | None = None
    """As of chmod, ``0o640``: use 4, manage 2, admin 1 for owner, group, others; None: OpenNebula's default."""
    cluster: str | None = None
    """Cluster that a host, datastore or network belongs to."""
    datastore: str | None = None
    """Datastore of an image."""
    quota: Quota | None = None
    """Quota of a group."""
    may_start: bool = False
    """Group: its users have to have the right to start virtual machines; False leaves that as it is."""
    needs: tuple[Reference, ...] = ()
    """What has to be there before it."""


@dataclass(frozen=True, slots=True)
class Existing:
    """One object as the cloud has it."""

    kind: Kind
    id: int
    name: str
    owner: str
    """Name of its owner; empty for kinds without one."""
    group: str
    """Name of its group; empty for kinds without one."""
    template: Template
    """Its attributes, the mark's among them."""
    mark: Mark | None
    """The mark, when B2CT made it."""
    permissions: int | None = None
    state: str = ""
    """Image: READY, USED, LOCKED, ERROR, DISABLED...; network: READY, ERROR...; empty for others."""
    uses: int = 0
    """Image: virtual machines that run from it; network: leases; template: 0."""
    cluster: str = ""
    """Cluster of a host (names of several, with commas, for datastores and networks)."""
    size_mib: int = 0
    """Image: its size. Datastore: what is free."""
    cores: int = 0
    """Host: cores that virtual machines can have; 0 before it was monitored."""
    memory_mib: int = 0
    """Host: memory that virtual machines can have; 0 before it was monitored."""
    quota: Quota | None = None
    """Group: its quota."""
    may_start: bool = False
    """Group: whether its users have the right to start virtual machines; known to administrators."""


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """A cloud as it was found, and who asks."""

    version: tuple[int, ...]
    user: str
    """Name of the user whose session asks."""
    group: str
    """Name of that user's primary group."""
    admin: bool
    """Whether it is oneadmin's group: only it may make users, groups, hosts, clusters."""
    objects: tuple[Existing, ...] = ()

    def find(self, kind: Kind, name: str, owner: str | None = None) -> Existing | None:
        """Return the object of that kind and name (and owner, when given), or None.

        Of several owners' objects it is the asking user's own, else oneadmin's, else any.
        """
        found = [item for item in self.objects if item.kind is kind and item.name == name]
        if owner is not None:
            found = [item for item in found if item.owner in {owner, ""}]
        return min(found, key=lambda item: (item.owner != self.user, item.owner != "oneadmin"), default=None)


class Verb(StrEnum):
    """What a step does."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    """It is there and as wanted."""
    USE = "use"
    """It is there, and not ours: it is used as it is."""
    REMOVE = "remove"
    REFUSE = "refuse"
    """It cannot be made; ``reason`` says why and what to do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute that is not as wanted."""

    attribute: str
    """``CPU``, ``CONTEXT/USERDATA``, ``permissions``."""
    now: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Step:
    """One object and what has to happen to it."""

    verb: Verb
    kind: Kind
    name: str
    reason: str = ""
    wanted: Wanted | None = None
    existing: Existing | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class CloudPlan:
    """All steps, in the order in which they are to be done."""

    steps: tuple[Step, ...] = field(default=())

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.verb in {Verb.CREATE, Verb.UPDATE, Verb.REMOVE})

    @property
    def refused(self) -> tuple[Step, ...]:
        """The steps that cannot be done."""
        return tuple(step for step in self.steps if step.verb is Verb.REFUSE)
