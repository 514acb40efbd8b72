"""Whole gradient: the optimiser clamps no gradient that the original's uses as it is (tips 2 and 16).

``ClippedAdam`` clamps each element at ``clip_norm``, 10 by default.  Where the gradient is of the order of the number
of data, that makes a vote of signs of it: a rate of 0.1 was learnt as 0.01.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyro_fix.observation import Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises._pairs import over_svis


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: no step of the patched program has a clamped gradient, or the original's optimiser clamps as well."""
    return over_svis(original, patched, ordinals, _judge)


def _judge(original: SviObservation, patched: SviObservation) -> Judgement:
    worst = max(patched.trajectories, key=lambda trajectory: trajectory.clamped, default=None)
    clamped, made = (worst.clamped, len(worst.losses)) if worst is not None else (0, 0)
    evidence: dict[str, object] = {"steps with a clamped gradient": clamped, "steps": made}
    if any(trajectory.clamped for trajectory in original.trajectories) or original.optimizer == patched.optimizer:
        return Judgement(True, "", evidence)
    if clamped:
        kind = patched.optimizer
        return Judgement(False, f"{kind} would clamp the gradient in {clamped:,} of {made:,} steps", evidence)
    return Judgement(True, "no gradient is clamped", evidence)
