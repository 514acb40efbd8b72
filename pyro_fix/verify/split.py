"""Split on failure: which of several changes spoil them all (design.md: 14 runs instead of 40 when 5 % are bad)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pyro_fix.verify.judgement import Judgement

T = TypeVar("T")


@dataclass
class Split(Generic[T]):
    """What became of a set of changes."""

    kept: list[T]
    """They passed together."""
    failed: list[tuple[T, Judgement]] = field(default_factory=list)
    """They failed alone."""
    clashing: list[tuple[T, Judgement]] = field(default_factory=list)
    """They passed alone, but not together with those that are kept."""


def split(items: Sequence[T], test: Callable[[Sequence[T]], Judgement]) -> Split[T]:
    """The items that pass ``test`` together, and why the others do not; one test when all of them pass.

    Halves are cut in the order of ``items``: put what belongs together (one file) side by side.
    """
    if not items:
        return Split([])
    judgement = test(items)
    if judgement.kept:
        return Split(list(items))
    if len(items) == 1:
        return Split([], [(items[0], judgement)])
    middle = len(items) // 2
    left, right = split(items[:middle], test), split(items[middle:], test)
    result = Split(left.kept, left.failed + right.failed, left.clashing + right.clashing)
    if not left.kept or not right.kept:
        result.kept = left.kept or right.kept
    elif len(left.kept) + len(right.kept) < len(items) and test([*left.kept, *right.kept]).kept:
        result.kept = [*left.kept, *right.kept]
    else:
        for item in right.kept:
            judgement = test([*result.kept, item])
            if judgement.kept:
                result.kept = [*result.kept, item]
            else:
                result.clashing.append((item, judgement))
    return result
