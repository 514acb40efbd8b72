"""Whether two programs have one objective where the original's training has led, and not only where it begins.

Most promises are judged at step 0, where a clamp does not bind yet, a bound is far, and the first batch is what any
program would see.  So both programs evaluate the parameters that the original ends with, on the batches that each of
them shows: where a fix says nothing of the objective, the losses agree, one by one or by their mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from pyro_fix.observation import Observation
from pyro_fix.transform import Promise
from pyro_fix.verify import wording
from pyro_fix.verify.bench import svi_of
from pyro_fix.verify.fix import Fix
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import GRADIENT_TOLERANCE, LOSS_TOLERANCE, TERM_TOLERANCE, loss_error
from pyro_fix.verify.promises import runs_clean
from pyro_fix.verify.promises.same_expectation import shift

#: What says that the objective is the same at any parameters, under the same random numbers.
_EXACTLY = Promise.SAME_START | Promise.SAME_OBJECTIVE | Promise.DECLARED_RATE | Promise.LESS_VARIANCE
#: ... and what estimates the same in another way.
_BY_MEAN = Promise.SAME_EXPECTATION | Promise.SAME_SITES_SLICED
_SCALED = wording.name(Promise.SAME_OBJECTIVE)


def asked(fix: Fix) -> bool:
    """Whether a fix says that the objective stays what it is, or was seen to have nothing to mend."""
    clean = fix.judgements.get(wording.name(Promise.RUNS_CLEAN))
    idle = clean is not None and runs_clean.NOTHING in clean.evidence
    return bool(fix.candidate.promise & (_EXACTLY | _BY_MEAN)) or idle


def _factors(group: Sequence[Fix]) -> dict[int, float]:
    """By SVI object: what the objective was seen to be multiplied by, at step 0."""
    found: dict[int, float] = {}
    for fix in group:
        told = fix.judgements[_SCALED].evidence if _SCALED in fix.judgements else {}
        for ordinal in fix.ordinals:
            own = told.get(f"svi {ordinal}", told)
            constant = own.get("constant") if isinstance(own, Mapping) else None
            found[ordinal] = found.get(ordinal, 1.0) * (constant if isinstance(constant, float) else 1.0)
    return found


def judge(original: Observation, patched: Observation, group: Sequence[Fix]) -> Judgement:
    """Kept: the losses of both programs agree at the original's last parameters, for each SVI object its factor apart.

    None where the patched program cannot take these parameters.
    """
    candidates = [fix.candidate for fix in group]
    scaled = any(Promise.SAME_OBJECTIVE in candidate.promise for candidate in candidates)
    allowed = GRADIENT_TOLERANCE / LOSS_TOLERANCE if scaled else 1.0
    for ordinal, factor in _factors(group).items():
        before, after = _losses(original, ordinal), _losses(patched, ordinal)
        another = _estimator(original, ordinal) != _estimator(patched, ordinal)
        by_mean = another and any(candidate.promise & _BY_MEAN for candidate in candidates)
        rows = [
            [(factor * a, b) for a, b in zip(before[label], after.get(label, ()), strict=False) if math.isfinite(a)]
            for label in before
        ]
        if not by_mean and any(not math.isfinite(b) for row in rows for _, b in row):
            return Judgement(None, "the patched program cannot take the parameters that the original ends with")
        finite = [row for row in rows if row and all(math.isfinite(b) for _, b in row)]
        words = _shift(finite) if by_mean else _difference([pair for row in finite for pair in row], allowed)
        if words:
            evidence: dict[str, object] = {"losses there": [[list(pair) for pair in row] for row in finite]}
            return Judgement(False, f"at the parameters that the original ends with, {words}", evidence)
    return Judgement(True, "")


def _estimator(observation: Observation, ordinal: int) -> tuple[object, ...]:
    """What draws the random numbers: where it is the same, the losses compare one by one."""
    svi = svi_of(observation, ordinal)
    return (svi.elbo, svi.num_particles, svi.vectorized) if svi is not None else ()


def _losses(observation: Observation, ordinal: int) -> Mapping[str, tuple[float, ...]]:
    svi = svi_of(observation, ordinal)
    return svi.referee if svi is not None else {}


def _difference(rows: Sequence[tuple[float, float]], allowed: float) -> str:
    # losses are sums whose terms may cancel: the largest one tells how large those are
    size = LOSS_TOLERANCE / TERM_TOLERANCE * max((abs(a) for a, _ in rows), default=0.0)
    for a, b in rows:
        if loss_error(a, b, size) > allowed:
            return f"its loss is {b:.6g} instead of {a:.6g} under equal seeds"
    return ""


def _shift(states: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Each seed's mean over the states is one draw: all states meet the same random numbers."""
    differs = [statistics.fmean(b - a for a, b in row) for row in zip(*states, strict=False)]
    if len(differs) < 2 or not any(differs):
        return ""
    shifted = shift(differs, max(abs(a) for row in states for a, _ in row))
    return f"its loss {shifted}" if shifted else ""
