"""Pareto k̂ of importance weights, by ArviZ (Vehtari et al. 2024; for variational fits Yao et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

#: Without so many weights the tail has too few of them.
FEWEST = 100
#: Why there is none, where it can be put right.
NO_ARVIZ = "needs ArviZ: pip install 'pyro-fix[prove]'"


def khat(weights: Sequence[float]) -> tuple[float | None, str]:
    """k̂ of the logarithms of importance weights, or why there is none."""
    finite = [weight for weight in weights if math.isfinite(weight)]
    if len(finite) < FEWEST:
        return None, "too few weights are finite"
    if len(set(finite)) < FEWEST:
        return None, "too few weights differ"  # as of a guide without latents: all are the same
    try:
        import numpy
        from arviz_stats.base.array import array_stats
    except ImportError:
        return None, NO_ARVIZ
    smoothed: Any = array_stats.psislw  # without types
    try:
        with numpy.errstate(all="ignore"):
            _, shape = smoothed(-numpy.array(finite))  # it takes what importance weights of leave-one-out are: 1 / w
    except ValueError as error:  # what it cannot fit is no fault of the program's
        return None, f"ArviZ cannot tell: {error}"
    value = float(shape)
    return (value, "") if math.isfinite(value) else (None, "the weights have no tail")
