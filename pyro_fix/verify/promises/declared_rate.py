"""Declared rate: the learning rate follows the stated path, step 0 is unchanged, nothing diverges (tips 1, 2, 3, 16).

Where the loss ends does not gate: a short horizon was measured to accept a rate ten times too large and to reject half
the rate, which is what the tip asks for.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

from pyro_fix.analysis.health import breakdown, diverged
from pyro_fix.observation import Observation, SviObservation
from pyro_fix.transform import Candidate, Rate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import GRADIENT_TOLERANCE, common, finite, flat, loss_error, relative, terms
from pyro_fix.verify.promises._pairs import over_svis
from pyro_fix.verify.stats import norm

#: Rates are Python floats multiplied once a step; schedulers may go through float32.
RATE_TOLERANCE = 1e-5

Path = tuple[tuple[float, ...], ...]


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: the rates of every step are the declared ones, loss and gradients of step 0 are the original's."""
    rate = candidate.rate or Rate()
    return over_svis(original, patched, ordinals, lambda before, after: _judge(before, after, rate))


def _judge(original: SviObservation, patched: SviObservation, rate: Rate) -> Judgement:
    unfollowed = _follows(original, patched, rate)
    if unfollowed.kept is not True:
        return unfollowed
    start = _start(original, patched)
    evidence = unfollowed.evidence | start.evidence
    if start.kept is not True:
        return Judgement(start.kept, start.reason, evidence)
    bad = [t for t in patched.trajectories if breakdown(t) is not None or diverged(t)]
    if bad:
        ending = breakdown(bad[0])
        words = ending[1] if ending else f"the loss went from {bad[0].losses[0]:.4g} to {bad[0].losses[-1]:.4g}"
        if any(breakdown(t) is not None or diverged(t) for t in original.trajectories):
            shown = f"{unfollowed.reason}; {start.reason}"
            return Judgement(None, f"diverges as the original does: {words}", evidence, waits=True, shown=shown)
        return Judgement(False, f"diverges, which the original does not: {words}", evidence)
    return Judgement(True, "; ".join(part for part in (unfollowed.reason, start.reason) if part), evidence)


def _follows(original: SviObservation, patched: SviObservation, rate: Rate) -> Judgement:
    before = max((t.path for t in original.trajectories), key=len, default=())
    if rate.share is None and _scheduled(original, before):
        return Judgement(False, "the program schedules its learning rate already: a decay would apply twice")
    paths = [t.path for t in patched.trajectories if t.path]
    if not paths:
        return Judgement(None, "the patched optimiser shows no learning rate", defer=_breaks(original))
    if rate.share is not None:
        return _keeps_share(before, paths, rate.share, original)
    longest = max(paths, key=len)
    start = (rate.lr,) if rate.lr is not None else tuple(rate.times * lr for lr in before[0]) if before else ()
    if not start:
        return Judgement(None, "the original made no step, so its learning rate is not known", defer=_breaks(original))
    decay = rate.lrd
    if decay is None:
        if len(longest) < 2:
            return Judgement(None, "one step shows no decay", defer=_breaks(original))
        ratios = [b / a for x, y in pairwise(longest) for a, b in zip(x, y, strict=False)]
        decay = statistics.median(ratios)
        if not 0 < decay < 1:
            return Judgement(False, f"the learning rate does not decay (factor {decay:.6g} a step)")
    evidence: dict[str, object] = {"lr": list(start), "lrd": decay, "steps": len(longest)}
    # ClippedAdam multiplies by lrd before it uses the rate: its step t runs at lr * lrd ** (t + 1).
    errors = [max(_path_error(path, start, decay, ahead) for path in paths) for ahead in (0, 1)]
    evidence["relative error of rates"] = min(errors)
    if min(errors) > RATE_TOLERANCE:
        seen = longest[-1][-1]
        wanted = start[-1] * decay ** (len(longest) - 1)
        return Judgement(
            False,
            f"the learning rate leaves its declared path: {seen:.4g} at step {len(longest) - 1}, declared {wanted:.4g}",
            evidence,
        )
    path = f"{start[-1]:g}" if decay == 1 else f"{start[-1]:g} * {decay:.6g}^t"
    return Judgement(True, f"declared rate: {path} at all {len(longest)} steps", evidence)


