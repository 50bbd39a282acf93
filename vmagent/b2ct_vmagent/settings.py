"""What can be set, how each value is checked, and its default."""

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from b2ct_vmagent.errors import AgentError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+")
_PROXY = re.compile(r"DIRECT|auto|https?://[A-Za-z0-9._\[\]:-]+/?")
_DEVICE = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9_.:+/-]*")
_HTTP = re.compile(r"https?://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/-]*)?")
_HTTPS = re.compile(r"https://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/%-]*)?")
_DIPS = re.compile(r"dips://[A-Za-z0-9.-]+:[0-9]{1,5}/[A-Za-z0-9]+/[A-Za-z0-9]+")
_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}")

MOST_PILOTS = 256


class Settings(NamedTuple):
    """All settings of one VM, checked; ``vmagent/README.md`` explains them."""

    site: str = ""
    vo: str = ""
    kind: str = ""
    flavour: str = ""
    cvmfs_repositories: Tuple[str, ...] = ()
    cvmfs_proxy: str = ""
    cvmfs_quota_mib: Optional[int] = None
    scratch: str = ""
    pilot: str = ""
    pilot_kind: str = "command"
    pilots: str = "node"
    pilot_drain: str = ""
    pilot_again_s: int = 0
    pilot_isolation: str = "auto"
    payload_pattern: str = ""
    dirac_pilot: str = ""
    dirac_pilot_sha256: str = ""
    dirac_options: str = ""
    dirac_version: str = ""
    dirac_servers: Tuple[str, ...] = ()
    dirac_setup: str = ""
    dirac_site: str = ""
    dirac_ce: str = ""
    dirac_queue: str = ""
    dirac_manager: str = ""
    dirac_pod: str = ""
    dirac_image: str = ""
    dirac_instance: str = ""
    condor_collector: str = ""
    condor_domain: str = ""
    condor_token: str = "/etc/b2ct-vm/condor.token"  # noqa: S105 - a file's name
    diracx_url: str = ""
    diracx_token: str = "/etc/b2ct-vm/diracx.token"  # noqa: S105 - a file's name
    certificate: str = "/etc/b2ct-vm/hostcert.pem"
    key: str = "/etc/b2ct-vm/hostkey.pem"
    ca_path: str = "/etc/grid-security/certificates"
    credentials: str = "file"
    report_file: str = ""
    heartbeat_s: int = 300
    stop: str = "auto"
    stop_no_jobs_s: int = 600
    stop_no_cpu_s: int = 0
    stop_fizzle_s: int = 1800
    stop_silent_s: int = 86400
    stop_unready_s: int = 3600
    max_lifetime_s: int = 1209600
    grace_s: int = 3600
    save_logs: str = ""
    hs06: float = 0.0
    onegate_endpoint: str = ""
    vmid: str = ""
    hostname: str = ""
    period_s: int = 300

    @property
    def has_pilot(self) -> bool:
        """Whether this machine is to run pilots at all."""
        return {"command": bool(self.pilot), "dirac": bool(self.dirac_pilot), "htcondor": True}[self.pilot_kind]

    @property
    def has_end(self) -> bool:
        """Whether this machine goes after some time whatever it does."""
        return self.has_pilot and self.stop != "never" and self.max_lifetime_s > 0


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


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}", text):
        raise AgentError("letters, digits and . _ : + - only, at most 128")
    return text


def _repositories(text: str) -> Tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if len(name) > 64 or not _REPOSITORY.fullmatch(name):
            raise AgentError("{!r} is no name of a CVMFS repository, such as belle.cern.ch".format(name))
    return names


def _proxy(text: str) -> str:
    for member in re.split(r"[;|]", text):
        if not _PROXY.fullmatch(member) or not _possible(member):
            raise AgentError("{!r} is no proxy, such as http://squid.example.org:3128 or DIRECT".format(member))
    return text


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise AgentError("has to be a whole number from {} to {}".format(low, high))
        return int(text)

    return read


