"""Same objective: loss and gradients are the original's times one positive constant (tip 10).

A scale on the model alone changes the posterior and its own loss looks better; its gradients give it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import (
    GRADIENT_TOLERANCE,
    LOSS_TOLERANCE,
    common,
    finite,
    flat,
    loss_error,
    relative,
    terms,
    within,
)
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises._pairs import Pair, over_looks
from pyro_fix.verify.stats import dot, norm

#: A parameter whose gradient is this small beside the whole gradient is rounding error.
NEGLIGIBLE = 1e-6


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: one positive constant fits every loss, every parameter's gradient and every site's scale."""
    return over_looks(original, patched, ordinals, _judge, "the same objective", _beside)


def _beside(_: Pair, original: SviObservation, patched: SviObservation) -> str:
    return _alike.steps(original, patched)


def _judge(before: Look, after: Look) -> Judgement:
    seeds = common(before, after)
    if not seeds:
        return Judgement(None, "no losses at step 0 to compare")
    if not finite(before.losses[:seeds]):
        return Judgement(None, "the original has no finite loss at step 0 to compare with")
    if before.gradients.keys() != after.gradients.keys():
        return Judgement(False, "the patched objective depends on other parameters than the original's")
    names = sorted(before.gradients)
    if any(len(before.gradients[name][0]) != len(after.gradients[name][0]) for name in names):
        return Judgement(False, "parameters have other shapes than in the original")
    old = [list(flat(before, names, seed)) for seed in range(seeds)]
    new = [list(flat(after, names, seed)) for seed in range(seeds)]
    squares = sum(dot(row, row) for row in old)
    if squares > 0:
        constant = sum(dot(a, b) for a, b in zip(old, new, strict=True)) / squares
    else:
        constant = sum(after.losses[:seeds]) / (sum(before.losses[:seeds]) or 1.0)
    if not finite([constant]) or constant <= 0:
        return Judgement(False, f"gradients are not a positive multiple of the original's (best fit {constant:.4g})")
    evidence: dict[str, object] = {"constant": constant, "common seeds": seeds}
    worst, culprit = _gradient_error(before, after, names, seeds, constant, [norm(row) for row in old])
    evidence |= {"relative error of gradients": worst}
    if worst > GRADIENT_TOLERANCE:
        return Judgement(
            False,
            f"not the same objective: the gradient of '{culprit}' is {worst:.0%} off the original's times "
            f"{constant:.4g}",
            evidence,
        )
    size = constant * terms(before)
    losses = [(constant * a, b) for a, b in zip(before.losses, after.losses, strict=False)]
    evidence["relative error of losses"] = max(relative(a, b) for a, b in losses)
    # The constant itself is known to the gradients' tolerance only.
    if any(loss_error(a, b, size) > GRADIENT_TOLERANCE / LOSS_TOLERANCE for a, b in losses):
        a, b = max(losses, key=lambda pair: loss_error(pair[0], pair[1], size))
        return Judgement(False, f"not the same objective: loss {b:.6g} where the constant gives {a:.6g}", evidence)
    for where, ratio in _scales(before, after):
        if relative(ratio, constant) > GRADIENT_TOLERANCE:
            return Judgement(
                False, f"not the same objective: {where} is scaled by {ratio:.4g}, the rest by {constant:.4g}", evidence
            )
    error = max(worst, max(relative(a, b) for a, b in losses))
    return Judgement(
        True,
        f"same objective times {constant:.6g}: losses and gradients of {seeds} common seeds agree {within(error)}",
        evidence,
    )


def _gradient_error(
    before: Look, after: Look, names: Sequence[str], seeds: int, constant: float, sizes: Sequence[float]
) -> tuple[float, str]:
    worst, culprit = 0.0, ""
    for name in names:
        for seed in range(seeds):
            a = [constant * value for value in before.gradients[name][seed]]
            residual = norm([y - x for x, y in zip(a, after.gradients[name][seed], strict=True)])
            if residual == 0:
                continue
            error = residual / max(norm(a), NEGLIGIBLE / GRADIENT_TOLERANCE * constant * sizes[seed], 1e-30)
            if not error <= worst:
                worst, culprit = (error if finite([error]) else float("inf")), name
    return worst, culprit


def _scales(before: Look, after: Look) -> Iterator[tuple[str, float]]:
    for role, old, new in (("guide", before.guide, after.guide), ("model", before.model, after.model)):
        for name, site in old.items():
            other = new.get(name)
            if other is not None and site.scale and other.scale is not None:
                yield f"{role} site '{name}'", other.scale / site.scale
