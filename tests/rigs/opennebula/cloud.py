"""The state of a pretended front-end: its objects as XML trees, who may do what, and what happens later."""

from __future__ import annotations

import copy
import hashlib
import heapq
import itertools
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.rigs.opennebula.grammar import MalformedError, parse_template
from tests.rigs.opennebula.recordings import load_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AUTHENTICATION, AUTHORIZATION, NO_EXISTS, ACTION = 0x100, 0x200, 0x400, 0x800
INTERNAL, ALLOCATE = 0x2000, 0x4000


class RefusedError(Exception):
    """The call is answered with an error."""

    def __init__(self, code: int, message: str, object_id: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.object_id = object_id


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of object is called: in calls, in XML, in messages."""

    call: str
    root: str
    label: str
    auth: str
    owned: bool = True
    """Names are unique per owner, and there are permissions."""
    allocate_code: tuple[int, int] = (INTERNAL, INTERNAL)
    """The code for a name that is taken or wrong, in 6.10 and in 7.4."""

    @property
    def pool(self) -> str:
        return f"{self.root}_POOL"


KINDS = {
    kind.call: kind
    for kind in (
        Kind("image", "IMAGE", "image", "IMAGE", allocate_code=(ALLOCATE, ALLOCATE)),
        Kind("template", "VMTEMPLATE", "virtual machine template", "TEMPLATE"),
        Kind("vm", "VM", "virtual machine", "VM"),
        Kind("vn", "VNET", "virtual network", "NET"),
        Kind("secgroup", "SECURITY_GROUP", "security group", "SECGROUP"),
        Kind("datastore", "DATASTORE", "datastore", "DATASTORE"),
        Kind("user", "USER", "user", "USER", owned=False),
        Kind("group", "GROUP", "group", "GROUP", owned=False),
        Kind("cluster", "CLUSTER", "cluster", "CLUSTER", owned=False, allocate_code=(INTERNAL, ALLOCATE)),
        Kind("host", "HOST", "host", "HOST", owned=False, allocate_code=(INTERNAL, ALLOCATE)),
    )
}
RESOURCES = {
    0x1000000000: "VM",
    0x2000000000: "HOST",
    0x4000000000: "NET",
    0x8000000000: "IMAGE",
    0x20000000000: "TEMPLATE",
    0x100000000000: "DATASTORE",
    0x400000000000: "DOCUMENT",
    0x800000000000: "ZONE",
    0x1000000000000: "SECGROUP",
    0x8000000000000: "MARKETPLACE",
    0x10000000000000: "MARKETPLACEAPP",
    0x20000000000000: "VMGROUP",
    0x100000000000000: "BACKUPJOB",
}
"""What rules are about (RESOURCES in src/oca/ruby/opennebula/acl.rb)."""

FIRST_IDS = {"cluster": 100, "group": 100, "datastore": 100}
"""oned keeps the numbers below for what it makes itself."""

_FORBIDDEN = re.compile("[&|:\\\\\";/'#{}$<>\x00-\x1f]")


def number(element: ET.Element, path: str = "ID") -> int:
    """Return the whole number at ``path``."""
    return int(element.findtext(path) or "0")


def put(element: ET.Element, path: str, value: object) -> ET.Element:
    """Set the text at ``path``; the element is there, or is made as the last child."""
    found = element.find(path)
    if found is None:
        parent, _, tag = path.rpartition("/")
        above = element.find(parent) if parent else element
        assert above is not None, path
        found = ET.SubElement(above, tag)
    found.text = str(value)
    return found


def child(element: ET.Element, path: str) -> ET.Element:
    """Return the element at ``path``, which has to be there."""
    found = element.find(path)
    assert found is not None, path
    return found


def ids(element: ET.Element, path: str) -> list[int]:
    """Return the numbers of a list such as GROUPS or VMS."""
    return [int(item.text or "0") for item in element.findall(f"{path}/ID")]


def set_ids(element: ET.Element, path: str, numbers: Iterable[int]) -> None:
    """Replace the numbers of a list such as GROUPS or VMS."""
    place = child(element, path)
    place.clear()
    for item in sorted(set(numbers)):
        ET.SubElement(place, "ID").text = str(item)


def sort_attributes(template: ET.Element) -> None:
    """Put attributes in the order in which oned gives them: by name, those of the same name as they came."""
    template[:] = sorted(template, key=lambda attribute: attribute.tag)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do what with which objects, as one number each."""

    user: int
    resource: int
    rights: int
    zone: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    uid: int
    gids: tuple[int, ...]
    """The primary group first."""

    @property
    def is_admin(self) -> bool:
        return self.uid == 0 or 0 in self.gids


class Cloud:
    """Everything that a front-end keeps; ``lock`` is held while a call acts."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.lock = threading.RLock()
        self.objects: dict[str, dict[int, ET.Element]] = {name: {} for name in KINDS}
        self.next_ids = dict.fromkeys(KINDS, 0) | FIRST_IDS
        self.rules: dict[int, Rule] = {}
        """Access rules by number."""
        self.locks: set[tuple[str, int]] = set()
        """(kind, id) of locked objects."""
        self.files: dict[str, bytes] = {}
        """Files on the front-end's disk, by path; others are looked up on the real one."""
        self.contents: dict[int, bytes] = {}
        """What was copied into each image."""
        self.image_delay_s = 0.0
        self.vnet_delay_s = 0.0
        self.vm_delay_s = 0.0
        self.next_image_error: str | None = None
        """The next image to be copied ends in ERROR with this reason."""
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._fill()

    # objects

    def find(self, kind: str, object_id: int) -> ET.Element:
        """Return an object; raises RefusedError without it."""
        found = self.objects[kind].get(object_id)
        if found is None:
            raise RefusedError(NO_EXISTS, f"Error getting {KINDS[kind].label} [{object_id}].", object_id)
        return found

    def prototype(self, kind: str, name: str) -> ET.Element:
        """Return a recorded object without its attributes, to be filled."""
        tree = load_recording(self.version, name).tree
        template = tree.find("TEMPLATE")
        if template is not None:
            template.clear()
        assert tree.tag == KINDS[kind].root
        return tree

    def add(self, kind: str, tree: ET.Element) -> int:
        """Give ``tree`` the next number and keep it."""
        object_id = self.next_ids[kind]
        self.next_ids[kind] += 1
        put(tree, "ID", object_id)
        self.objects[kind][object_id] = tree
        return object_id

    def own(self, tree: ET.Element, caller: Caller) -> None:
        """Make the caller the owner of a new object."""
        self.set_owner(tree, caller.uid, caller.gids[0])

    def set_owner(self, tree: ET.Element, uid: int, gid: int) -> None:
        put(tree, "UID", uid)
        put(tree, "GID", gid)
        put(tree, "UNAME", self.find("user", uid).findtext("NAME"))
        put(tree, "GNAME", self.find("group", gid).findtext("NAME"))

    def parse(self, text: str, *, prefix: str = "") -> list[ET.Element]:
        """Return the attributes of a template text; raises RefusedError if oned cannot read it."""
        try:
            return parse_template(text, self.version)
        except MalformedError as error:
            raise RefusedError(INTERNAL, f"{prefix}{error}") from None

    def check_new_name(self, kind: str, name: str, uid: int) -> None:
        """Refuse a name that is wrong or taken."""
        described = KINDS[kind]
        code = described.allocate_code[self.version != "6.10"]
        prefix = f"Error allocating a new {described.label}. " if code == ALLOCATE else ""
        problem = wrong_name(name)
        if problem:
            end = "." if kind == "user" else ""
            raise RefusedError(code, f"{prefix}{problem}{end}")
        taken = self.named(kind, name, uid)
        if taken is not None:
            raise RefusedError(code, f"{prefix}NAME is already taken by {described.auth} {number(taken)}.")

    def named(self, kind: str, name: str, uid: int) -> ET.Element | None:
        """Return the object of that name: of that owner, if the kind has owners."""
        for tree in self.objects[kind].values():
            if tree.findtext("NAME") == name and (not KINDS[kind].owned or number(tree, "UID") == uid):
                return tree
        return None

    # time

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something when ``delay_s`` is over, at once if it is 0: seen by the next call."""
        with self.lock:
            heapq.heappush(self._later, (time.monotonic() + delay_s, next(self._order), act))

    def catch_up(self) -> None:
        """Do what was due."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()

    def hurry(self) -> None:
        """Do at once all that was put off."""
        with self.lock:
            self._later = [(0.0, order, act) for _, order, act in sorted(self._later, key=lambda item: item[:2])]
            self.catch_up()

    # rights

    def authenticate(self, session: str) -> Caller:
        """Return the caller; raises RefusedError for an unknown user or a wrong password."""
        name, _, password = session.partition(":")
        user = self.named("user", name, -1)
        if user is None or user.findtext("PASSWORD") != hashed(password):
            raise RefusedError(AUTHENTICATION, "User couldn't be authenticated, aborting call.")
        primary = number(user, "GID")
        return Caller(number(user), (primary, *(gid for gid in ids(user, "GROUPS") if gid != primary)))

    def may(self, caller: Caller, right: str, kind: str, tree: ET.Element) -> bool:
        """Whether the caller has USE, MANAGE or ADMIN on an object: by its permissions or the front-end's own ACLs."""
        if caller.is_admin:
            return True
        if kind in {"vn", "datastore"} and right == "USE" and number(tree, "UID") == 0:
            return True  # acl.info: @1 NET/* USE #0, @1 DATASTORE/* USE #0, and the same for each new group
        if kind == "user":
            return number(tree) == caller.uid and right != "ADMIN"
        if kind == "group":
            return number(tree) in caller.gids and right == "USE"
        if not KINDS[kind].owned:
            return False
        bit = right[0]
        rights = [f"OTHER_{bit}"]
        if number(tree, "UID") == caller.uid:
            rights.append(f"OWNER_{bit}")
        if number(tree, "GID") in caller.gids:
            rights.append(f"GROUP_{bit}")
        return any(tree.findtext(f"PERMISSIONS/{one}") == "1" for one in rights)

    def authorize(self, caller: Caller, right: str, kind: str, tree: ET.Element) -> None:
        """Refuse what the caller may not do."""
        auth, object_id = KINDS[kind].auth, number(tree)
        if not self.may(caller, right, kind, tree):
            message = f"User [{caller.uid}] : Not authorized to perform {right} {auth} [{object_id}]."
            raise RefusedError(AUTHORIZATION, message)
        if right != "USE" and (kind, object_id) in self.locks:
            raise RefusedError(AUTHORIZATION, f"User [{caller.uid}] : {auth} is locked. [{object_id}].")

    def add_rule(self, rule: Rule) -> int:
        """Keep an access rule, and return its number."""
        number_ = max(self.rules, default=-1) + 1
        self.rules[number_] = rule
        return number_

    def authorize_create(self, caller: Caller, kind: str) -> None:
        """Refuse to make objects without a rule: in the beginning the group users has one for some kinds."""
        bit = next((bit for bit, name in RESOURCES.items() if name == KINDS[kind].auth), 0)
        groups = {0x200000000 | gid for gid in caller.gids}
        free = any(rule.user in groups and rule.resource & bit and rule.rights & 0x8 for rule in self.rules.values())
        if not caller.is_admin and not free:
            message = f"User [{caller.uid}] : Not authorized to perform CREATE {KINDS[kind].auth}."
            raise RefusedError(AUTHORIZATION, message)

    # the beginning

    def _fill(self) -> None:
        """Make what a fresh front-end of the recordings had: two users, two groups, a cluster, hosts, datastores."""
        quotas = ("DATASTORE_QUOTA", "NETWORK_QUOTA", "VM_QUOTA", "IMAGE_QUOTA")
        for kind, full in (("group", "group.info"), ("user", "user.info__oneadmin")):
            whole = load_recording(self.version, full).tree
            for entry in load_recording(self.version, f"{kind}pool.info").tree.findall(KINDS[kind].root):
                tree = copy.deepcopy(entry)
                tree.extend(copy.deepcopy(part) for part in whole if tree.find(part.tag) is None)
                if tree.find("VLAN_RULES/ID") is not None:
                    put(tree, "VLAN_RULES/ID", number(tree))
                assert all(tree.find(quota) is not None for quota in quotas)
                self._keep(kind, tree)
        put(self.find("user", 0), "PASSWORD", hashed("opennebula"))
        for tree in load_recording(self.version, "acl.info").tree:
            rule = Rule(*(int(tree.findtext(name) or "", 16) for name in ("USER", "RESOURCE", "RIGHTS", "ZONE")))
            if rule.user != 0x200000000 | FIRST_IDS["group"]:
                self.rules[number(tree)] = rule
        for kind in ("cluster", "host", "datastore", "secgroup"):
            for tree in load_recording(self.version, f"{kind}pool.info").tree:
                self._keep(kind, copy.deepcopy(tree))
        for name in ("host.info__monitored-dummy", "host.info__with-vm"):
            monitored = load_recording(self.version, name).tree
            child(self.find("host", number(monitored)), "MONITORING").extend(child(monitored, "MONITORING"))

    def _keep(self, kind: str, tree: ET.Element) -> None:
        self.objects[kind][number(tree)] = tree
        self.next_ids[kind] = max(self.next_ids[kind], number(tree) + 1)


def wrong_name(name: str) -> str:
    """Return what is wrong with an object's name; empty if nothing."""
    if not name:
        return "Invalid NAME, it cannot be empty"
    if len(name.encode()) > 128:
        return "Invalid NAME, max length is 128 chars"
    found = _FORBIDDEN.search(name)
    return f"Invalid NAME, char '{found[0]}' is not allowed" if found else ""


def hashed(password: str) -> str:
    """Return how a password is kept."""
    return hashlib.sha256(password.encode()).hexdigest()
