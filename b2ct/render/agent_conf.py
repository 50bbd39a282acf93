"""The VM agent's own settings file, ``/etc/b2ct-vm/agent.conf``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from b2ct.render.quoting import UNPRINTABLE, Quoted, QuotingError


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
    onegate_endpoint: str = ""
    vmid: str = ""
    hostname: str = ""
    period_s: int | None = None


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