def _keeps_share(before: Path, paths: Sequence[Path], share: float, original: SviObservation) -> Judgement:
    """Every step's rates against the original's at that step, as far as the original came."""
    if not before:
        return Judgement(None, "the original made no step, so its learning rate is not known", defer=_breaks(original))
    steps = min(len(before), max(map(len, paths)))
    evidence: dict[str, object] = {"lr": list(paths[0][0]), "share": share, "steps": steps}
    worst = 0.0
    for path in paths:
        for old, new in zip(before, path, strict=False):
            if len(old) != len(new):
                return Judgement(False, "the patched optimiser has another number of learning rates", evidence)
            worst = max([worst, *(relative(a * share, b) for a, b in zip(old, new, strict=True))])
    evidence["relative error of rates"] = worst
    if worst > RATE_TOLERANCE:
        return Judgement(False, f"the learning rate is not {share:g} times the original's at every step", evidence)
    words = "unchanged" if share == 1 else f"{share:g} times the original's"
    return Judgement(True, f"declared rate: {words} at all {steps} steps that both made", evidence)


def _breaks(svi: SviObservation) -> bool:
    return any(breakdown(trajectory) is not None for trajectory in svi.trajectories)


def _scheduled(svi: SviObservation, path: Path) -> bool:
    """Whether something other than ``lrd`` moves the rate; an optimiser's own ``lrd`` is what a fix may replace."""
    if "(" in svi.optimizer:  # ExponentialLR(Adam): it may act at epochs that the run does not reach
        return True
    if len(path) < 2 or _path_error(path, path[0], 1.0, 0) <= RATE_TOLERANCE:
        return False
    decay = path[1][-1] / path[0][-1] if path[0] and path[1] and path[0][-1] else 1.0
    return svi.optimizer != "ClippedAdam" or _path_error(path, path[0], decay, 0) > RATE_TOLERANCE


def _path_error(path: Path, start: Sequence[float], decay: float, ahead: int) -> float:
    worst = 0.0
    for step, rates in enumerate(path):
        declared = sorted({value * decay ** (step + ahead) for value in start})
        if len(declared) != len(rates):
            return float("inf")
        worst = max([worst, *(relative(a, b) for a, b in zip(declared, rates, strict=True))])
    return worst


def _start(original: SviObservation, patched: SviObservation) -> Judgement:
    before, after = original.look, patched.look
    if before is None or after is None or not before.losses or not after.losses:
        return Judgement(None, "no loss of step 0 to compare")
    seeds, size = common(before, after), max(terms(before), terms(after))
    if not finite(before.losses[:seeds]):
        if not finite(after.losses[:seeds]):
            return Judgement(None, "step 0 has no finite loss, with and without the fix", defer=True)
        return Judgement(False, "the fix changed the loss of step 0")
    pairs = list(zip(before.losses, after.losses, strict=False))
    evidence: dict[str, object] = {"common seeds": seeds, "relative error of losses": max(relative(*p) for p in pairs)}
    if any(loss_error(a, b, size) > 1 for a, b in pairs):
        a, b = max(pairs, key=lambda pair: loss_error(pair[0], pair[1], size))
        return Judgement(False, f"the loss of step 0 changed under equal seeds: {a:.6g} became {b:.6g}", evidence)
    names = sorted(before.gradients)
    if before.gradients.keys() != after.gradients.keys():
        return Judgement(False, "the patched program trains other parameters", evidence)
    worst = 0.0
    for seed in range(seeds if names else 0):
        old, new = list(flat(before, names, seed)), list(flat(after, names, seed))
        if len(old) != len(new):
            return Judgement(False, "parameters have other shapes than in the original", evidence)
        residual = norm([b - a for a, b in zip(old, new, strict=True)])
        worst = max(worst, 0.0 if residual == 0 else residual / max(norm(old), 1e-30))
    evidence["relative error of gradients"] = worst
    if not worst <= GRADIENT_TOLERANCE:
        return Judgement(False, f"the gradient of step 0 changed by {worst:.0%} under equal seeds", evidence)
    exactly = worst == 0 and all(a == b for a, b in pairs)
    return Judgement(True, f"loss and gradient of step 0 unchanged{'' if not exactly else ', bit for bit'}", evidence)
