"""What can be set, how each value is checked, and its default."""

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from b2ct_vmagent.errors import AgentError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+")
_PROXY = re.compile(r"DIRECT|auto|https?://[A-Za-z0-9._\[\]:-]+/?")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9_.:+/-]*")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/-]*)?")


class Settings(NamedTuple):
    """All settings of one VM, checked."""

    site: str = ""
    vo: str = ""
    kind: str = ""
    flavour: str = ""
    cvmfs_repositories: Tuple[str, ...] = ()
    cvmfs_proxy: str = ""
    cvmfs_quota_mib: Optional[int] = None
    scratch: str = ""
    pilot: str = ""
    onegate_endpoint: str = ""
    vmid: str = ""
    hostname: str = ""
    period_s: int = 300


class Key(NamedTuple):
    """One setting: its name in agent.conf, the context variables that also give it, and what reads its text."""

    option: str
    variables: Tuple[str, ...]
    read: Callable[[str], Any]


class Value(NamedTuple):
    """A setting's text and the file that it comes from."""

    text: str
    origin: str


def _text(text: str) -> str:
    if len(text) > 128 or not text.isprintable():
        raise AgentError("at most 128 characters, none of them a control character")
    return text


def _repositories(text: str) -> Tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if len(name) > 64 or not _REPOSITORY.fullmatch(name):
            raise AgentError("{!r} is no name of a CVMFS repository, such as belle.cern.ch".format(name))
    return names


def _proxy(text: str) -> str:
    for member in re.split(r"[;|]", text):
        if not _PROXY.fullmatch(member):
            raise AgentError("{!r} is no proxy, such as http://squid.example.org:3128 or DIRECT".format(member))
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise AgentError("has to be a whole number from {} to {}".format(low, high))
        return int(text)

    return read


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text) or ".." in text.split("/"):
        raise AgentError("has to be a device, such as /dev/vdb")
    return text


def _command(text: str) -> str:
    if len(text) > 1000 or not text.isprintable():
        raise AgentError("has to be one line for the shell, at most 1000 characters")
    return text


def _endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise AgentError("has to be a URL, such as http://169.254.16.9:5030")
    return text.rstrip("/")


def _vmid(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise AgentError("has to be a number")
    return text


KEYS = (
    Key("site", ("B2CT_SITE",), _text),
    Key("vo", ("B2CT_VO",), _text),
    Key("kind", ("B2CT_KIND",), _text),
    Key("flavour", ("B2CT_FLAVOUR",), _text),
    Key("cvmfs_repositories", ("B2CT_CVMFS_REPOSITORIES",), _repositories),
    Key("cvmfs_proxy", ("B2CT_CVMFS_PROXY",), _proxy),
    Key("cvmfs_quota_mib", ("B2CT_CVMFS_QUOTA_MIB",), _number(100, 100000000)),
    Key("scratch", ("B2CT_SCRATCH",), _device),
    Key("pilot", ("B2CT_PILOT",), _command),
    Key("onegate_endpoint", ("ONEGATE_ENDPOINT",), _endpoint),
    Key("vmid", ("VMID",), _vmid),
    Key("hostname", ("SET_HOSTNAME", "NAME"), _text),
    Key("period_s", ("B2CT_PERIOD_S",), _number(1, 3600)),
)
"""Every setting there is; ``vmagent/README.md`` explains them."""


def make_settings(values: Mapping[str, Value]) -> Tuple[Settings, List[str]]:
    """Return the settings that ``values`` (by option) give, and a sentence for each that is wrong.

    A wrong value is left at its default, so that the agent can still start and report it.
    """
    chosen: Dict[str, Any] = {}
    problems = []
    for key in KEYS:
        value = values.get(key.option)
        if value is None or not value.text:
            continue
        try:
            chosen[key.option] = key.read(value.text)
        except AgentError as error:
            problems.append("{}: {}: {}".format(value.origin, key.option, error))
    return Settings(**chosen), problems
