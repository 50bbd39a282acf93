"""Checks of the system inside an image: what it needs to become a machine, and what it must not bring along."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from b2ct.apply.agent import AGENT_UNIT, AGENT_UNITS, ZIPAPP_PATH
from b2ct.apply.checks import ABSENT, NOTHING, Verdict, judge
from b2ct.plan.image import Contextualization

if TYPE_CHECKING:
    from collections.abc import Callable

    from b2ct.apply.image.check_files import GuestFiles

_WANTS = "/etc/systemd/system/multi-user.target.wants"
_TITLE_LIMIT = 80

_LEFTOVERS = (
    "/var/lib/systemd/random-seed",
    "/etc/apt/auth.conf",
    "/etc/grid-security/hostkey.pem",
    "/etc/krb5.keytab",
    "/root/anaconda-ks.cfg",
    "/root/original-ks.cfg",
    "/etc/udev/rules.d/70-persistent-net.rules",
)
"""Files that machines of one image must not share, or that tell how it was made."""

_PRIVATE = (".aws", ".docker", ".git-credentials", ".globus", ".gnupg", ".kube", ".netrc")
"""What keeps keys and passwords in a home folder, beside ``.ssh``."""

_STATE_FOLDERS = ("/var/lib/cloud/instances", "/var/lib/cloud/seed", "/tmp", "/var/tmp")  # noqa: S108 (the guest's)
_CACHES = ("/var/lib/apt/lists", "/var/cache/apt", "/var/cache/dnf", "/var/cache/yum", "/var/cache/PackageKit")
_CACHE_BYTES = 1024**2
"""What caches may hold: lock files and a few indexes."""

_DOTS = frozenset({".", ".."})
_LOCKED = re.compile(r"[!*]")


@dataclass(frozen=True, slots=True)
class Guest:
    """The system on one file system of a disk."""

    files: GuestFiles
    device: str
    """In GRUB's words, ``loop0,gpt3``."""
    release: dict[str, str]
    """os-release(5)."""

    @property
    def title(self) -> str:
        """Its name for people, printable."""
        name = self.release.get("PRETTY_NAME") or self.release.get("ID") or "a system without a name"
        return "".join(c for c in name if c.isprintable())[:_TITLE_LIMIT]

    def has(self, path: str) -> bool:
        """Return whether there is such a file or folder."""
        return self.files.has(self.device, path)

    def read_text(self, path: str) -> str | None:
        """Return the text of a file; None when there is none."""
        return self.files.read_text(self.device, path)

    def list_folder(self, folder: str) -> dict[str, int]:
        """Return the sizes of what is in a folder; empty when there is none."""
        return self.files.list_folder(self.device, folder)

    def files_below(self, folder: str) -> dict[str, int]:
        """Return the sizes of all files below a folder."""
        return self.files.files_below(self.device, folder)


def find_guest(files: GuestFiles) -> Guest | None:
    """Return the system on a disk: the first file system with an os-release; None when none can be read.

    Raises:
        ToolError: grub-fstest cannot be run.
    """
    for device in files.devices():
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            text = files.read_text(device, path)
            if text:
                return Guest(files, device, parse_os_release(text))
    return None


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release(5) file; lines that are none are passed over."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        found[name] = " ".join(words)
    return found


def find_contextualization(guest: Guest) -> tuple[Contextualization, ...]:
    """Return the programs in the guest that read a machine's context."""
    found = []
    if guest.has("/usr/bin/cloud-init") and not guest.has("/etc/cloud/cloud-init.disabled"):
        found.append(Contextualization.CLOUD_INIT)
    if guest.has("/usr/sbin/one-contextd"):
        found.append(Contextualization.ONE_CONTEXT)
    return tuple(found)


def _check_context(guest: Guest) -> Verdict:
    found = find_contextualization(guest)
    if not found:
        return Verdict(ok=False, detail="neither cloud-init nor one-context: nothing reads a machine's context")
    if len(found) > 1:
        return Verdict(ok=False, detail="cloud-init and one-context would both set up the machine: remove one")
    return Verdict(ok=True, detail=found[0].value)


def has_agent(guest: Guest) -> bool:
    """Return whether the VM agent is inside."""
    return guest.has(f"/{ZIPAPP_PATH}")


