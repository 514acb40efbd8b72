"""What Pyro refuses about sites whatever their values are, and the source shows: names, dimensions and shapes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis import flow
from pyro_fix.analysis.pairing import Pair, Side, is_plain, pairs, side
from pyro_fix.analysis.program import Couple, Program, Site, Svi
from pyro_fix.analysis.reach import surely_runs
from pyro_fix.analysis.shapes import Shapes, broadcast, number, of_distribution
from pyro_fix.analysis.spelled import HOLE
from pyro_fix.analysis.values import Const, Made


@dataclass(frozen=True)
class Clash:
    """A site that Pyro will refuse, and what is wrong with it, in Pyro's words as far as they go."""

    site: Site
    words: str


def clashes(program: Program, together: Svi | Couple) -> Iterator[Clash]:
    """What ends every step of a model with its guide."""
    for value in (together.model, together.guide):
        one = side(program, value)
        if one is not None and len(one.functions) == 1:
            yield from _of_names(program, one)
            yield from _of_plates(program, one)
    for pair in pairs(program, together):
        yield from _of_shapes(pair)


def _of_names(program: Program, one: Side) -> Iterator[Clash]:
    """Sites that are met twice under one name."""
    (function,) = one.functions
    if function.decorators:  # which may rename them
        return
    known: dict[str, Site] = {}
    told: set[str] = set()
    for site in program.sites_of([function.node]):
        if site.name is None or HOLE in site.name or site.name in told or site.kind != "sample" or not is_plain(site):
            continue
        first = known.get(site.name)
        is_twice = first is not None and first.call is not site.call and surely_runs(function.node, site.call)
        is_repeated = any((number(flow.length(loop)) or 0) > 1 for loop in site.loops_in(function.node))
        if is_twice or (is_repeated and not _is_branched(function.node, site.call)):
            told.add(site.name)
            yield Clash(site, f"Multiple sample sites named '{site.name}'")
        elif surely_runs(function.node, site.call):
            known[site.name] = site


def _is_branched(function: ast.AST, call: ast.Call) -> bool:
    """Whether a branch of the function decides if a call is reached."""
    branches = (node for node in ast.walk(function) if isinstance(node, (ast.If, ast.IfExp, ast.Match, ast.Try)))
    return any(inner is call for branch in branches for inner in ast.walk(branch))


def _of_plates(program: Program, one: Side) -> Iterator[Clash]:
    """Plates round one site that claim the same dimension."""
    told: set[int] = set()
    (function,) = one.functions
    for site in program.sites_of([function.node]):
        dims: dict[object, Made] = {}
        for plate in site.plates_in(function.node):
            dim = plate.argument(4, "dim")
            if not isinstance(dim, Const) or not isinstance(dim.value, int) or plate.spread:
                continue
            other = dims.setdefault(dim.value, plate)
            if other is not plate and id(plate.node) not in told:
                told.add(id(plate.node))
                yield Clash(site, f"collide at dim={dim.value}: {_named(other)} and {_named(plate)}")


def _named(plate: Made) -> str:
    name = plate.argument(0, "name")
    return f"plate '{name.value}'" if isinstance(name, Const) else "a plate"


def _of_shapes(pair: Pair) -> Iterator[Clash]:
    """Latents whose two sides do not fit each other; it is the guide that has to follow the model."""
    if len(pair.guide) != 1 or len(pair.model) != 1:
        return
    (guide,), (model,) = pair.guide, pair.model
    mine, theirs = of_distribution(guide.distribution), of_distribution(model.distribution)
    if mine is None or theirs is None:
        return
    where = f"at site '{pair.name}'"
    if len(mine.event) != len(theirs.event):
        yield Clash(guide, f"Model and guide event_dims disagree {where}: {len(theirs.event)} vs {len(mine.event)}")
    elif not guide.plates and not model.plates and not _fit(mine, theirs):
        shapes = (theirs.batch + theirs.event, mine.batch + mine.event)
        yield Clash(guide, f"Model and guide shapes disagree {where}: {list(shapes[0])} vs {list(shapes[1])}")


def _fit(mine: Shapes, theirs: Shapes) -> bool:
    """Whether no dimension differs, but for those of 1 on the left that may be left out."""
    left, right = mine.batch + mine.event, theirs.batch + theirs.event
    length = max(len(left), len(right))
    padded = [(1,) * (length - len(shape)) + shape for shape in (left, right)]
    return padded[0] == padded[1] and broadcast(padded) is not None
