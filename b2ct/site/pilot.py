"""What the workers of a community run, and when they stop."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from b2ct.site.types import SiteModel, pattern

MOST_PILOTS = 256
"""Pilots in one virtual machine (``vmagent/b2ct_vmagent/settings.py``)."""

Seconds = Annotated[int, Field(ge=0, le=99_999_999)]
"""A time in seconds, as the VM agent takes it."""


def _printable(text: str) -> str:
    """Refuse what nobody can see: characters that a web page has in the place of blanks, among others."""
    if not text.isprintable():
        raise ValueError("it holds characters that cannot be printed, or blanks that are none: type it anew")
    return text


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


Command = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
"""One line for the shell; the VM agent takes no other (``vmagent/b2ct_vmagent/settings.py``)."""

Expression = Annotated[Command, AfterValidator(_regular_expression)]
"""A regular expression of Python."""

PilotScript = Annotated[
    str,
    pattern(
        r"^(/[A-Za-z0-9._+/-]+|https://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/%-]*)?)$",
        300,
        "an absolute path, such as /cvmfs/dirac.egi.eu/pilot/dirac-pilot.py, or an https URL",
    ),
]

Release = Annotated[str, pattern(r"^[A-Za-z0-9][A-Za-z0-9._:+-]*$", 128, "a release such as 8.0.86 or v8.0.86")]

Sha256 = Annotated[str, pattern(r"^[0-9a-f]{64}$", 64, "a SHA-256 checksum: 64 hexadecimal digits in lower case")]


def _per_machine(value: object) -> object:
    words = str(value)
    if words not in {"node", "core"} and not (re.fullmatch(r"[0-9]{1,3}", words) and 1 <= int(words) <= MOST_PILOTS):
        raise ValueError(f"has to be node, core, or a number from 1 to {MOST_PILOTS}")
    return value


PerMachine = Annotated[
    Annotated[int, Field(ge=1, le=MOST_PILOTS)] | Literal["node", "core"], BeforeValidator(_per_machine)
]


class Isolation(StrEnum):
    """How jobs are kept from the pilot that runs them."""

    AUTO = "auto"
    """In a container where the machine can, else as the pilot's user."""
    PROCESS = "process"
    """As the pilot's user."""
    CONTAINER = "container"
    """In a container (Apptainer); without one the machine is not ready."""


class _Pilot(SiteModel):
    per: PerMachine = "node"
    """How many run in one virtual machine: one for the whole ``node``, one for each ``core``, or that many."""
    isolation: Isolation = Isolation.AUTO
    """How jobs are kept from the pilot."""
    again_s: Seconds = 0
    """Seconds after which a pilot that ended is started again; 0: never."""


class CommandPilot(_Pilot):
    """Any command."""

    kind: Literal["command"]
    """The pilot's kind."""
    run: Command
    """One line for the shell, ``/cvmfs/t2k.egi.eu/pilot/start.sh``."""
    drain: Command | None = None
    """One line for the shell that asks the pilot to take no more work."""
    payloads: Expression | None = None
    """Regular expression for the command lines of its jobs; left out: every process of the pilot is one."""


class DiracPilot(_Pilot):
    """DIRAC's own pilot, for ``central: {kind: dirac}``."""

    kind: Literal["dirac"]
    """The pilot's kind."""
    script: PilotScript
    """The pilot's program, on CVMFS or at an https URL: ``/cvmfs/dirac.egi.eu/pilot/dirac-pilot.py``."""
    sha256: Sha256 | None = None
    """Its checksum; a URL has to have one."""
    release: Release | None = None
    """Release of DIRAC to install; left out: what the central services name."""
    options: Command | None = None
    """Further options of the program."""


class HtcondorPilot(SiteModel):
    """HTCondor's own daemons, for ``central: {kind: htcondor}``."""

    kind: Literal["htcondor"]
    """The pilot's kind."""


KnownPilot = Annotated[CommandPilot | DiracPilot | HtcondorPilot, Field(discriminator="kind")]


def _form(value: object) -> str:
    return "words" if isinstance(value, str) else "mapping"


Pilot = Annotated[Annotated[Command, Tag("words")] | Annotated[KnownPilot, Tag("mapping")], Discriminator(_form)]
"""One line for the shell, or a kind of pilot with its keys."""


class Stop(SiteModel):
    """When a virtual machine stops by itself. Each is a number of seconds, and 0 switches it off."""

    no_jobs_s: Seconds = 600
    """It has run no job for so long."""
    no_cpu_s: Seconds = 0
    """Its pilots have used no CPU for so long."""
    fizzle_s: Seconds = 1800
    """It has waited so long for its first job."""
    silent_s: Seconds = 86_400
    """The central scheduler has not answered for so long."""
    unready_s: Seconds = 3600
    """It lacks something that a worker needs (CVMFS, disk, time) for so long."""
    lifetime_s: Seconds = 1_209_600
    """It is so old. Only this ends running jobs."""
    grace_s: Seconds = 3600
    """So long before the end of its lifetime it takes no more work."""


def _never(value: object) -> object:
    if value != "never":
        raise ValueError(
            f"{value!r} has to be 'never' or a mapping of times in seconds, such as {{lifetime_s: 604800}}"
        )
    return value


StopPolicy = Annotated[
    Annotated[Literal["never"], BeforeValidator(_never), Tag("words")] | Annotated[Stop, Tag("mapping")],
    Discriminator(_form),
]
"""``never``, or when."""
