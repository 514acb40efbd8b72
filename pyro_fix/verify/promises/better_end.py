"""Better end: trained to its own end, the program ends lower in the referee's eyes (tip 3).

What a decay of the learning rate is worth shows when the training is over, and only then: after 100 steps of 2,000 the
rate has hardly fallen.  In 18 of 18 measured pairs a decay that was verified over 100 steps made the last loss worse.
So it takes a gain to keep this promise: a program that ends as well without the fix does not need it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import no_worse
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.stats import half_width, mean_interval

#: In units of the objective (nats, where it is not scaled): what is less is no difference worth a change.
LEAST = 0.01
#: In the evidence: by how much the loss is higher at the end, on average.
DIFFERENCE = "end, mean difference"


def judge(pairs: Sequence[Pair], unit: float, length: str) -> Judgement:
    """Kept: the 95 % interval of the mean paired difference lies below zero, and the mean by :data:`LEAST` units.

    The judgement is weak where more pairs may decide.
    """
    compared = differences(pairs, length)
    if isinstance(compared, Judgement):
        return compared
    differs, evidence = compared
    if not any(differs):
        return Judgement(None, f"{length} it is as good without: both end at the same loss", evidence)
    if len(differs) < 2:
        return Judgement(None, "weak: one pair of runs has no interval", evidence, weak=True)
    low, high = mean_interval(differs)
    mean = statistics.fmean(differs)
    evidence |= {DIFFERENCE: mean, "end, 95 % interval": [low, high]}
    if high < 0 and mean < -LEAST * unit:
        return Judgement(True, f"{length} the loss ends lower by {-high:.3g} to {-low:.3g}", evidence)
    if low > LEAST * unit:
        return Judgement(False, f"{length} it ends worse: the loss is higher by {low:.3g} to {high:.3g}", evidence)
    words = f"{length} it is as good without: the loss differs by {low:.3g} to {high:.3g}"
    return Judgement(None, words, evidence, weak=mean < -LEAST * unit and _promising(differs))


def _promising(differs: Sequence[float]) -> bool:
    """Whether as many trainings as there may be would tell, if these are what further ones are like."""
    most = max(len(differs), *no_worse.BATCHES)
    return statistics.fmean(differs) + half_width(statistics.stdev(differs), most) < 0


def differences(pairs: Sequence[Pair], length: str) -> Judgement | tuple[list[float], dict[str, object]]:
    """Patched minus original, with the evidence so far; or what is to be said where there is nothing to subtract."""
    rows = [{"seed": pair.seed, "original": pair.original, "patched": pair.patched} for pair in pairs]
    evidence: dict[str, object] = {"referee": rows}
    before = next((pair.original_ending for pair in pairs if pair.original_ending), "")
    after = next((pair.patched_ending for pair in pairs if pair.patched_ending), "")
    if after:
        if before:
            return Judgement(None, f"{length} it goes wrong as the original does: {after}", evidence, waits=True)
        return Judgement(False, f"{length} it goes wrong, which the original does not: {after}", evidence)
    if before and not _falls(pairs):
        return Judgement(None, f"{length} it holds, but its loss is not seen to fall (original: {before})", evidence)
    if before:
        return Judgement(True, f"{length} it holds, which the original does not: {before}", evidence)
    if not all(math.isfinite(value) for pair in pairs for value in (pair.original, pair.patched)):
        return Judgement(None, "not comparable: the original program cannot evaluate the last parameters", evidence)
    return [pair.patched - pair.original for pair in pairs], evidence


def _falls(pairs: Sequence[Pair]) -> bool:
    """Whether the patched program gets anywhere: one that hardly moves breaks nowhere either."""
    levels = [pair.own for pair in pairs if pair.own is not None]
    changes = [end - start for start, end in levels]
    return len(changes) < 2 or not all(map(math.isfinite, changes)) or mean_interval(changes)[1] < 0
