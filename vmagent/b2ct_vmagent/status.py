"""The status of a VM: what the checks found and what it does, as a file, and for people."""

import json
import time
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

from b2ct_vmagent import __version__
from b2ct_vmagent.checks import Check, State
from b2ct_vmagent.errors import AgentError
from b2ct_vmagent.files import read_text, write_file
from b2ct_vmagent.paths import Paths
from b2ct_vmagent.reports import News
from b2ct_vmagent.settings import Settings

FORMAT = 2
"""Grows when a key of status.json changes its meaning or goes."""
LONGEST_ERROR = 500
"""Characters of an error: it is read in a table."""


class Status(NamedTuple):
    """One round of checks."""

    checks: Tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether this VM can take work."""
        return all(check.state is not State.FAILED for check in self.checks)

    @property
    def error(self) -> str:
        """What failed, on one line; empty when ready."""
        failed = ["{}: {}".format(check.name, check.detail) for check in self.checks if check.state is State.FAILED]
        return "; ".join(failed)[:LONGEST_ERROR]


def make_document(
    status: Status, settings: Settings, news: News, reports: Dict[str, Dict[str, str]], uid: str
) -> Dict[str, Any]:
    """Return what status.json holds, but for when it was written."""
    return {
        "format": FORMAT,
        "version": __version__,
        "ready": news.ready,
        "error": news.error,
        "state": news.state.value,
        "outcome": None if news.outcome is None else str(news.outcome),
        "jobs": news.jobs,
        "done": news.done,
        "load": round(news.load, 2),
        "free_memory_mib": news.free_memory_mib,
        "free_disk_mib": news.free_disk_mib,
        "checks": [{"name": name, "state": state.value, "detail": detail} for name, state, detail in status.checks],
        "site": settings.site,
        "vo": settings.vo,
        "kind": settings.kind,
        "flavour": settings.flavour,
        "hostname": settings.hostname,
        "vmid": settings.vmid,
        "uid": uid,
        "reports": reports,
    }


def write_status(paths: Paths, document: Dict[str, Any], fresh_s: float) -> None:
    """Write status.json; after ``fresh_s`` seconds a reader takes it for out of date.

    Raises:
        AgentError: it cannot be written.
    """
    whole = dict(document, written_s=int(time.time()), written_up_s=time.monotonic(), fresh_s=int(fresh_s))
    write_file(paths.status, (json.dumps(whole, indent=1) + "\n").encode("utf-8"), 0o644)


def load_status(paths: Paths, now_s: Optional[float] = None) -> Dict[str, Any]:
    """Return the document that the running agent wrote last; ``now_s`` is by the clock that is never set.

    Raises:
        AgentError: there is none, or it is out of date: no agent is running.
    """
    text = read_text(paths.status)
    if text is None:
        raise AgentError("the agent has not written its status yet; is b2ct-vm-agent.service running?")
    try:
        document = json.loads(text)
        age_s = (time.monotonic() if now_s is None else now_s) - document["written_up_s"]
        stale = age_s > document["fresh_s"]
    except (ValueError, KeyError, TypeError):
        raise AgentError("{} is damaged".format(paths.status))
    if stale:
        raise AgentError("the status is {:.0f} s old; is b2ct-vm-agent.service running?".format(age_s))
    return document  # type: ignore[no-any-return]  # written by write_status


def render_status(document: Dict[str, Any]) -> str:
    """Return a status document as lines for people."""
    first = "ready" if document["ready"] else "not ready"
    lines = ["{}, {}; jobs: {} now, {} ended".format(first, document["state"], document["jobs"], document["done"])]
    if document["outcome"]:
        lines.append("  goes because: {}".format(document["outcome"]))
    lines += ["  {state:8} {name}: {detail}".format(**check) for check in document["checks"]]
    lines += ["  {:8} report to {}: {}".format(told["state"], name, told["detail"]) for name, told in _told(document)]
    return "\n".join(lines)


def _told(document: Dict[str, Any]) -> Sequence[Tuple[str, Dict[str, str]]]:
    return sorted(document["reports"].items())