def _decimal(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise AgentError("has to be a number, such as 12.5")
    return float(text)


def _choice(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise AgentError("has to be one of {}".format(", ".join(words)))
        return text

    return read


def _pilots(text: str) -> str:
    if text not in {"node", "core"} and not (re.fullmatch("[0-9]{1,3}", text) and 1 <= int(text) <= MOST_PILOTS):
        raise AgentError("has to be node, core, or a number from 1 to {}".format(MOST_PILOTS))
    return text


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text) or ".." in text.split("/"):
        raise AgentError("has to be a device, such as /dev/vdb")
    return text


def _command(text: str) -> str:
    if len(text) > 1000 or not text.isprintable():
        raise AgentError("has to be one line for the shell, at most 1000 characters")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(_command(text))
    except re.error as error:
        raise AgentError("is no regular expression: {}".format(error))
    return text


def _matching(pattern: "re.Pattern[str]", example: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > 300 or not pattern.fullmatch(text) or ".." in text.split("/") or not _possible(text):
            raise AgentError("has to be {}".format(example))
        return text

    return read


def _possible(text: str) -> bool:
    """Return whether urllib can make a host and a port of a URL or ``host:port``; it raises where it is used else."""
    if "://" not in text and not _ADDRESS.fullmatch(text):
        return True
    try:
        parts = urlsplit(text if "://" in text else "//" + text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _endpoint(text: str) -> str:
    return _matching(_HTTP, "a URL, such as http://169.254.16.9:5030")(text).rstrip("/")


def _diracx(text: str) -> str:
    """Tokens go there: in the clear on this machine alone."""
    local = re.match(r"http://(localhost|127\.0\.0\.1|\[::1\])[:/]", text)
    if not text.startswith("https:") and local is None:
        raise AgentError("has to be an https URL, such as https://diracx.example.org")
    return _endpoint(text)


def _servers(text: str) -> Tuple[str, ...]:
    read = _matching(_DIPS, "URLs with commas between, such as dips://dirac.example.org:9135/Configuration/Server")
    return tuple(read(url.strip()) for url in text.split(",") if url.strip())


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise AgentError("has to be 64 hexadecimal digits")
    return text.lower()


def _vmid(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise AgentError("has to be a number")
    return text


_path = _matching(_PATH, "an absolute path")
_service = _matching(_DIPS, "a URL such as dips://dirac.example.org:9163/WorkloadManagement/VirtualMachineManager")
_address = _matching(_ADDRESS, "host:port")
_pilot_script = _matching(re.compile("{}|{}".format(_PATH.pattern, _HTTPS.pattern)), "an absolute path or an https URL")
_place = _pilot_script
_own_file = _matching(
    re.compile(r"/(var/lib|run)/b2ct-vm/[A-Za-z0-9._+-]+"), "a file in /var/lib/b2ct-vm or /run/b2ct-vm"
)
_seconds = _number(0, 99999999)


def _key(option: str, read: Callable[[str], Any]) -> Key:
    return Key(option, ("B2CT_" + option.upper(),), read)


KEYS = (
    _key("site", _text),
    _key("vo", _text),
    _key("kind", _text),
    _key("flavour", _text),
    _key("cvmfs_repositories", _repositories),
    _key("cvmfs_proxy", _proxy),
    _key("cvmfs_quota_mib", _number(100, 100000000)),
    _key("scratch", _device),
    _key("pilot", _command),
    _key("pilot_kind", _choice("command", "dirac", "htcondor")),
    _key("pilots", _pilots),
    _key("pilot_drain", _command),
    _key("pilot_again_s", _seconds),
    _key("pilot_isolation", _choice("auto", "process", "container")),
    _key("payload_pattern", _pattern),
    _key("dirac_pilot", _pilot_script),
    _key("dirac_pilot_sha256", _sha256),
    _key("dirac_options", _command),
    _key("dirac_version", _word),
    _key("dirac_servers", _servers),
    _key("dirac_setup", _word),
    _key("dirac_site", _word),
    _key("dirac_ce", _word),
    _key("dirac_queue", _word),
    _key("dirac_manager", _service),
    _key("dirac_pod", _word),
    _key("dirac_image", _word),
    _key("dirac_instance", _word),
    _key("condor_collector", _address),
    _key("condor_domain", _word),
    _key("condor_token", _path),
    _key("diracx_url", _diracx),
    _key("diracx_token", _path),
    _key("certificate", _path),
    _key("key", _path),
    _key("ca_path", _path),
    _key("credentials", _choice("file", "onegate")),
    _key("report_file", _own_file),
    _key("heartbeat_s", _number(1, 86400)),
    _key("stop", _choice("auto", "never")),
    _key("stop_no_jobs_s", _seconds),
    _key("stop_no_cpu_s", _seconds),
    _key("stop_fizzle_s", _seconds),
    _key("stop_silent_s", _seconds),
    _key("stop_unready_s", _seconds),
    _key("max_lifetime_s", _seconds),
    _key("grace_s", _seconds),
    _key("save_logs", _place),
    _key("hs06", _decimal),
    Key("onegate_endpoint", ("ONEGATE_ENDPOINT",), _endpoint),
    Key("vmid", ("VMID",), _vmid),
    Key("hostname", ("SET_HOSTNAME", "NAME"), _text),
    _key("period_s", _number(1, 3600)),
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
    settings = Settings(**chosen)
    return settings, problems + _missing(settings)


DIRAC_PILOT_NEEDS = ("dirac_pilot", "dirac_servers", "dirac_site", "dirac_ce", "dirac_queue", "vo")


def _missing(settings: Settings) -> List[str]:
    """Return a sentence for each setting that another one needs."""
    needs = {
        "pilot_kind = dirac": settings.pilot_kind == "dirac" and DIRAC_PILOT_NEEDS,
        "pilot_kind = htcondor": settings.pilot_kind == "htcondor" and ("condor_collector", "condor_domain", "vo"),
        "dirac_manager": settings.dirac_manager and ("dirac_site", "vo"),
        "diracx_url": settings.diracx_url and ("dirac_site", "vo"),
        "credentials = onegate": settings.credentials == "onegate" and ("onegate_endpoint", "vmid"),
    }
    found = [
        "{} needs {}".format(cause, name)
        for cause, names in needs.items()
        for name in names or ()
        if not getattr(settings, name)
    ]
    if settings.dirac_pilot.startswith("https:") and not settings.dirac_pilot_sha256:
        found.append("dirac_pilot by https needs dirac_pilot_sha256")
    return found
