"""What a kind of pilot is asked for, and what it gives: scripts and files."""

from typing import Dict, NamedTuple, Tuple


class Slot(NamedTuple):
    """The share of the machine that one pilot gets."""

    number: int
    cores: int
    memory_mib: int
    folder: str
    """The pilot's own: its home, on the scratch disk when there is one."""
    machine_features: str
    job_features: str
    name: str
    """Host name of the machine."""
    uid: str
    """Globally unique id of the machine: ``<site>-<vmid>-<random>``."""


class PilotFiles(NamedTuple):
    """What the core writes for one pilot, beside each other, in a folder that the pilot only reads."""

    start: str
    """A sh script; the core has set the folder, HOME, TMPDIR, MACHINEFEATURES, JOBFEATURES and B2CT_* before."""
    drain: str
    """A sh script that asks the pilot to take no more work; empty when there is no way to ask."""
    files: Dict[str, Tuple[str, int]]
    """Further files: name to text and mode."""
    payloads: str
    """Regular expression on a process's arguments, joined by blanks: a process of the pilot's unit that matches is a
    running payload; empty: any process is."""
    copies: Tuple[Tuple[str, str], ...] = ()
    """Files that only root reads, such as a key: a name beside ``start``, and what it is a copy of, for the pilot's own
    user alone."""
