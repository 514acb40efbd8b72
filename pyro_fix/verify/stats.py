"""The little statistics that verdicts rest on; the standard library has none of it."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence

Vector = Sequence[float]


def student_coverage(t: float, freedom: int) -> float:
    """P(|T| <= t) for Student's t with an integer number of degrees of freedom.

    Exact finite series (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    term, total = (1.0, 0.0) if freedom % 2 == 0 else (cosine, 0.0)
    for k in range(freedom % 2, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    if freedom % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)


def student_quantile(coverage: float, freedom: int) -> float:
    """The t with P(|T| <= t) = ``coverage``: 0.95 gives the half width of a 95 % confidence interval."""
    low, high = 0.0, 1.0
    while student_coverage(high, freedom) < coverage:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_coverage(middle, freedom) < coverage else (low, middle)
    return (low + high) / 2


def mean_interval(values: Vector, coverage: float = 0.95) -> tuple[float, float]:
    """The t confidence interval for the mean of independent values; needs two of them."""
    half = half_width(statistics.stdev(values), len(values), coverage)
    mean = statistics.fmean(values)
    return mean - half, mean + half


def half_width(deviation: float, count: int, coverage: float = 0.95) -> float:
    """Half of the t confidence interval for the mean of ``count`` independent values of this standard deviation."""
    return student_quantile(coverage, count - 1) * deviation / math.sqrt(count)


def sign_test(hits: int, pairs: int) -> float:
    """Two-sided p-value of ``hits`` of ``pairs`` having one sign, where both are as likely."""
    fewer = min(hits, pairs - hits)
    p: float = 2 * sum(math.comb(pairs, k) for k in range(fewer + 1)) / 2**pairs
    return min(1.0, p)


def jackknife_interval(statistic: Callable[[Sequence[int]], float], size: int) -> tuple[float, float, float]:
    """Estimate and 95 % jackknife interval of a statistic of ``size`` draws, given the indices to use."""
    everything = range(size)
    estimate = statistic(everything)
    pseudo = [size * estimate - (size - 1) * statistic([i for i in everything if i != left]) for left in everything]
    low, high = mean_interval(pseudo)
    return estimate, low, high


def norm(vector: Vector) -> float:
    """Euclidean norm."""
    return math.hypot(*vector) if vector else 0.0


def dot(a: Vector, b: Vector) -> float:
    """Inner product, rounded once."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def total_variance(draws: Sequence[Vector], indices: Sequence[int]) -> float:
    """Sum over coordinates of the sample variance over the chosen draws."""
    chosen = [draws[i] for i in indices]
    means = [math.fsum(column) / len(chosen) for column in zip(*chosen, strict=True)]
    # statistics.variance computes with fractions, which takes ten times as long
    squares = (math.fsum((x - mean) * (x - mean) for x, mean in zip(draw, means, strict=True)) for draw in chosen)
    return math.fsum(squares) / (len(chosen) - 1)


def sign_flip(differences: Sequence[Vector], flips: int = 999) -> float:
    """P-value of the paired sign-flip test of "no shift": how often random signs give a mean at least as long.

    The coordinates are standardised by their root mean square, so that no single one drowns the others.
    """
    scales = [math.sqrt(statistics.fmean(x * x for x in column)) for column in zip(*differences, strict=True)]
    rows = [[x / s for x, s in zip(row, scales, strict=True) if s > 0] for row in differences]
    if not rows or not rows[0]:
        return 1.0
    # |sum of signed rows|^2 needs the rows' inner products alone, however long the rows are.
    gram = [[dot(a, b) for b in rows] for a in rows]

    def length(signs: Sequence[int]) -> float:
        return math.fsum(s * dot(signs, row) for s, row in zip(signs, gram, strict=True))

    observed = length([1] * len(rows)) * (1 - 1e-12)
    generator = random.Random(0)  # a verdict must not change from run to run
    hits = sum(length([generator.choice((-1, 1)) for _ in rows]) >= observed for _ in range(flips))
    return (hits + 1) / (flips + 1)
