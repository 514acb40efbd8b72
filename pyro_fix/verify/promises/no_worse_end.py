"""No worse end: trained to its own end, the program does not end higher in the referee's eyes (tips 1, 2, 16).

For fixes that other promises have shown to mend something over a short run.  That they do no harm later cannot be shown
for every program, since a long training cannot be afforded twice; where it can, it has the last word.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises.better_end import DIFFERENCE, LEAST, differences
from pyro_fix.verify.promises.no_worse import ENOUGH, Pair, speaking_for_itself
from pyro_fix.verify.stats import mean_interval

#: Of the interval for fixes that promise nothing of the end: many are looked at, and few of the sound ones may be lost.
COVERAGE = 0.99
#: ... and of the one that asks for more pairs.
LIKELY = 0.9


def harm(pairs: Sequence[Pair], allowed: float) -> Judgement:
    """Broken where fixes that promise nothing of the end lose more than is allowed; what does not compare shows none.

    The judgement is weak where more pairs may decide.
    """
    if any(pair.unlike for pair in pairs):
        return Judgement(True, "")
    if all(pair.own and pair.original_own for pair in pairs):
        pairs = [speaking_for_itself(pair) for pair in pairs]
    compared = differences(pairs, "trained to its end")
    if isinstance(compared, Judgement):
        if compared.kept is False:
            return compared
        if behind := _behind_where_both_hold(pairs, allowed):
            return Judgement(None, behind, compared.evidence)
        return Judgement(True, compared.reason if compared.kept else "", compared.evidence)
    differs, evidence = compared
    if len(differs) < 2 or not any(differs):
        return Judgement(True, "", evidence)
    low, high = mean_interval(differs, COVERAGE)
    evidence |= {DIFFERENCE: statistics.fmean(differs), "end, 99 % interval": [low, high]}
    # A few losses of very unequal size have a wide interval, and are losses all the same.
    every = all(value > allowed for value in differs)
    if low > allowed or (every and len(differs) >= ENOUGH):
        return Judgement(
            False, f"trained to its end it is worse: the loss is higher by {low:.3g} to {high:.3g}", evidence
        )
    if every or mean_interval(differs, LIKELY)[0] > allowed:
        return Judgement(None, "weak: it may end worse", evidence, weak=True)
    return Judgement(True, "", evidence)


def _behind_where_both_hold(pairs: Sequence[Pair], allowed: float) -> str:
    """Of an original that breaks under some seeds, and is better under each of the others: both are, in words."""
    rows = [(pair.original, pair.patched) for pair in pairs if not (pair.original_ending or pair.patched_ending)]
    lost = [after - before for before, after in rows if math.isfinite(before) and math.isfinite(after)]
    if not lost or min(lost) <= allowed or len(lost) == len(pairs):
        return ""
    return (
        f"trained to its end it holds, as the original does not under {len(pairs) - len(lost)} of {len(pairs)} seeds, "
        f"but its loss is higher by {min(lost):.3g} to {max(lost):.3g} under the others"
    )


def judge(pairs: Sequence[Pair], unit: float, length: str) -> Judgement:
    """Kept unless the 95 % interval of the mean paired difference lies above zero, by ``LEAST`` units or more."""
    compared = differences(pairs, length)
    if isinstance(compared, Judgement):
        return compared
    differs, evidence = compared
    if len(differs) < 2:
        return Judgement(True, "", evidence)
    low, high = mean_interval(differs)
    evidence |= {DIFFERENCE: statistics.fmean(differs), "end, 95 % interval": [low, high]}
    if low > LEAST * unit:
        return Judgement(False, f"{length} it ends worse: the loss is higher by {low:.3g} to {high:.3g}", evidence)
    return Judgement(True, f"{length} it ends no worse: the loss differs by {low:.3g} to {high:.3g}", evidence)
