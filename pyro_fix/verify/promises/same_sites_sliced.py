"""Same sites, sliced: every particle of a vectorised ELBO is a run of the plain program (tip 8).

Gradient tests are blind to a wrong vectorisation (measured p = 0.9), the replay of slices is not (0.0 against 0.12).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pyro_fix.analysis.sayings import IN_PASSING, in_words, shortened
from pyro_fix.observation import Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import finite, within
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import over_svis
from pyro_fix.verify.stats import mean_interval

#: Relative disagreement of a site's log-prob that float32 sums in another order can make.
SLICE_TOLERANCE = 1e-4
#: Of the intervals of the mean loss at step 0: where they do not meet, it is another objective.
COVERAGE = 0.99
#: Seconds a particle, patched over original: below it the fix is called faster, above its inverse slower.
FASTER = 0.8


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: each slice's log-probs agree at every site, and a particle costs no more time (CPU's or device's)."""
    return over_svis(original, patched, ordinals, _judge)


def _judge(original: SviObservation, patched: SviObservation) -> Judgement:
    replay = patched.look.slices if patched.look is not None else None
    if replay is None or replay.error:
        said = replay.error if replay is not None else "the patched ELBO does not run its particles as one vector"
        return Judgement(None, f"the slices could not be replayed: {shortened(in_words(said), IN_PASSING)}")
    if replay.particles < 2:
        return Judgement(None, "a single particle has no slices to compare")
    evidence: dict[str, object] = {"particles": replay.particles, "worst relative error": replay.worst}
    if not replay.worst <= SLICE_TOLERANCE:
        return Judgement(
            False,
            f"vectorised particles compute something else: site '{replay.site}' has a log-prob {replay.worst:.2g} "
            "off that of its slice in the plain program",
            evidence | {"site": replay.site},
        )
    other = _beside(original, patched)
    if other:
        return Judgement(False, f"the slices agree with the program's own plain run, but {other}", evidence)
    reason = f"same sites, sliced: {replay.particles} particles agree with the plain program {within(replay.worst)}"
    clocks = {t.clock for svi in (original, patched) for t in svi.trajectories if t.losses}
    clock = clocks.pop() if len(clocks) == 1 else ""
    before, after = _cost(original), _cost(patched)
    if not (clock and before and after):
        return Judgement(True, f"{reason}; time was not measured", evidence)
    ratio = after / before
    evidence |= {"seconds a particle, original": before, "seconds a particle, patched": after, "clock": clock}
    if ratio > 1 / FASTER:
        return Judgement(None, f"correct, but no gain: a particle costs {ratio:.2g} times the {clock} time", evidence)
    gain = f"{1 / ratio:.2g} times faster a particle" if ratio < FASTER else "no gain in speed measured"
    return Judgement(True, f"{reason}; {gain}", evidence)


def _beside(original: SviObservation, patched: SviObservation) -> str:
    """What else is another program: slices are compared with the patched program's own plain run."""
    before, after = original.look, patched.look
    if before is None or after is None:
        return ""
    other = _alike.parameters(before, after) or _alike.priors(before, after)
    other = other or _alike.trained(before, after) or _alike.steps(original, patched)
    if other or not finite([*before.losses, *after.losses]) or min(len(before.losses), len(after.losses)) < 2:
        return other
    (low, high), (least, most) = (mean_interval(look.losses, COVERAGE) for look in (before, after))
    apart = least > high or low > most
    return f"the loss of step 0 is {least:.4g} to {most:.4g} instead of {low:.4g} to {high:.4g}" if apart else ""


def _cost(svi: SviObservation) -> float:
    """Seconds a particle and step, the median over the seeds; 0 where nothing was measured."""
    times = [
        t.step_seconds for t in svi.trajectories if t.losses and t.step_seconds > 0 and math.isfinite(t.step_seconds)
    ]
    return statistics.median(times) / max(svi.num_particles, 1) if times else 0.0
