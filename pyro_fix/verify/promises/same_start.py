"""Same start: a constraint must not move the parameters' initial values, nor anything that follows (tips 5, 16)."""

from __future__ import annotations

from collections.abc import Sequence

from pyro_fix.observation import Look, Observation, ParamLook, SviObservation
from pyro_fix.transform import Candidate, Promise
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import (
    GRADIENT_TOLERANCE,
    TERM_TOLERANCE,
    VALUE_TOLERANCE,
    common,
    finite,
    loss_error,
    relative,
    terms,
    within,
)
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import Pair, over_looks
from pyro_fix.verify.stats import norm

#: A gradient this small beside the whole one is rounding error.
NEGLIGIBLE = 1e-3
#: Promises of fixes that change how parameters move, and not only where they may be.
_OF_STEPS = Promise.NO_WORSE | Promise.BETTER_END | Promise.DECLARED_RATE


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: equal constrained values, equal sites, equal losses under common seeds at step 0."""

    def beside(pair: Pair, before: SviObservation, after: SviObservation) -> str:
        return _gradient(*pair) or ("" if candidate.promise & _OF_STEPS else _alike.steps(before, after))

    return over_looks(original, patched, ordinals, _judge, "it starts at the same values", beside)


def _gradient(before: Look, after: Look) -> str:
    """A parameter whose gradient is another one; in another constraint it is measured in other coordinates."""
    for name in sorted(before.gradients.keys() & after.gradients.keys()):
        one, other = before.params.get(name), after.params.get(name)
        if one is None or other is None or one.constraint != other.constraint:
            continue
        for old, new in zip(before.gradients[name], after.gradients[name], strict=False):
            off = norm([b - a for a, b in zip(old, new, strict=True)]) if len(old) == len(new) else float("inf")
            if finite(old) and off > GRADIENT_TOLERANCE * max(norm(old), NEGLIGIBLE * norm(_whole(before))):
                return f"the gradient of '{name}' is another one"
    return _alike.trained(before, after)


def _whole(look: Look) -> list[float]:
    return [value for value in look.gradient_norms if finite([value])]


def _judge(before: Look, after: Look) -> Judgement:
    worst = 0.0
    evidence: dict[str, object]
    for name in sorted(before.params.keys() | after.params.keys()):
        if name not in before.params and before.error:
            continue  # the original broke before it made this one
        if name not in before.params or name not in after.params:
            side = "patched program" if name not in after.params else "original"
            return Judgement(False, f"the {side} has no parameter '{name}'")
        error = _param_error(before.params[name], after.params[name])
        if error > VALUE_TOLERANCE:
            moved = f"{_range(before.params[name])} became {_range(after.params[name])}"
            evidence = {"parameter": name, "relative error": error}
            return Judgement(False, f"parameter '{name}' starts elsewhere: {moved}", evidence)
        worst = max(worst, error)
    count = len(after.params)
    evidence = {"parameters": count, "relative error of values": worst}
    if not before.losses or not finite(before.losses):
        if not count:
            return Judgement(None, "the original has no valid first step to compare with", evidence)
        return Judgement(
            True,
            f"same start: {_many(count, 'parameter')} equal {within(worst)}; the original has no valid loss",
            evidence,
        )
    site = _site_difference(before, after)
    if site:
        return Judgement(False, site, evidence)
    seeds = common(before, after)
    if not seeds:
        return Judgement(None, "the patched program has no loss at step 0 to compare", evidence)
    size = max(terms(before), terms(after))
    pairs = list(zip(before.losses, after.losses, strict=False))
    loss = max(relative(a, b) for a, b in pairs)
    evidence |= {"losses": seeds, "relative error of losses": loss}
    if any(loss_error(a, b, size) > 1 for a, b in pairs):
        a, b = max(pairs, key=lambda pair: loss_error(pair[0], pair[1], size))
        return Judgement(False, f"the loss of step 0 changed under equal seeds: {a:.6g} became {b:.6g}", evidence)
    equal = f"{_many(count, 'parameter')} and {_many(seeds, 'loss')} equal {within(max(worst, loss))}"
    return Judgement(True, f"same start: {equal}", evidence)


def _param_error(a: ParamLook, b: ParamLook) -> float:
    if a.shape != b.shape or len(a.values) != len(b.values):
        return float("inf")
    # An element far below the largest one carries that one's rounding error (simplex, projections).
    floor = max((abs(value) for value in a.values), default=0.0) * TERM_TOLERANCE / VALUE_TOLERANCE
    return max((relative(x, y, floor) for x, y in zip(a.values, b.values, strict=True)), default=0.0)


def _site_difference(before: Look, after: Look) -> str:
    for role, old, new in (("guide", before.guide, after.guide), ("model", before.model, after.model)):
        for name in sorted(old.keys() | new.keys()):
            if name not in old or name not in new:
                return f"the {role} has lost or gained the site '{name}'"
            a, b = old[name], new[name]
            if (a.distribution, a.shape, a.observed) != (b.distribution, b.shape, b.observed):
                return (
                    f"{role} site '{name}' changed: {a.distribution} of shape {a.shape} "
                    f"became {b.distribution} of shape {b.shape}"
                )
    return ""


def _range(param: ParamLook) -> str:
    if param.minimum == param.maximum:
        return f"{param.minimum:.6g}"
    return f"[{param.minimum:.6g}, {param.maximum:.6g}]"


def _many(count: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("ss") else "s")
    return f"{count} {noun if count == 1 else plural}"
