"""Less variance: the gradient's variance at step 0 falls (tips 7, 8, 14)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import common, finite, flat
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import Pair, over_looks
from pyro_fix.verify.stats import jackknife_interval, total_variance

#: Common seeds that a ratio of variances needs (verification.md).
SEEDS = 32
#: A ratio above this is no gain worth a change, however surely it is measured.
NOTABLE = 0.95
#: Without common random numbers only a ratio below this can be trusted.
UNALIGNED = 1 / 3


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: the ratio of total variances lies below :data:`NOTABLE` with its whole interval."""
    return over_looks(original, patched, ordinals, _judge, "less variance", _beside)


def _beside(pair: Pair, original: SviObservation, patched: SviObservation) -> str:
    return _alike.trained(*pair) or _alike.steps(original, patched)


def _judge(before: Look, after: Look) -> Judgement:
    seeds = common(before, after)
    if seeds < SEEDS:
        return Judgement(None, f"{seeds} common seeds are too few: {SEEDS} are needed")
    names = sorted(before.gradients)
    if not names or before.gradients.keys() != after.gradients.keys() or not _same_coordinates(before, after):
        return Judgement(None, "the gradients have other coordinates than the original's: variances do not compare")
    old = [list(flat(before, names, seed)) for seed in range(seeds)]
    new = [list(flat(after, names, seed)) for seed in range(seeds)]
    if not finite(value for row in new for value in row):
        return Judgement(False, "the patched program's gradient at step 0 is not finite")
    overflows = sum(not finite(row) for row in old)
    if overflows == seeds:
        return Judgement(None, "the original's gradient at step 0 is not finite: there is no variance to compare with")
    if overflows:  # samples so wild that some leave the numbers have no finite variance
        words = f"the gradient at step 0 is finite, and the original's is not under {overflows} of {seeds} seeds"
        return Judgement(True, f"less variance: {words}", {"common seeds": seeds, "original not finite": overflows})
    every = range(seeds)
    if total_variance(old, every) == 0:
        return Judgement(None, "the original's gradient has no variance")
    if total_variance(new, every) == 0:
        return Judgement(True, "less variance: the patched gradient has none", {"ratio of variances": 0.0})

    def log_ratio(indices: Sequence[int]) -> float:
        tiny = 1e-300
        return math.log(max(total_variance(new, indices), tiny) / max(total_variance(old, indices), tiny))

    estimate, low, high = (math.exp(min(value, 700.0)) for value in jackknife_interval(log_ratio, seeds))
    aligned = _aligned(before, after)
    evidence: dict[str, object] = {
        "ratio of variances": estimate,
        "95 % interval": [low, high],
        "common seeds": seeds,
        "aligned": aligned,
    }
    words = (
        f"the gradient's variance at step 0 is {estimate:.2g} times the original's (95 % CI {low:.2g} to {high:.2g})"
    )
    if not aligned:
        if estimate < UNALIGNED and high < 1:
            return Judgement(True, f"less variance: {words}", evidence)
        return Judgement(None, f"weak: the random numbers are not aligned, and {words}", evidence, weak=True)
    if high < NOTABLE:
        return Judgement(True, f"less variance: {words}", evidence)
    if NOTABLE <= estimate <= 1 / NOTABLE:
        # What another parameter brings into the gradient may hide what this one does.
        return Judgement(None, f"no difference worth a change: {words}", evidence, defer=True)
    if estimate > 1:
        return Judgement(False, f"no less variance: {words}", evidence)
    return Judgement(None, f"weak: {words}", evidence, weak=True)


def _same_coordinates(before: Look, after: Look) -> bool:
    return all(
        len(before.gradients[name][0]) == len(after.gradients[name][0])
        and before.params[name].constraint == after.params[name].constraint
        for name in before.gradients
        if name in before.params and name in after.params
    )


def _aligned(before: Look, after: Look) -> bool:
    """Whether the same random numbers meet the same sites: same latents, families and shapes, in the same order."""
    return [(name, site.distribution, site.shape) for name, site in before.guide.items()] == [
        (name, site.distribution, site.shape) for name, site in after.guide.items()
    ]
