from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.split import split


class Test:
    """Fails when a bad item or a clashing pair is in the set."""

    __test__ = False

    def __init__(self, bad: set[int], pairs: Sequence[tuple[int, int]] = ()) -> None:
        self.bad, self.pairs, self.calls = bad, pairs, 0

    def __call__(self, items: Sequence[int]) -> Judgement:
        self.calls += 1
        broken = self.bad & set(items) or any(a in items and b in items for a, b in self.pairs)
        return Judgement(not broken, "bad" if broken else "")


def test_all_good_takes_one_test() -> None:
    test = Test(set())
    assert split(range(40), test).kept == list(range(40))
    assert test.calls == 1


def test_few_bad_ones_take_far_fewer_tests_than_items() -> None:
    test = Test({7, 8})
    result = split(range(40), test)
    assert [item for item, _ in result.failed] == [7, 8]
    assert result.kept == [i for i in range(40) if i not in {7, 8}]
    assert test.calls < 25


def test_a_pair_that_clashes_loses_one() -> None:
    result = split(range(8), Test(set(), [(1, 6)]))
    assert result.kept == [0, 1, 2, 3, 4, 5, 7]
    assert [item for item, _ in result.clashing] == [6]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_always_passed_together(seed: int) -> None:
    generator = random.Random(seed)
    bad = {i for i in range(12) if generator.random() < 0.3}
    pairs = [(generator.randrange(12), generator.randrange(12)) for _ in range(4)]
    pairs = [(a, b) for a, b in pairs if a != b]
    test = Test(bad, pairs)
    result = split(range(12), test)
    assert not result.kept or test(result.kept).kept
    assert sorted([*result.kept, *(i for i, _ in result.failed), *(i for i, _ in result.clashing)]) == list(range(12))
    assert {i for i, _ in result.failed} == bad


def test_nothing() -> None:
    assert split([], Test(set())).kept == []
