"""Decides when a machine has to go: pure functions of what was seen."""

from typing import NamedTuple, Optional

from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import Settings

REQUESTED = 100
"""Codes of the shutdown message (Vac and Vcycle, "shutdown_message"): the site or the centre wanted it."""
COMPLETED = 200
NO_WORK = 300
# 400, banned, is only ever a pilot's own word
BAD_MACHINE = 500
BAD_SERVICE = 600
BAD_PILOT = 700

ACTIVE_CORES = 0.05
"""Pilots that use less of one core than this do nothing: what is left is their own waiting."""


class Seen(NamedTuple):
    """What the policies look at; all times are seconds."""

    age_s: float
    """Since boot."""
    jobs: int
    """Payloads that run now."""
    done: int
    """Payloads that have ended."""
    began_for_s: Optional[float] = None
    """Since the first pilot was started; None before."""
    idle_for_s: Optional[float] = None
    """Since a payload was last seen, or since the first pilot was started."""
    quiet_for_s: Optional[float] = None
    """Since the pilots last used the CPU, or since the first one was started."""
    silent_for_s: Optional[float] = None
    """Since the central scheduler was last heard; None without one."""
    unready_for_s: float = 0.0
    """Since the machine was last ready; 0 while it is."""
    ended: Optional[Outcome] = None
    """Set when every pilot has ended and none is to start again."""
    wants_pilot: bool = True
    """Whether a pilot is asked for, be it one that cannot be."""


class Verdict(NamedTuple):
    """A machine has to go; ``forced`` does not wait for payloads."""

    outcome: Outcome
    forced: bool = False


def judge(settings: Settings, seen: Seen) -> Optional[Verdict]:
    """Return why the machine has to go, None while it may stay.

    A setting of 0 seconds and ``stop = never`` switch a policy off. Only the lifetime's end takes payloads with it.
    """
    if settings.stop == "never" or not seen.wants_pilot:
        return None
    return _by_age(settings, seen) or _by_work(settings, seen) or _by_trouble(settings, seen)


def _by_age(settings: Settings, seen: Seen) -> Optional[Verdict]:
    limit_s = settings.max_lifetime_s
    if not limit_s or seen.age_s < limit_s - min(settings.grace_s, limit_s // 2):
        return None
    text = "The machine's lifetime of {} s is over".format(limit_s)
    return Verdict(Outcome(COMPLETED if seen.done else NO_WORK, text), forced=seen.age_s >= limit_s)


def _by_work(settings: Settings, seen: Seen) -> Optional[Verdict]:
    if seen.ended is not None:
        return Verdict(seen.ended)
    if seen.jobs == 0 and not seen.done and settings.stop_fizzle_s:  # until the first job only this counts
        if _over(seen.began_for_s, settings.stop_fizzle_s):
            return Verdict(Outcome(NO_WORK, "No job came in {} s".format(settings.stop_fizzle_s)))
    elif seen.jobs == 0 and _over(seen.idle_for_s, settings.stop_no_jobs_s):
        return Verdict(Outcome(NO_WORK, "No job has run for {} s".format(settings.stop_no_jobs_s)))
    if _over(seen.quiet_for_s, settings.stop_no_cpu_s):
        return Verdict(Outcome(NO_WORK, "Nothing has used the CPU for {} s".format(settings.stop_no_cpu_s)))
    return None


def _by_trouble(settings: Settings, seen: Seen) -> Optional[Verdict]:
    if seen.jobs:
        return None
    if _over(seen.unready_for_s, settings.stop_unready_s):
        return Verdict(Outcome(BAD_MACHINE, "Not ready for {} s".format(settings.stop_unready_s)))
    if _over(seen.silent_for_s, settings.stop_silent_s):
        return Verdict(Outcome(BAD_SERVICE, "No central service for {} s".format(settings.stop_silent_s)))
    return None


def _over(passed_s: Optional[float], limit_s: int) -> bool:
    return bool(limit_s) and passed_s is not None and passed_s >= limit_s
