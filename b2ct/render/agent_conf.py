"""The VM agent's own settings file, ``/etc/b2ct-vm/agent.conf``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from b2ct.render.quoting import UNPRINTABLE, Quoted, QuotingError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "B2CT_"
"""What the variables of a VM's context begin with."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What a VM is told; empty and None leave the agent's default. ``vmagent/README.md`` says what each does."""

    site: str = ""
    vo: str = ""
    kind: str = ""
    flavour: str = ""
    cvmfs_repositories: tuple[str, ...] = ()
    cvmfs_proxy: str = ""
    cvmfs_quota_mib: int | None = None
    scratch: str = ""
    pilot: str = ""
    pilot_kind: str = ""
    pilots: str = ""
    pilot_drain: str = ""
    pilot_again_s: str = ""
    pilot_isolation: str = ""
    payload_pattern: str = ""
    dirac_pilot: str = ""
    dirac_pilot_sha256: str = ""
    dirac_options: str = ""
    dirac_version: str = ""
    dirac_servers: str = ""
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
    condor_token: str = ""
    diracx_url: str = ""
    diracx_token: str = ""
    certificate: str = ""
    key: str = ""
    ca_path: str = ""
    credentials: str = ""
    report_file: str = ""
    heartbeat_s: str = ""
    stop: str = ""
    stop_no_jobs_s: str = ""
    stop_no_cpu_s: str = ""
    stop_fizzle_s: str = ""
    stop_silent_s: str = ""
    stop_unready_s: str = ""
    max_lifetime_s: str = ""
    grace_s: str = ""
    save_logs: str = ""
    hs06: str = ""
    onegate_endpoint: str = ""
    vmid: str = ""
    hostname: str = ""
    period_s: int | None = None

    @classmethod
    def from_context(cls, context: Mapping[str, str]) -> AgentSettings:
        """Return the settings that the variables of a VM's context (``B2CT_VO``) stand for; none is a number."""
        options: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in context.items()}
        repositories = options.pop("cvmfs_repositories", "")
        return cls(cvmfs_repositories=tuple(filter(None, repositories.split(","))), **options)


def ini_quote(value: str) -> Quoted:
    """Return ``value`` for the right side of ``name = value``, as configparser without interpolation reads it.

    Raises:
        QuotingError: the value holds a control character, or begins or ends with a blank, which would be lost.
    """
    if UNPRINTABLE.search(value) or value != value.strip():
        raise QuotingError(f"{value!r}: a settings file cannot hold control characters, or blanks at the ends")
    return Quoted(value)


def render_agent_conf(settings: AgentSettings) -> str:
    """Return the text of agent.conf: one line for each setting that is given.

    Raises:
        QuotingError: a value cannot stand in the file.
    """
    lines = ["# Written by B2CT. What the VM's context says (B2CT_...) comes before what is set here.", "[agent]"]
    for field in fields(settings):
        value = getattr(settings, field.name)
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        if text:
            lines.append(f"{field.name} = {ini_quote(text)}")
    return "\n".join(lines) + "\n"
