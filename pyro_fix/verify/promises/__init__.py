"""One module a promise: a pure function from two observations to a judgement.

``NO_WORSE`` and ``BETTER_START`` are judged on the referee's view of whole trajectories, the others on two runs; what
that view cannot show of ``NO_WORSE`` the two runs show before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate, Promise
from pyro_fix.verify import numeric
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import (
    better_end,
    better_start,
    declared_rate,
    less_variance,
    no_worse,
    no_worse_end,
    runs_clean,
    same_expectation,
    same_objective,
    same_sites_sliced,
    same_start,
    stable,
    whole_gradient,
)

Judge = Callable[[Observation, Observation, Sequence[int], Candidate], Judgement]

JUDGES: Mapping[Promise, Judge] = {
    Promise.SAME_START: same_start.judge,
    Promise.SAME_OBJECTIVE: same_objective.judge,
    Promise.SAME_SITES_SLICED: same_sites_sliced.judge,
    Promise.DECLARED_RATE: declared_rate.judge,
    Promise.WHOLE_GRADIENT: whole_gradient.judge,
    Promise.STABLE: stable.judge,
    Promise.SAME_EXPECTATION: same_expectation.judge,
    Promise.LESS_VARIANCE: less_variance.judge,
    Promise.RUNS_CLEAN: runs_clean.judge,
    Promise.NO_WORSE: no_worse.beside,
}
"""In the order in which the clauses of a reason appear: deterministic ones first."""

TOGETHER: Mapping[Promise, Judge] = {Promise.RUNS_CLEAN: runs_clean.clean, Promise.STABLE: stable.judge}
"""What only all seeds can show, of the run of all fixes together."""

LOOKS: Mapping[Promise, int] = {
    Promise.SAME_EXPECTATION: less_variance.SEEDS,
    Promise.LESS_VARIANCE: less_variance.SEEDS,
}
"""Common seeds that a promise needs at step 0, where it needs more than four."""

FEW_STEPS = 5
STEPS: Mapping[Promise, int] = {
    Promise.SAME_START: FEW_STEPS,
    Promise.SAME_OBJECTIVE: FEW_STEPS,
    Promise.SAME_EXPECTATION: FEW_STEPS,
    Promise.LESS_VARIANCE: FEW_STEPS,
    Promise.RUNS_CLEAN: FEW_STEPS,
    Promise.NO_WORSE: FEW_STEPS,
    Promise.BETTER_START: FEW_STEPS,
    Promise.BETTER_END: FEW_STEPS,
    Promise.NO_WORSE_END: FEW_STEPS,
}
"""Steps that the run of a fix alone has to make for a promise; those that are not here need whole trajectories.

These are judged on the look before step 0, or by the referee on the run of all fixes together, which has all the steps
and all seeds; a few steps show what breaks at once.  The path of a rate, a run that goes wrong, and the CPU time of a
step are read off the steps themselves.
"""

LIMITS: Mapping[Promise, Mapping[str, str]] = {
    Promise.RUNS_CLEAN: {"patched": "nothing is wrong that was not so before"},
    Promise.SAME_START: {
        "relative error of values": f"<= {numeric.VALUE_TOLERANCE:g}",
        "relative error of losses": f"<= {numeric.LOSS_TOLERANCE:g}, or {numeric.TERM_TOLERANCE:g} of the loss's terms",
    },
    Promise.SAME_OBJECTIVE: {
        "constant": "> 0",
        "relative error of gradients": f"<= {numeric.GRADIENT_TOLERANCE:g}",
        "relative error of losses": f"<= {numeric.GRADIENT_TOLERANCE:g}, or as much of the loss's terms",
    },
    Promise.SAME_SITES_SLICED: {
        "worst relative error": f"<= {same_sites_sliced.SLICE_TOLERANCE:g}",
        "seconds a particle, patched": f"<= {1 / same_sites_sliced.FASTER:g} times the original's",
    },
    Promise.SAME_EXPECTATION: {
        "p": f">= {same_expectation.LEVEL:g}",
        "standard error of the shift": f"<= {same_expectation.RESOLUTION:g} times the norm of the mean gradient",
    },
    Promise.LESS_VARIANCE: {
        "95 % interval": f"upper end < {less_variance.NOTABLE:g}; where the random numbers are not aligned < 1",
        "ratio of variances": f"where the random numbers are not aligned < {less_variance.UNALIGNED:.2g}",
    },
    Promise.DECLARED_RATE: {
        "relative error of rates": f"<= {declared_rate.RATE_TOLERANCE:g}",
        "relative error of losses": f"<= {numeric.LOSS_TOLERANCE:g}, or {numeric.TERM_TOLERANCE:g} of the loss's terms",
        "relative error of gradients": f"<= {numeric.GRADIENT_TOLERANCE:g}",
    },
    Promise.STABLE: {"original": "goes wrong", "patched": "does not, and comes as far"},
    Promise.NO_WORSE: {"95 % interval": f"upper end < margin, {no_worse.MARGIN:.0%} of the original's progress"},
    Promise.BETTER_START: {"start, 95 % interval": "upper end < 0"},
    Promise.WHOLE_GRADIENT: {"steps with a clamped gradient": "0, or the original's optimiser clamps as well"},
    Promise.BETTER_END: {
        "end, 95 % interval": "upper end < 0",
        better_end.DIFFERENCE: f"< -{better_end.LEAST:g} of the objective's unit",
    },
    Promise.NO_WORSE_END: {"end, 95 % interval": f"lower end <= {better_end.LEAST:g} of the objective's unit"},
}
"""What the numbers in a judgement's evidence have to be for the promise to be kept, in words, by their names there."""

REFEREES: Mapping[Promise, Callable[[Sequence[no_worse.Pair]], Judgement]] = {
    Promise.NO_WORSE: no_worse.judge,
    Promise.BETTER_START: better_start.judge,
}
"""Judges of whole trajectories; more pairs of runs may decide where their judgement is weak."""

ENDS: Mapping[Promise, Callable[[Sequence[no_worse.Pair], float, str], Judgement]] = {
    Promise.BETTER_END: better_end.judge,
    Promise.NO_WORSE_END: no_worse_end.judge,
}
"""Judges of trainings that went to their end: of pairs, the objective's unit, and how long they took in words."""
