"""Which arm of a branch something stands in, and what holds of every arm."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from pyro_fix.analysis.program import Step, Svi

Arms = dict[ast.AST, int]
"""Branch -> which of its arms is being run through."""


def are_exclusive(left: Svi, right: Svi) -> bool:
    """Whether two SVI objects stand in different arms of one branch, so that only one of them is built."""
    return left is not right and any(right.arms.get(node, arm) != arm for node, arm in left.arms.items())


def only_one(svis: Sequence[Svi]) -> bool:
    """Whether no more than one of these is built, whatever way the program takes."""
    return all(are_exclusive(left, right) for left, right in combinations(svis, 2))


def meet(branch: ast.AST, arms: int, made: Sequence[tuple[Svi, Step]]) -> None:
    """``arms`` arms of a branch lead on from it: an SVI object that makes as many steps in each surely makes them.

    ``made`` are the steps in all its arms.  Those of one arm stand for the others from here on.
    """
    found: dict[int, dict[int, list[Step]]] = defaultdict(lambda: defaultdict(list))
    for svi, step in made:
        if not step.stands_aside and step.branches[-1:] == (branch,):
            found[id(svi)][step.arms[branch]].append(step)
    for by_arm in found.values():
        first, *others = by_arm.values()
        if len(by_arm) == arms and all(_are_alike(first, other) for other in others):
            for step in first:
                step.branches = step.branches[:-1]
            for step in (step for other in others for step in other):
                step.stands_aside = True


def _are_alike(left: Sequence[Step], right: Sequence[Step]) -> bool:
    return len(left) == len(right) and all(
        len(one.loops) == len(other.loops) and all(a is b for a, b in zip(one.loops, other.loops, strict=True))
        for one, other in zip(left, right, strict=True)
    )
