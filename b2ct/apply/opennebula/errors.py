"""What an OpenNebula front-end refuses, and what it means: one error class per code, one sentence per message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar

from b2ct.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable


class OneCode(IntEnum):
    """The third value of an answer (OpenNebula 6.10 XML-RPC API, "Errors"), and the XML-RPC faults of xmlrpc-c 1.33."""

    AUTHENTICATION = 0x0100
    AUTHORIZATION = 0x0200
    NO_EXISTS = 0x0400
    ACTION = 0x0800
    XML_RPC_API = 0x1000
    INTERNAL = 0x2000
    ALLOCATE = 0x4000
    LOCKED = 0x8000
    FAULT_TYPE = -501
    FAULT_PARSE = -503
    FAULT_NO_METHOD = -506


class Trouble(StrEnum):
    """What went wrong, whatever the code: servers give one trouble different codes in different versions and calls."""

    PASSWORD = "password"  # noqa: S105 - the name of a trouble
    NOT_AUTHORIZED = "not authorized"
    RESTRICTED = "restricted attribute"
    QUOTA = "quota"
    NO_SUCH_OBJECT = "no such object"
    NAME_TAKEN = "name taken"
    BAD_NAME = "bad name"
    TEMPLATE_SYNTAX = "template syntax"
    MISSING_ATTRIBUTE = "missing attribute"
    NO_SPACE = "no space"
    WRONG_DATASTORE = "wrong datastore"
    SOURCE_REFUSED = "source refused"
    SOURCE_MISSING = "source missing"
    FORBIDDEN_FOLDER = "forbidden folder"
    IN_USE = "in use"
    LOCKED = "locked"
    WRONG_STATE = "wrong state"
    ADDRESS = "address"
    SEARCH = "search"
    CALL = "call"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a front-end's message means: the trouble, a sentence, what to do about it."""

    trouble: Trouble
    sentence: str
    hint: str | None = None


class OneError(RemoteError):
    """The front-end refused a call.

    ``object_id`` is the object that the answer names, ``taken_by`` the one that has the name already; None if none.
    """

    code: ClassVar[int] = 0

    def __init__(self, method: str, code: int, server_message: str, object_id: int | None = None) -> None:
        meaning = explain(server_message)
        super().__init__(f"OpenNebula refused {method}: {meaning.sentence}", hint=meaning.hint)
        self.method = method
        self.server_code = code
        self.server_message = server_message
        self.object_id = object_id if object_id is not None and object_id >= 0 else None
        self.trouble = meaning.trouble
        taken = _TAKEN.search(server_message)
        self.taken_by = int(taken["id"]) if taken else None


class OneAuthenticationError(OneError):
    """The user is unknown, or the password or token is wrong."""

    code = OneCode.AUTHENTICATION


class OneAuthorizationError(OneError):
    """The user may not do this, or a quota is used up."""

    code = OneCode.AUTHORIZATION


class OneNoSuchObjectError(OneError):
    """An object that the call names does not exist."""

    code = OneCode.NO_EXISTS


class OneStateError(OneError):
    """The object is in a state in which this cannot be done, or it is in use."""

    code = OneCode.ACTION


class OneParameterError(OneError):
    """The call's parameters are wrong."""

    code = OneCode.XML_RPC_API


class OneInternalError(OneError):
    """The front-end could not do it: a taken name, a template that it cannot read, or a fault of its own."""

    code = OneCode.INTERNAL


class OneAllocateError(OneError):
    """The object could not be made."""

    code = OneCode.ALLOCATE


class OneLockedError(OneError):
    """Somebody locked the object."""

    code = OneCode.LOCKED


class OneFaultError(OneError):
    """The front-end did not accept the call itself: an XML-RPC fault (codes below zero)."""


READING = re.compile(r"\w+\.(info|infoextended|infoset|version|config)")
"""The calls that change nothing, and so can be made twice."""


class OneLostError(RemoteError):
    """No answer came, so nobody knows whether an acting call took effect; asking with an ``info`` call tells.

    ``sent`` is False only if the call certainly did not reach the front-end.
    """

    def __init__(self, method: str, endpoint: str, reason: str, *, sent: bool, hint: str | None = None) -> None:
        doubt = "; it may have taken effect" if sent and not READING.fullmatch(method) else ""
        super().__init__(f"{endpoint}: {method}: {reason}{doubt}", hint=hint)
        self.method = method
        self.endpoint = endpoint
        self.sent = sent


class OneUnreachableError(OneLostError):
    """The front-end cannot be reached, or the connection broke."""


class OneTimeoutError(OneLostError):
    """The front-end took longer than the time-out."""


