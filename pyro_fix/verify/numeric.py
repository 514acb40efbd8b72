"""When two float32 results count as equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from pyro_fix.observation import Look

#: Constrained initial values go through a transform and its inverse: an error of 1e-7 to 1e-6 in float32.
VALUE_TOLERANCE = 1e-5
#: Losses are sums of many float32 terms.
LOSS_TOLERANCE = 1e-4
#: ... and where the terms cancel, the error is relative to the terms.
TERM_TOLERANCE = 1e-6
#: Relative to a gradient's norm.  A scale on both sides was measured at 9e-8, one on the model alone never below 0.23.
GRADIENT_TOLERANCE = 1e-3


def relative(a: float, b: float, size: float = 0.0) -> float:
    """|a - b| in units of the larger one, or of ``size`` where that is larger; infinite when one is not finite."""
    if a == b:
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b), size)


def within(error: float) -> str:
    """How well two things agree, in words."""
    return "exactly" if error == 0 else f"to {error:.0e}"


def terms(look: Look) -> float:
    """Sum of the magnitudes that a loss is the difference of: every site's scaled log-prob."""
    total = 0.0
    for sites in (look.guide, look.model):
        for site in sites.values():
            if math.isfinite(site.log_prob):
                total += abs(site.log_prob) * (1.0 if site.scale is None else abs(site.scale))
    return total


def loss_error(a: float, b: float, size: float) -> float:
    """Disagreement of two losses in units of what float32 allows: above 1 they differ."""
    if a == b:
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(LOSS_TOLERANCE * max(abs(a), abs(b)), TERM_TOLERANCE * size, 1e-30)


def finite(values: Iterable[float]) -> bool:
    """Whether all of them are."""
    return all(math.isfinite(value) for value in values)


def common(a: Look, b: Look) -> int:
    """How many common seeds both looks evaluated."""
    return min(len(a.losses), len(b.losses))


def flat(look: Look, names: Sequence[str], seed: int) -> Iterator[float]:
    """The gradient sketches of several parameters in one row."""
    for name in names:
        yield from look.gradients[name][seed]
