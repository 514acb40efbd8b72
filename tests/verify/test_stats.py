from __future__ import annotations

import math
import random

import pytest

from pyro_fix.verify.stats import (
    jackknife_interval,
    mean_interval,
    sign_flip,
    sign_test,
    student_coverage,
    student_quantile,
    total_variance,
)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (7, 2.36462), (15, 2.13145), (30, 2.04227)]
)
def test_quantiles_of_students_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, rel=1e-5)
    assert student_coverage(quantile, freedom) == pytest.approx(0.95, abs=1e-5)


def test_mean_interval_covers_as_often_as_it_says() -> None:
    generator = random.Random(1)
    hits = 0
    for _ in range(1000):
        low, high = mean_interval([generator.gauss(5, 2) for _ in range(4)])
        hits += low < 5 < high
    assert 930 <= hits <= 970  # 95 % within three standard errors


def test_jackknife_of_a_mean_is_the_t_interval() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    estimate, low, high = jackknife_interval(lambda at: math.fsum(values[i] for i in at) / len(at), 4)
    assert estimate == 3.75
    assert (low, high) == pytest.approx(mean_interval(values))


def test_total_variance_adds_coordinates() -> None:
    assert total_variance([(0.0, 1.0), (2.0, 1.0), (4.0, 4.0)], range(3)) == pytest.approx(4 + 3)


def test_sign_flip_sees_a_shift_and_raises_few_false_alarms() -> None:
    generator = random.Random(2)

    def differences(shift: float) -> list[list[float]]:
        return [[shift + generator.gauss(0, 1) for _ in range(5)] for _ in range(32)]

    assert max(sign_flip(differences(1.0), 199) for _ in range(5)) < 0.01
    assert sum(sign_flip(differences(0.0), 99) < 0.05 for _ in range(60)) <= 8


def test_sign_flip_of_no_difference_is_no_alarm() -> None:
    assert sign_flip([[0.0, 0.0]] * 16) == 1.0


@pytest.mark.parametrize(
    ("hits", "pairs", "p"), [(8, 8, 2 / 256), (0, 8, 2 / 256), (14, 16, 274 / 2**16), (4, 8, 1.0), (3, 4, 10 / 16)]
)
def test_sign_test(hits: int, pairs: int, p: float) -> None:
    assert sign_test(hits, pairs) == pytest.approx(p)