class OneBadAnswerError(OneLostError):
    """What answers is no front-end that we can trust: its certificate, an HTTP error, not XML-RPC, too long."""


class OneVersionError(RemoteError):
    """The front-end is older than what B2CT supports."""


_CLASSES: dict[int, type[OneError]] = {kind.code: kind for kind in OneError.__subclasses__() if kind.code}


def make_error(method: str, code: int, server_message: str, object_id: int | None = None) -> OneError:
    """Return the error for a refused call; ``method`` as in ``image.allocate``, ``code`` as the server gave it."""
    kind = _CLASSES.get(code, OneFaultError if code < 0 else OneError)
    return kind(method, code, server_message, object_id)


def explain(server_message: str) -> Meaning:
    """Return what a front-end's message means: of a refused call, or the ERROR attribute of an image or network."""
    text = _PREFIX.sub("", " ".join(server_message.split()))
    for pattern, make in _MEANINGS:
        found = pattern.search(text)
        if found:
            return make(found)
    return Meaning(Trouble.OTHER, f"{text.rstrip('.')}." if text else "it gave no reason.")


_PREFIX = re.compile(r"^\[[a-z0-9_.]+\] |^\w{3} \w{3} \d+ [\d:]+ \d{4} : ")
"""Every message of a refused call starts with the method's name, and an ERROR attribute with the time."""

_TAKEN = re.compile(r"NAME is already taken by (?P<kind>[A-Z_ ]+) (?P<id>\d+)")

