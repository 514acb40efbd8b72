"""No worse: the referee, the ORIGINAL program evaluating both runs' parameters, sees no loss (tips 2, 6, 7, 11, 15).

The programs' own losses are never compared: a scale on the model alone showed -3.7 against 96.7 and was worse.
"Not shown worse" does not do either: a heavy tail widens the interval and accepts everything.  So the interval has to
lie below the margin as a whole.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.stats import mean_interval

#: Of the original's progress: what may be lost.
MARGIN = 0.05
#: Paired runs after which to look, and to stop (verification.md: 0 of 4,100 false rejects, 24 of 3,350 false accepts).
BATCHES = (4, 8, 16)


@dataclass(frozen=True)
class Pair:
    """One seed's two runs in the referee's eyes; lower is better, NaN where the original cannot evaluate."""

    seed: int
    start: float
    """At the original's initial parameters."""
    original: float
    """At the end of the original's run."""
    patched: float
    """At the end of the patched run."""
    original_ending: str = ""
    """How the original's trajectory went bad, in words; empty when it did not."""
    patched_ending: str = ""


def judge(pairs: Sequence[Pair]) -> Judgement:
    """Kept: the 95 % interval of the mean paired loss lies below 5 % of the original's mean progress.

    The judgement is weak where more pairs may decide.
    """
    evidence: dict[str, object] = {"pairs": len(pairs), "referee": [_row(pair) for pair in pairs]}
    bad_before = [pair.original_ending for pair in pairs if pair.original_ending]
    bad_after = [pair.patched_ending for pair in pairs if pair.patched_ending]
    if bad_after:
        if bad_before:
            return Judgement(None, f"goes wrong as the original does: {bad_after[0]}", evidence, waits=True)
        return Judgement(False, f"the patched run goes wrong, which the original does not: {bad_after[0]}", evidence)
    if any(not math.isfinite(pair.patched) for pair in pairs):
        return Judgement(None, "not comparable: the original program cannot evaluate the patched parameters", evidence)
    # Where the original's end is worth nothing, the patched run has to be better than where they both started.
    reference = [
        pair.start if pair.original_ending or not math.isfinite(pair.original) else pair.original for pair in pairs
    ]
    if any(not math.isfinite(value) for value in reference):
        return Judgement(None, "not comparable: the original program cannot evaluate its own parameters", evidence)
    lost = [pair.patched - value for pair, value in zip(pairs, reference, strict=True)]
    progress = statistics.fmean(pair.start - value for pair, value in zip(pairs, reference, strict=True))
    if not math.isfinite(progress):
        return Judgement(None, "not comparable: the original program cannot evaluate its initial parameters", evidence)
    margin = 0.0 if bad_before else MARGIN * max(progress, 0.0)
    if not any(lost):
        return Judgement(True, "no worse: both runs end at the same parameters' values", evidence)
    if len(pairs) < 2:
        return Judgement(None, "weak: one pair of runs has no interval", evidence, weak=True)
    low, high = mean_interval(lost)
    evidence |= {
        "mean loss": statistics.fmean(lost),
        "95 % interval": [low, high],
        "margin": margin,
        "progress": progress,
    }
    interval = f"95 % CI {low:.3g} to {high:.3g} over {len(pairs)} pairs of runs"
    if bad_before:
        if high < 0:
            return Judgement(True, f"better by the referee: {interval} (original: {bad_before[0]})", evidence)
        if low > 0:
            return Judgement(False, f"finite, but ends worse than it starts: {interval}", evidence)
        return Judgement(None, f"weak: finite, but no better than at the start: {interval}", evidence, weak=True)
    allowed = f"margin {margin:.3g}, 5 % of the original's progress"
    if high < margin:
        return Judgement(True, f"no worse by the referee: lost {interval} ({allowed})", evidence)
    if low > margin:
        return Judgement(False, f"worse by the referee: lost {interval} ({allowed})", evidence)
    return Judgement(None, f"weak: the referee cannot tell: lost {interval} ({allowed})", evidence, weak=True)


def _row(pair: Pair) -> dict[str, object]:
    return {"seed": pair.seed, "start": pair.start, "original": pair.original, "patched": pair.patched}