def _check_agent(guest: Guest) -> Verdict:
    if not has_agent(guest):
        return NOTHING
    units = guest.list_folder("/usr/lib/systemd/system")
    problems = [f"{unit} is missing" for unit in AGENT_UNITS if unit not in units]
    if AGENT_UNIT not in guest.list_folder(_WANTS):
        problems.append(f"{AGENT_UNIT} is not enabled")
    return judge(problems, f"{AGENT_UNIT} is enabled")


def has_cvmfs(guest: Guest) -> bool:
    """Return whether the CVMFS client is inside."""
    return guest.has("/usr/bin/cvmfs2")


def _check_cvmfs(guest: Guest) -> Verdict:
    if not has_cvmfs(guest):
        return Verdict(ok=True, detail=f"{ABSENT}: workers need it")
    problems = [] if guest.has("/etc/auto.master.d/cvmfs.autofs") or guest.has("/etc/auto.master") else ["no autofs"]
    return judge(problems, "the client is there")


def _check_machine_id(guest: Guest) -> Verdict:
    problems = []
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        text = (guest.read_text(path) or "").strip()
        if text not in ("", "uninitialized"):
            problems.append(f"{path} is set: all machines would have the same")
    return judge(problems, "empty")


def _check_host_keys(guest: Guest) -> Verdict:
    keys = sorted(name for name in guest.list_folder("/etc/ssh") if re.match(r"ssh_host_.*key", name))
    return judge([f"/etc/ssh/{_shown(key)} would be every machine's" for key in keys], "none")


def _check_accounts(guest: Guest) -> Verdict:
    """No password opens an account; hashes are compared with nothing and shown nowhere."""
    text = guest.read_text("/etc/shadow")
    if not text:
        return Verdict(ok=False, detail="/etc/shadow cannot be read")
    problems = []
    for line in text.splitlines():
        name, *rest = line.split(":")
        if rest and not _LOCKED.match(rest[0]):
            what = "has a password" if rest[0] else "needs no password"
            problems.append(f"{_shown(name)} {what}")
    return judge(problems, "root and all others are locked")


def _check_leftovers(guest: Guest) -> Verdict:
    problems = [path for path in _LEFTOVERS if guest.has(path)]
    problems += [f"files in {folder}" for folder in _STATE_FOLDERS if guest.list_folder(folder).keys() - _DOTS]
    people = guest.list_folder("/home").keys() - _DOTS
    for home in ("/root", *(f"/home/{name}" for name in sorted(people))):
        problems += _find_private(guest, home)
    return judge(problems, "none")


def _find_private(guest: Guest, home: str) -> list[str]:
    """Return the paths in a home folder that hold keys, passwords or what somebody typed."""
    names = guest.list_folder(home).keys()
    found = [name for name in names if name in _PRIVATE or name.endswith("_history")]
    if ".ssh" in names:
        found += [f".ssh/{name}" for name in guest.list_folder(f"{home}/.ssh").keys() - _DOTS]
    return [_shown(f"{home}/{name}") for name in sorted(found)]


def _check_logs(guest: Guest) -> Verdict:
    logs = {path: size for path, size in guest.files_below("/var/log").items() if size}
    return judge([f"/var/log/{_shown(path)} ({size} bytes)" for path, size in sorted(logs.items())], "none")


def _check_caches(guest: Guest) -> Verdict:
    sizes = {folder: sum(guest.files_below(folder).values()) for folder in _CACHES}
    return judge([f"{path} holds {size} bytes" for path, size in sizes.items() if size > _CACHE_BYTES], "none")


def _shown(name: str) -> str:
    """Return a name from inside an image so that it can be printed."""
    return "".join(c if c.isprintable() else "?" for c in name)[:_TITLE_LIMIT]


CHECKS: tuple[tuple[str, Callable[[Guest], Verdict]], ...] = (
    ("contextualization", _check_context),
    ("agent", _check_agent),
    ("CVMFS client", _check_cvmfs),
    ("machine id", _check_machine_id),
    ("host keys", _check_host_keys),
    ("accounts", _check_accounts),
    ("leftovers", _check_leftovers),
    ("logs", _check_logs),
    ("caches", _check_caches),
)
