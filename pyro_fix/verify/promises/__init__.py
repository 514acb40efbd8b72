"""One module a promise: a pure function from two observations to a judgement.

``NO_WORSE`` and ``BETTER_START`` are judged on the referee's view of whole trajectories, the others on two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate, Promise
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import (
    better_start,
    declared_rate,
    less_variance,
    no_worse,
    runs_clean,
    same_expectation,
    same_objective,
    same_sites_sliced,
    same_start,
    stable,
)

Judge = Callable[[Observation, Observation, Sequence[int], Candidate], Judgement]

JUDGES: Mapping[Promise, Judge] = {
    Promise.SAME_START: same_start.judge,
    Promise.SAME_OBJECTIVE: same_objective.judge,
    Promise.SAME_SITES_SLICED: same_sites_sliced.judge,
    Promise.DECLARED_RATE: declared_rate.judge,
    Promise.STABLE: stable.judge,
    Promise.SAME_EXPECTATION: same_expectation.judge,
    Promise.LESS_VARIANCE: less_variance.judge,
    Promise.RUNS_CLEAN: runs_clean.judge,
}
"""In the order in which the clauses of a reason appear: deterministic ones first."""

LOOKS: Mapping[Promise, int] = {
    Promise.SAME_EXPECTATION: less_variance.SEEDS,
    Promise.LESS_VARIANCE: less_variance.SEEDS,
}
"""Common seeds that a promise needs at step 0, where it needs more than four."""

REFEREES: Mapping[Promise, Callable[[Sequence[no_worse.Pair]], Judgement]] = {
    Promise.NO_WORSE: no_worse.judge,
    Promise.BETTER_START: better_start.judge,
}
"""Judges of whole trajectories; more pairs of runs may decide where their judgement is weak."""
