from __future__ import annotations

from typing import Any

import pytest
from b2ct_vmagent.policies import Seen, judge
from b2ct_vmagent.reports import Outcome
from b2ct_vmagent.settings import Settings
from hypothesis import given
from hypothesis import strategies as st

OFF = Settings(
    pilot="run it",
    stop_no_jobs_s=0,
    stop_no_cpu_s=0,
    stop_fizzle_s=0,
    stop_silent_s=0,
    stop_unready_s=0,
    max_lifetime_s=0,
    grace_s=0,
)
YOUNG = Seen(age_s=1e9, jobs=0, done=0)
LIMITS = ("stop_no_jobs_s", "stop_no_cpu_s", "stop_fizzle_s", "stop_silent_s", "stop_unready_s", "max_lifetime_s")


def set_limits(**chosen: Any) -> Settings:  # noqa: ANN401 - values of settings
    return OFF._replace(**chosen)


limits = st.sampled_from([0, 1, 2, 60, 600, 3600, 99999999])
times = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 60.0, 599.9, 600.0, 1e9]), st.floats(0, 1e10))
settings = st.fixed_dictionaries(
    {"stop": st.sampled_from(["auto", "auto", "never"]), "grace_s": limits, **dict.fromkeys(LIMITS, limits)}
).map(lambda chosen: set_limits(**chosen))
maybe = st.one_of(st.none(), times)
sights = st.builds(
    Seen,
    age_s=times,
    jobs=st.integers(0, 3),
    done=st.integers(0, 3),
    began_for_s=maybe,
    idle_for_s=maybe,
    quiet_for_s=maybe,
    silent_for_s=maybe,
    unready_for_s=times,
    ended=st.none(),
)


@pytest.mark.parametrize(
    ("limit", "seen", "code", "words"),
    [
        ("stop_fizzle_s", YOUNG._replace(began_for_s=600.0), 300, "No job came in 600 s"),
        ("stop_no_jobs_s", YOUNG._replace(done=1, idle_for_s=600.0), 300, "No job has run for 600 s"),
        ("stop_no_jobs_s", YOUNG._replace(idle_for_s=600.0), 300, "No job has run for 600 s"),
        ("stop_no_cpu_s", YOUNG._replace(jobs=1, quiet_for_s=600.0), 300, "Nothing has used the CPU for 600 s"),
        ("stop_unready_s", YOUNG._replace(unready_for_s=600.0), 500, "Not ready for 600 s"),
        ("stop_silent_s", YOUNG._replace(silent_for_s=600.0), 600, "No central service for 600 s"),
        ("max_lifetime_s", YOUNG._replace(age_s=600.0), 300, "The machine's lifetime of 600 s is over"),
        ("max_lifetime_s", YOUNG._replace(age_s=600.0, done=1), 200, "The machine's lifetime of 600 s is over"),
    ],
)
def test_each_policy_at_its_limit(limit: str, seen: Seen, code: int, words: str) -> None:
    on = set_limits(**{limit: 600})
    verdict = judge(on, seen)
    assert verdict is not None
    assert verdict.outcome == Outcome(code, words)
    assert verdict.forced is (limit == "max_lifetime_s")
    earlier: list[Any] = [599.5 if value == 600.0 else value for value in seen]
    assert judge(on, Seen(*earlier)) is None
    assert judge(OFF, seen) is None
    assert judge(on._replace(stop="never"), seen) is None
    assert judge(on, seen._replace(wants_pilot=False)) is None


@given(settings, sights)
def test_only_the_end_of_the_lifetime_takes_payloads_with_it(settings: Settings, seen: Seen) -> None:
    verdict = judge(settings, seen)
    assert verdict is None or verdict.forced is (0 < settings.max_lifetime_s <= seen.age_s)
    if verdict is not None and not verdict.forced and seen.jobs:
        begun = settings.max_lifetime_s and seen.age_s >= settings.max_lifetime_s // 2
        quiet = settings.stop_no_cpu_s and seen.quiet_for_s and seen.quiet_for_s >= settings.stop_no_cpu_s
        assert begun or quiet


@given(settings, sights)
def test_never_and_nothing_to_run_mean_never(settings: Settings, seen: Seen) -> None:
    ended = seen._replace(ended=Outcome(200, "over"), wants_pilot=True)
    assert judge(settings._replace(stop="never"), ended) is None
    assert judge(settings, ended._replace(wants_pilot=False)) is None
    assert judge(OFF, seen) is None
    verdict = judge(OFF, ended)
    assert verdict is not None
    assert (verdict.outcome, verdict.forced) == (Outcome(200, "over"), False)


@given(settings, sights, st.floats(0, 1e6))
def test_who_has_to_go_has_to_go_later_too(settings: Settings, seen: Seen, more_s: float) -> None:
    if judge(settings, seen) is None:
        return

    def older(value: float | None) -> float | None:
        return None if value is None else value + more_s

    later = seen._replace(
        age_s=seen.age_s + more_s,
        began_for_s=older(seen.began_for_s),
        idle_for_s=older(seen.idle_for_s),
        quiet_for_s=older(seen.quiet_for_s),
        silent_for_s=older(seen.silent_for_s),
        unready_for_s=seen.unready_for_s + more_s,
    )
    assert judge(settings, later) is not None


@given(settings, sights)
def test_codes_are_those_of_shutdown_messages(settings: Settings, seen: Seen) -> None:
    verdict = judge(settings, seen)
    assert verdict is None or verdict.outcome.code in {200, 300, 500, 600}


def test_until_the_first_job_the_time_of_the_first_job_counts() -> None:
    both = OFF._replace(stop_no_jobs_s=600, stop_fizzle_s=1800)
    waiting = YOUNG._replace(began_for_s=1000.0, idle_for_s=1000.0)
    assert judge(both, waiting) is None
    assert judge(both, waiting._replace(done=1)) is not None
    assert judge(both, waiting._replace(began_for_s=1800.0)) is not None


@pytest.mark.parametrize(("grace_s", "drains_s"), [(0, 10000), (100, 9900), (5000, 5000), (99999, 5000)])
def test_it_drains_before_the_lifetime_is_over(grace_s: int, drains_s: int) -> None:
    lives = OFF._replace(max_lifetime_s=10000, grace_s=grace_s)
    assert judge(lives, YOUNG._replace(age_s=drains_s - 1.0, jobs=1)) is None
    verdict = judge(lives, YOUNG._replace(age_s=float(drains_s), jobs=1))
    assert verdict is not None
    assert verdict.forced is (grace_s == 0)


def test_trouble_ends_no_machine_that_works() -> None:
    sensitive = OFF._replace(stop_silent_s=1, stop_unready_s=1, stop_no_jobs_s=1, stop_fizzle_s=1)
    working = Seen(1e9, 1, 0, began_for_s=1e9, idle_for_s=0.0, silent_for_s=1e9, unready_for_s=1e9)
    assert judge(sensitive, working) is None
    assert judge(sensitive, working._replace(jobs=0)) is not None
