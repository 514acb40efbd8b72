"""A program that breaks as it is: what mends it is verified, and nothing else until then."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import FakeRunner, observation, svi, trajectory
from test_verifier import Case

from pyro_fix.observation import Failure
from pyro_fix.transform import Promise, Rate, Status, Verdict
from pyro_fix.verify.trouble import breaking, gets_further


@pytest.fixture
def fake(tmp_path: Path) -> FakeRunner:
    return FakeRunner(tmp_path)


def waits(verdict: Verdict) -> bool:
    return verdict.status is Status.UNVERIFIED and bool(verdict.evidence.get("deferred"))


@pytest.mark.parametrize(
    "promise",
    [Promise.SAME_OBJECTIVE, Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE, Promise.SAME_SITES_SLICED,
     Promise.DECLARED_RATE, Promise.DECLARED_RATE | Promise.WHOLE_GRADIENT | Promise.BETTER_END,
     Promise.SAME_START | Promise.BETTER_END, Promise.DECLARED_RATE | Promise.STABLE | Promise.NO_WORSE_END],
)  # fmt: skip
def test_what_cannot_mend_it_waits_without_a_run(fake: FakeRunner, promise: Promise) -> None:
    path = fake.program("train.py", init=1.0, lr=0.01, factor=1.0, fails=0)
    verdict = Case(fake, path).one(Case(fake, path).fix(path, promise, Rate(), factor=2.0))
    assert waits(verdict)
    assert verdict.reason.startswith("waits: the program still breaks: ValueError at step 0")
    assert len(fake.requests) == 1  # the program as it is


def test_what_mends_it_is_verified_and_says_so(fake: FakeRunner) -> None:
    path = fake.program("train.py", init=1.0, lr=0.01, factor=1.0, fails=3)
    case = Case(fake, path)
    mends, other = case.verify(
        case.fix(path, Promise.RUNS_CLEAN, fails=None), case.fix(path, Promise.SAME_OBJECTIVE, factor=2.0)
    )
    assert mends.status is Status.VERIFIED and mends.evidence["ends"]["alone"]
    assert "this fix alone ends it" in mends.reason
    assert waits(other)


def test_a_rate_may_mend_what_breaks_further_on(fake: FakeRunner) -> None:
    path = fake.program("train.py", lr=1.0, fails=50)
    case = Case(fake, path)
    smaller = case.fix(path, Promise.DECLARED_RATE | Promise.STABLE, Rate(0.01, 1.0), lr=0.01, fails=None)
    assert case.one(smaller).status is Status.VERIFIED


def test_what_ends_it_does_so_under_every_seed(fake: FakeRunner) -> None:
    """Alone, fixes are run under the first seed: here nothing goes wrong under that one, with or without them."""
    path = fake.program("train.py", init=1.0, hot=[1, 3], support="real", factor=1.0)
    case = Case(fake, path)
    mends, other = case.verify(
        case.fix(path, Promise.RUNS_CLEAN, hot=[]), case.fix(path, Promise.RUNS_CLEAN, support="positive")
    )
    assert mends.status is other.status is Status.VERIFIED
    assert mends.evidence["ends"]["alone"] and "this fix alone ends it" in mends.reason
    assert "ends" not in other.evidence and "; ended by SVI999 " in other.reason


def test_what_is_sound_but_mends_nothing_waits(fake: FakeRunner) -> None:
    path = fake.program("train.py", init=1.0, lr=0.01, factor=1.0, fails=3, support="real")
    case = Case(fake, path)
    verdict = case.one(case.fix(path, Promise.RUNS_CLEAN, support="positive"))
    assert waits(verdict) and verdict.status is not Status.VERIFIED


def test_a_delay_is_no_progress() -> None:
    early, late = (ended_at(step, "z") for step in (3, 30))
    assert not gets_further(early, late)
    assert gets_further(early, ended_at(30, "w"))
    assert not gets_further(early, ended_at(2, "w"))
    assert not gets_further(observation(svi()), late)


def test_numbers_that_are_none_are_one_trouble_wherever_they_begin() -> None:
    hot, less = (
        observation(svi(trajectories=(replace(trajectory(0, first_nonfinite=step), nonfinite=name),)))
        for step, name in ((1, "loss"), (2, "m"))
    )
    assert not gets_further(hot, less)


@pytest.mark.parametrize(("what", "by_a_step"), [("scale", True), ("loss", False)])
def test_a_first_step_that_leaves_no_number_is_a_steps_doing(what: str, by_a_step: bool) -> None:
    """A rate of 100 breaks nothing before it has moved a parameter, and that is before a second loss."""
    bad = tuple(
        replace(
            trajectory(seed, losses=(110.0, math.nan) if what == "scale" else (math.nan,), first_nonfinite=0),
            nonfinite=what,
        )
        for seed in range(4)
    )
    ended = breaking(observation(svi(trajectories=bad)))
    assert ended is not None and ended.by_a_step is by_a_step and not any(ended.reach.values())


def test_a_rate_is_tried_where_the_first_step_leaves_no_number(fake: FakeRunner) -> None:
    path = fake.program("train.py", lr=100.0, hot=[0, 1, 2, 3], first=0)
    case = Case(fake, path)
    verdict = case.one(case.fix(path, Promise.DECLARED_RATE | Promise.STABLE, Rate(1.0, 1.0), lr=1.0, hot=[]))
    assert verdict.status is Status.VERIFIED, verdict.reason


def test_another_svi_object_that_is_reached_is_progress() -> None:
    later = observation(svi(0), svi(1, trajectories=ended_at(2, "z").svis[0].trajectories))
    assert gets_further(ended_at(8, "z"), later)


def ended_at(step: int, site: str, caught: bool = False, steps: int | None = None):
    failure = Failure("ValueError", f"at {site}", "train.py:3", step, site, True, caught)
    count = step if steps is None else steps
    return observation(svi(trajectories=tuple(trajectory(seed, count, failure=failure) for seed in range(4))))


def test_what_a_program_handles_breaks_nothing() -> None:
    assert breaking(ended_at(3, "z")) is not None
    assert breaking(ended_at(3, "z", caught=True)) is not None  # it printed the exception, and ended
    assert breaking(ended_at(3, "z", caught=True, steps=100)) is None  # it goes on


def test_the_words_have_pyros_sentence() -> None:
    ended = breaking(ended_at(3, "z"))
    assert ended is not None and ended.words == "ValueError at step 3 (4 of 4 seeds): at z"
