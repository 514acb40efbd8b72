"""Better start: the referee sees a lower loss where the patched run starts than where the original does (tip 6)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.stats import mean_interval, sign_test

#: The p-value at which signs alone decide: eight pairs of eight, or fourteen of sixteen.
SURE = 0.01


def judge(pairs: Sequence[Pair]) -> Judgement:
    """Kept: the 95 % interval of the mean paired difference lies below zero, or only the patched start is finite.

    Starts at draws from a wide prior differ by orders of magnitude, and no interval of their mean leaves out zero: they
    are lower as well where the mean is, and nearly all pairs say so.

    The judgement is weak where more pairs may decide.
    """
    rows = [[pair.start, pair.patched_start] for pair in pairs]
    evidence: dict[str, object] = {"starts": rows}
    if all(not math.isfinite(pair.start) and pair.original_ending for pair in pairs):
        finite = [math.isfinite(pair.patched_start) or (pair.own and math.isfinite(pair.own[0])) for pair in pairs]
        if all(finite):
            return Judgement(True, "starts at a finite loss, which the original does not", evidence)
        return Judgement(None, "not comparable: the patched start cannot be evaluated", evidence)
    if any(pair.unlike for pair in pairs):
        reason = next(pair.unlike for pair in pairs if pair.unlike)
        return Judgement(None, f"not comparable: {reason}", evidence)
    # An infinite loss is worse than every finite one, which a mean cannot say.
    if not all(math.isfinite(pair.patched_start) for pair in pairs):
        return Judgement(None, "not comparable: the original program cannot evaluate the patched start", evidence)
    lower = [pair.patched_start - pair.start for pair in pairs if math.isfinite(pair.start)]
    if len(lower) < 2:
        return Judgement(None, "weak: one pair of runs has no interval", evidence, weak=True)
    low, high = mean_interval(lower)
    evidence |= {"start, mean difference": statistics.fmean(lower), "start, 95 % interval": [low, high]}
    words = f"{low:.3g} to {high:.3g} over {len(lower)} pairs of runs"
    if high < 0:
        return Judgement(True, f"starts lower by the referee: 95 % CI {words}", evidence)
    if low >= 0:
        return Judgement(False, f"starts no lower by the referee: 95 % CI {words}", evidence)
    none = sum(bool(pair.original_ending) for pair in pairs if not math.isfinite(pair.start))
    below, of = sum(difference < 0 for difference in lower) + none, len(lower) + none
    if statistics.fmean(lower) < 0 and sign_test(below, of) <= SURE:
        return Judgement(True, f"starts lower by the referee in {below} of {of} pairs of runs", evidence)
    return Judgement(None, f"weak: the referee cannot tell which start is lower: 95 % CI {words}", evidence, weak=True)
