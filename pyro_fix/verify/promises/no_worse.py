"""No worse: the referee, the ORIGINAL program evaluating both runs' parameters, sees no loss (tips 2, 6, 7, 11, 15).

The programs' own losses are never compared: a scale on the model alone showed -3.7 against 96.7 and was worse.
Where the guide is another one, the referee puts it round the original's model (``probe/referee.py``): both losses
bound one evidence, unless a latent is given as a point (``verify/units.py``).
"Not shown worse" does not do either: a heavy tail widens the interval and accepts everything.  So the interval has to
lie below the margin as a whole.

The referee has the original's data and priors, and so cannot see that a fix changes those: the looks at step 0 do.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyro_fix.observation import Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import over_svis
from pyro_fix.verify.stats import mean_interval

#: Of the original's progress: what may be lost.
MARGIN = 0.05
#: What is less of the progress than this is nothing, however surely it is seen.
NOTICEABLE = 1e-4
#: In the evidence: whether it is within the margin, and yet seen to lose.
LOSES = "seen to lose"
#: ... and whether it is beyond the margin, in losses that compare: what a longer training may make good.
BEHIND = "beyond the margin"
#: So many pairs that all gain, or all lose, are no chance: one of 256 times, if gaining and losing were as likely.
ENOUGH = 8
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
    patched_start: float = math.nan
    """At the patched run's initial parameters."""
    unlike: str = ""
    """Why losses of the original's and of the patched parameters do not compare; empty when they do."""
    own: tuple[float, float] | None = None
    """Levels of the patched program's own loss at its start and its end, which compare with each other alone."""
    original_own: tuple[float, float] | None = None
    """The same of the original, where the two programs' own losses compare and the referee cannot: both bound the
    evidence of the same observations, under other inputs (``verify/units.py``)."""


