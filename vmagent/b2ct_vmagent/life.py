"""What has happened to this machine since boot; it outlives the agent's own process, and not the machine's."""

import json
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional

from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import make_folder, read_text, write_file
from b2ct_vmagent.log import log
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import Outcome

FORMAT = 1


class Ending(NamedTuple):
    """Why and how this machine is to go."""

    outcome: Outcome
    forced: bool
    """Payloads are not waited for."""
    since_s: float
    """By the monotonic clock, as all times here: it never jumps, and begins anew with each boot."""


class Life:
    """One machine from boot to power-off; every change is on disk before it is acted upon."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.ending: Optional[Ending] = None
        self.unready_s: Optional[float] = None
        """Since when the machine has not been ready; None while it is."""
        self.failures = 0
        """Pilots that failed one after the other."""
        self.halting = False
        """The outcome was told and power-off was asked for, or is about to be."""
        self.began_s: Optional[float] = None
        """When the first pilot was started."""
        self.busy_s: Optional[float] = None
        """When a payload was last seen."""
        self.active_s: Optional[float] = None
        """When the pilots last used the CPU."""
        self.running: List[str] = []
        """Payloads that run, as the monitor tells them apart."""
        self.done = 0
        """Payloads that have ended."""
        self.spent_cpu_s = 0.0
        """CPU time of pilots that have ended."""
        self._written = ""

    @classmethod
    def load(cls, paths: Paths) -> "Life":
        """Return the life so far; a new one after a boot, and when the file is damaged."""
        life = cls(paths.life)
        try:
            document = json.loads(read_text(paths.life) or "{}")
            if document.get("format") == FORMAT:
                life._take(document)
        except (AgentError, ValueError, TypeError, AttributeError, KeyError):
            return cls(paths.life)
        return life

    def _take(self, document: Dict[str, Any]) -> None:
        ending = document["ending"]
        if ending is not None:
            outcome = Outcome(int(ending["code"]), str(ending["text"]))
            self.ending = Ending(outcome, bool(ending["forced"]), float(ending["since_s"]))
        for name in ("began_s", "busy_s", "active_s", "unready_s"):
            setattr(self, name, None if document[name] is None else float(document[name]))
        self.halting = bool(document["halting"])
        self.running = [str(name) for name in document["running"]]
        self.done, self.failures = int(document["done"]), int(document["failures"])
        self.spent_cpu_s = float(document["spent_cpu_s"])

    def save(self) -> None:
        """Write it down, if it has changed.

        Raises:
            AgentError: it cannot be written.
        """
        ending = self.ending
        document = {
            "format": FORMAT,
            "ending": ending
            and {
                "code": ending.outcome.code,
                "text": ending.outcome.text,
                "forced": ending.forced,
                "since_s": ending.since_s,
            },
            "halting": self.halting,
            "began_s": self.began_s,
            "busy_s": self.busy_s,
            "active_s": self.active_s,
            "unready_s": self.unready_s,
            "failures": self.failures,
            "running": self.running,
            "done": self.done,
            "spent_cpu_s": self.spent_cpu_s,
        }
        text = json.dumps(document) + "\n"
        if text != self._written:
            write_file(self._path, text.encode("utf-8"), 0o600)
            self._written = text

    def end(self, outcome: Outcome, *, forced: bool, now_s: float) -> bool:
        """Begin to end, or end by force what ends already; return whether anything changed."""
        if self.ending is None:
            self.ending = Ending(outcome, forced, now_s)
            return True
        if forced and not self.ending.forced:
            self.ending = self.ending._replace(outcome=outcome, forced=True)
            return True
        return False

    def saw(self, payloads: List[str], *, active: bool, now_s: float) -> None:
        """Take in what the pilots do now; payloads that are gone have ended."""
        self.done += len(set(self.running) - set(payloads))
        self.running = sorted(payloads)
        if payloads:
            self.busy_s = now_s
        if active:
            self.active_s = now_s


def load_uid(paths: Paths, site: str, vmid: str) -> str:
    """Return the machine's globally unique name, ``<site>-<vmid>-<random>``; made once and kept.

    OpenNebula's numbers are the same at every site, and central schedulers take the first machine of a name. On a disk
    that takes no file, the name stays the same until the next boot only.
    """
    try:
        kept = (read_text(paths.uid) or "").strip()
    except AgentError:
        kept = ""
    words = [re.sub(r"[^A-Za-z0-9.-]", "-", word)[:60] for word in (site or "site", vmid or "0")]
    begin = "-".join([*words, ""])
    if kept.startswith(begin) and re.fullmatch(r"[A-Za-z0-9]{8}", kept[len(begin) :]):
        return kept  # another number means that this disk is a copy of another machine's
    uid = begin + _boot_word(paths)
    try:
        make_folder(os.path.dirname(paths.uid))
        write_file(paths.uid, (uid + "\n").encode("ascii"), 0o600)
    except AgentError as error:
        log("error", "the name {} is not kept: {}".format(uid, error))
    return uid


def forget_uid(paths: Paths) -> None:
    """Let the machine have a new name after the next boot."""
    try:
        os.unlink(paths.uid)
    except OSError:
        return


def _boot_word(paths: Paths) -> str:
    """Return eight random characters: the kernel's, which are the same until the next boot (random(4))."""
    try:
        found = (read_text(paths.at("/proc/sys/kernel/random/boot_id")) or "").strip().replace("-", "")
    except AgentError:
        found = ""
    return (found or os.urandom(8).hex())[:8]
