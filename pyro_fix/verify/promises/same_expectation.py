"""Same expectation: the patched gradient estimator has the original's mean (tips 8, 9, 14).

Paired sign-flip permutation over common seeds; unpaired tests were measured to be blind (0 of 50 violations seen
against 50 of 50).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import LOSS_TOLERANCE, common, finite, flat
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import Pair, over_looks
from pyro_fix.verify.stats import mean_interval, norm, sign_flip

#: The test needs this many common seeds (verification.md).
SEEDS = 16
#: False alarms of the test.
LEVEL = 0.01
#: ... of a look at losses besides: a few of them with a long tail are no normal sample.
LOSS_LEVEL = 1e-4
#: The standard error of the shift, relative to the mean gradient, above which "no shift seen" says nothing.
RESOLUTION = 0.5


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: no shift is seen, and one of half the gradient's size would have been."""
    return over_looks(original, patched, ordinals, _judge, "no shift of the gradient is seen", _beside)


def _beside(pair: Pair, original: SviObservation, patched: SviObservation) -> str:
    looked = _alike.said(*pair) or _alike.constraints(*pair)
    return looked or _alike.latents(original, patched) or _alike.steps(original, patched) or _loss(*pair)


def _loss(before: Look, after: Look) -> str:
    """Another mean of the loss: what is not seen of a noisy gradient may be seen of that."""
    differs = [b - a for a, b in zip(before.losses, after.losses, strict=False)]
    if not finite(differs) or not any(differs):
        return ""
    shifted = shift(differs, max(map(abs, before.losses)))
    return f"the loss {shifted}" if shifted else ""


def shift(differs: Sequence[float], size: float) -> str:
    """By how much losses of about ``size`` are higher in the mean, where that is sure."""
    low, high = mean_interval(differs, 1 - LOSS_LEVEL)
    rounding = LOSS_TOLERANCE * size  # float32 in another order is no shift
    return "" if low <= rounding and high >= -rounding else f"is higher by {low:.3g} to {high:.3g}"


def _judge(before: Look, after: Look) -> Judgement:
    seeds = common(before, after)
    if seeds < SEEDS:
        return Judgement(None, f"{seeds} common seeds are too few: {SEEDS} are needed")
    if before.gradients.keys() != after.gradients.keys():
        return Judgement(False, "the patched objective depends on other parameters than the original's")
    names = sorted(before.gradients)
    if not names:
        return Judgement(None, "there is no gradient to compare")
    if any(len(before.gradients[name][0]) != len(after.gradients[name][0]) for name in names):
        return Judgement(False, "parameters have other shapes than in the original")
    old = [list(flat(before, names, seed)) for seed in range(seeds)]
    new = [list(flat(after, names, seed)) for seed in range(seeds)]
    if not finite(value for row in old for value in row):
        return Judgement(None, "the original's gradients at step 0 are not finite", defer=True)
    if not finite(value for row in new for value in row):
        return Judgement(None, "the patched program's gradients at step 0 are not finite")
    shifts = [[y - x for x, y in zip(a, b, strict=True)] for a, b in zip(old, new, strict=True)]
    probability = sign_flip(shifts)
    mean = norm([sum(column) / seeds for column in zip(*old, strict=True)])
    error = norm([_deviation(column) / seeds**0.5 for column in zip(*shifts, strict=True)])
    evidence: dict[str, object] = {
        "common seeds": seeds,
        "p": probability,
        "standard error of the shift": error,
        "norm of the mean gradient": mean,
    }
    if probability < LEVEL:
        return Judgement(False, f"the gradient's expectation shifts (sign-flip p = {probability:.3f})", evidence)
    if error > RESOLUTION * mean:
        return Judgement(None, "weak: the gradient is too noisy to see a shift of half its size", evidence, weak=True)
    return Judgement(True, f"same expectation: no shift of the gradient over {seeds} common seeds", evidence)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