def beside(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: the data, the priors, the latents and what is trained are what they were, as far as the looks show."""
    return over_svis(original, patched, ordinals, _beside)


def _beside(before: SviObservation, after: SviObservation) -> Judgement:
    old, new = before.look, after.look
    if old is None or new is None:
        return Judgement(True, "")
    words = _alike.said(old, new) or _alike.latents(before, after)
    return Judgement(not words, words)


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
    unlike = next((pair.unlike for pair in pairs if pair.unlike), "")
    if not unlike and all(pair.original_own and pair.own for pair in pairs):
        pairs = [speaking_for_itself(pair) for pair in pairs]
        evidence["compared"] = "each program by its own loss: the same observations under other inputs"
    nothing_left = all(not math.isfinite(pair.start) and not math.isfinite(pair.original) for pair in pairs)
    if len(bad_before) == len(pairs) and (unlike or nothing_left):
        return _by_itself(pairs, bad_before[0], evidence)
    if unlike:
        return Judgement(None, f"not comparable: {unlike}", evidence)
    if any(not math.isfinite(pair.patched) for pair in pairs):
        return Judgement(None, "not comparable: the original program cannot evaluate the patched parameters", evidence)
    # Whatever is finite is better than an original that has no finite loss anywhere, which a mean cannot say.
    compared = [pair for pair in pairs if not (pair.original_ending and not math.isfinite(_reference(pair)))]
    reference = list(map(_reference, compared))
    if any(not math.isfinite(value) for value in reference):
        return Judgement(None, "not comparable: the original program cannot evaluate its own parameters", evidence)
    lost = [pair.patched - value for pair, value in zip(compared, reference, strict=True)]
    progress = statistics.fmean(pair.start - value for pair, value in zip(compared, reference, strict=True))
    if not math.isfinite(progress):
        return Judgement(None, "not comparable: the original program cannot evaluate its initial parameters", evidence)
    margin = 0.0 if bad_before else MARGIN * max(progress, 0.0)
    if not any(lost) and not bad_before:
        return Judgement(True, "no worse: both runs end at the same parameters' values", evidence)
    if len(lost) < 2:
        return Judgement(None, "weak: one pair of runs has no interval", evidence, weak=True)
    low, high = mean_interval(lost)
    evidence |= {
        "mean loss": statistics.fmean(lost),
        "95 % interval": [low, high],
        "margin": margin,
        "progress": progress,
    }
    interval = f"95 % CI {low:.3g} to {high:.3g} over {len(lost)} pairs of runs"
    if bad_before:
        if high < -_least(reference):
            return Judgement(True, f"better by the referee: {interval} (original: {bad_before[0]})", evidence)
        # Losses of very unequal size have a wide interval; so many that are all lower are no chance.
        gains = [value < -NOTICEABLE * abs(of) for value, of in zip(lost, reference, strict=True)]
        if all(gains) and len(pairs) >= ENOUGH:
            words = f"better by the referee in {len(pairs)} of {len(pairs)} pairs of runs"
            return Judgement(True, f"{words} (original: {bad_before[0]})", evidence)
        if low > 0:
            return Judgement(False, f"finite, but ends worse than it starts: {interval}", evidence)
        return Judgement(None, f"weak: finite, but no better than at the start: {interval}", evidence, weak=True)
    allowed = f"margin {margin:.3g}, 5 % of the original's progress"
    if high < margin:
        # It is a small part of the way, and yet it loses: whether it catches up only the end can tell.
        evidence[LOSES] = low > max(NOTICEABLE * progress, 0.0)
        return Judgement(True, f"no worse by the referee: lost {interval} ({allowed})", evidence)
    if low > margin:
        evidence[LOSES] = evidence[BEHIND] = True
        return Judgement(False, f"worse by the referee: lost {interval} ({allowed})", evidence)
    return Judgement(None, f"weak: the referee cannot tell: lost {interval} ({allowed})", evidence, weak=True)


def _reference(pair: Pair) -> float:
    """What the patched run has to reach: where the original's end is worth nothing, where they both started."""
    return pair.start if pair.original_ending or not math.isfinite(pair.original) else pair.original


def is_behind(judgement: Judgement) -> bool:
    """Whether a short run ends in losses that compare, and are surely worse."""
    return bool(judgement.evidence.get(BEHIND))


def _least(starts: Sequence[float]) -> float:
    """How far a loss has to fall from there for anything to have been learnt: a rate of nothing breaks nothing."""
    return NOTICEABLE * statistics.fmean(map(abs, starts))


def speaking_for_itself(pair: Pair) -> Pair:
    """The pair with both programs' own levels in the place of the referee's."""
    assert pair.original_own is not None and pair.own is not None
    (start, original), (patched_start, patched) = pair.original_own, pair.own
    return replace(pair, start=start, original=original, patched_start=patched_start, patched=patched)


def _by_itself(pairs: Sequence[Pair], broken: str, evidence: dict[str, object]) -> Judgement:
    """Where every original run breaks and left nothing that compares: the patched run's own loss has to fall."""
    levels = [(pair.patched_start, pair.patched) for pair in pairs]
    if not all(math.isfinite(value) for row in levels for value in row):  # the referee has no such parameters
        levels = [pair.own or (math.nan, math.nan) for pair in pairs]
    if not all(math.isfinite(value) for row in levels for value in row):
        return Judgement(None, "not comparable: the patched run is too short to see its loss fall", evidence)
    if len(pairs) < 2:
        return Judgement(None, "weak: one pair of runs has no interval", evidence, weak=True)
    low, high = mean_interval([end - start for start, end in levels])
    evidence |= {"own levels": [list(row) for row in levels], "95 % interval": [low, high]}
    change = f"95 % CI {low:.3g} to {high:.3g} over {len(pairs)} runs"
    if high < -_least([start for start, _ in levels]):
        reason = f"finite, and its own loss falls: {change} (nothing of the original compares: {broken})"
        return Judgement(True, reason, evidence)
    if low > 0:
        return Judgement(False, f"finite, but its own loss rises: {change}", evidence)
    return Judgement(None, f"weak: finite, but its own loss is not seen to fall: {change}", evidence, weak=True)


def _row(pair: Pair) -> dict[str, object]:
    return {"seed": pair.seed, "start": pair.start, "original": pair.original, "patched": pair.patched}