_RULES: tuple[tuple[str, Trouble, str, str | None], ...] = (
    (
        r"couldn't be authenticated",
        Trouble.PASSWORD,
        "the user or the password is wrong.",
        "see opennebula.password, or the file of ONE_AUTH (~/.one/one_auth); an expired token gives the same answer",
    ),
    (
        _TAKEN.pattern,
        Trouble.NAME_TAKEN,
        "the name is already taken by {kind} {id}.",
        "choose another name, or rename or delete the other object",
    ),
    (
        r"cannot be renamed to (?P<name>.+) because it collides with (?P<kind>.+) (?P<id>\d+)",
        Trouble.NAME_TAKEN,
        "the name {name} is already taken by {kind} {id}.",
        "choose another name",
    ),
    (
        r"limit of (?P<limit>[\d.]+) reached for (?P<what>\w+) quota in (?P<where>\w+(?: with ID: \d+)?)",
        Trouble.QUOTA,
        "the quota of {limit} {what} in {where} is used up.",
        "delete what is no longer needed, or ask the cloud's admin for a larger quota",
    ),
    (
        r"includes a restricted attribute (?P<name>\S+?)\.?$",
        Trouble.RESTRICTED,
        "only the cloud's admins may set {name}.",
        "leave it out, or work as a user of the group oneadmin (VM_RESTRICTED_ATTR and the like in oned.conf)",
    ),
    (
        r"(?P<kind>[A-Z]+) is locked\. \[(?P<id>\d+)\]",
        Trouble.LOCKED,
        "{kind} {id} is locked.",
        "unlock it with `oneimage unlock` or `onetemplate unlock`, or leave it to who locked it",
    ),
    (
        r"Not authorized to perform (?P<act>[A-Z]+) (?P<what>.+?)\.?$",
        Trouble.NOT_AUTHORIZED,
        "the user may not {act} {what}.",
        "the owner or an admin changes its permissions, or the ACLs (`oneacl list`)",
    ),
    (
        r"Error getting (?P<kind>.+) \[(?P<id>-?\d+)\]",
        Trouble.NO_SUCH_OBJECT,
        "there is no {kind} with the number {id}.",
        "it was deleted, or the number belongs to another cloud",
    ),
    (
        r"DISK (?P<disk>\d+): Image with ID: (?P<id>\d+) does not exist",
        Trouble.NO_SUCH_OBJECT,
        "disk {disk} of the template names image {id}, which does not exist.",
        "import the image again, or put another number into the template",
    ),
    (
        r"Not enough space in datastore",
        Trouble.NO_SPACE,
        "the datastore has not enough space for the image.",
        "delete images that nothing uses, or choose another datastore (`onedatastore list`)",
    ),
    (
        r"[Nn]o space left on device|[Dd]isk quota exceeded",
        Trouble.NO_SPACE,
        "the datastore's disk is full.",
        "make room there (`df` on the front-end), or choose another datastore (`onedatastore list`)",
    ),
    (
        r"New images can only be allocated in a files or image datastore",
        Trouble.WRONG_DATASTORE,
        "images cannot be put into a system datastore.",
        "choose a datastore of the type img (`onedatastore list`)",
    ),
    (
        r"Not allowed to copy image from (?P<path>\S+?),? check (?:\w+) in your datastore",
        Trouble.FORBIDDEN_FOLDER,
        "the datastore does not let images be copied from {path}.",
        "put the file into a folder of the datastore's SAFE_DIRS, or let the admin add its folder there",
    ),
    (
        r"cannot access '(?P<path>https?://[^']*)'",
        Trouble.SOURCE_REFUSED,
        "the front-end cannot fetch {path}.",
        "the front-end itself has to reach this address: check the firewall; an upload's address is set with --bind",
    ),
    (
        r"cannot access '(?P<path>[^']*)' \((?P<reason>[^)]*)\)",
        Trouble.SOURCE_MISSING,
        "the front-end cannot read {path}: {reason}.",
        "the path is one on the front-end, and its user oneadmin has to be able to read it",
    ),
    (
        r"Image locked, use --force|in wrong state: LOCK",
        Trouble.LOCKED,
        "the object is still being made.",
        "wait until it is ready",
    ),
    (
        r"There are (?P<count>\d+) VMs using it",
        Trouble.IN_USE,
        "VMs use the image ({count}).",
        "terminate them first, or leave the image until they are gone",
    ),
    (
        r"Can not remove a (?P<kind>.+) with (?P<what>.+?)(?: in use)?$",
        Trouble.IN_USE,
        "the {kind} still has {what}.",
        "terminate the VMs that use it first",
    ),
    (
        r"not available for state (?P<state>\w+)|wrong state:? (?P<state2>\w+)",
        Trouble.WRONG_STATE,
        "it is not possible in the state {state}{state2}.",
        "look at the object's state, and wait or recover it",
    ),
    (
        r"Wrong or empty IP attribute",
        Trouble.ADDRESS,
        "an address range has no valid first IP address.",
        "correct the IP of the network's AR",
    ),
    (
        r"Invalid NAME, (?P<reason>.+?)\.?$",
        Trouble.BAD_NAME,
        "the name is not allowed: {reason}.",
        "at most 128 characters, none of & | : \\ \" ; / ' # {{ }} $ < >",
    ),
    (
        r"Parse error\.$",
        Trouble.TEMPLATE_SYNTAX,
        "it cannot read the template text.",
        "a value cannot hold ]]>",
    ),
    (
        r"Parse error:? ?(?P<reason>.*?)(?: at line \d+.*)?\.?$",
        Trouble.TEMPLATE_SYNTAX,
        "it cannot read the template text (parse error: {reason}).",
        None,
    ),
    (
        r"Cannot parse image SIZE: Wrong number or missing SIZE",
        Trouble.MISSING_ATTRIBUTE,
        "the image's template has neither PATH nor SIZE.",
        "give one of them",
    ),
    (
        r"No (?P<name>\w+) in template",
        Trouble.MISSING_ATTRIBUTE,
        "the template lacks {name}.",
        "add it",
    ),
    (
        r"Unknown type",
        Trouble.MISSING_ATTRIBUTE,
        "the image's TYPE is none that OpenNebula knows.",
        "one of OS, CDROM, DATABLOCK, KERNEL, RAMDISK, CONTEXT",
    ),
    (
        r"search is not supported by the SQL backend",
        Trouble.SEARCH,
        "its database cannot search.",
        None,
    ),
    (
        r"Action \"(?P<name>[^\"]*)\" is not supported",
        Trouble.CALL,
        "it does not know the action {name}.",
        None,
    ),
    (
        r"Method '(?P<name>[\w.]+)' not defined",
        Trouble.CALL,
        "it does not know the call {name}.",
        "the address is one of another service, or of an unsupported version",
    ),
    (
        r"Not enough parameters|supposed to be|not a proper XML-RPC call",
        Trouble.CALL,
        "it does not understand the call.",
        "the address is one of another service or an unsupported version, or a text holds control characters",
    ),
)
"""Pattern, trouble, sentence, hint; the first that fits counts. Messages as recorded from 6.10.5 and 7.4.0."""


def _maker(trouble: Trouble, sentence: str, hint: str | None) -> Callable[[re.Match[str]], Meaning]:
    """Return what makes the meaning of a message that a rule's pattern fits; groups that are absent stay empty."""

    def make(found: re.Match[str]) -> Meaning:
        words = {key: value or "" for key, value in found.groupdict().items()}
        return Meaning(trouble, sentence.format(**words), hint.format() if hint else None)

    return make


_MEANINGS = tuple((re.compile(pattern), _maker(trouble, sentence, hint)) for pattern, trouble, sentence, hint in _RULES)
