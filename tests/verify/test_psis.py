"""Pareto k̂ of importance weights: where there is one, and what is said where there is none."""

from __future__ import annotations

import math
import random
import warnings

import pytest

from pyro_fix.verify.psis import khat

pytest.importorskip("arviz_stats")

DRAWN = random.Random(0)


def test_of_a_guide_like_the_posterior_and_of_one_that_is_narrow() -> None:
    good, missing = khat([DRAWN.gauss(0.0, 0.1) for _ in range(1000)])
    assert good is not None and good < 0.5 and not missing
    narrow, _ = khat([4.0 * DRAWN.gauss(0.0, 1.0) ** 2 for _ in range(1000)])
    assert narrow is not None and narrow > 0.7


@pytest.mark.parametrize(
    "weights",
    [
        [0.0] * 1000,  # no latents
        [DRAWN.choice((0.0, 1.0)) for _ in range(1000)],
        [math.nan] * 1000,
        [*(0.0,) * 990, *range(10)],
        [1e-16 * number for number in range(1000)],
        [1e300 * (number % 7) + number for number in range(1000)],
    ],
)
def test_no_weights_are_too_odd(weights: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, missing = khat(weights)
    assert (value is None) == bool(missing)
