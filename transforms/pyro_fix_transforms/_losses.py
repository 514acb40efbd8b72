"""What the transforms of tips 9, 12 and 14 share: the ELBOs of a program, and the sites that they are asked about."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pyro_fix.analysis import distributions
from pyro_fix.analysis.distributions import Distribution
from pyro_fix.analysis.pairing import Side
from pyro_fix.analysis.program import Program, Site, Svi
from pyro_fix.analysis.values import Applied, Attribute, Made, Value

#: What an ELBO's class begins with where it compiles its loss, once for every set of keywords, model and guide.
JIT = "Jit"
#: Enumerable by name, but not by shape: the values of a permutation or a tree are not a dimension of a tensor.
NOT_PLAIN = frozenset({"OneOneMatching", "OneTwoMatching", "SpanningTree", "Empirical"})
#: Methods of a distribution that change its shape, or what counts of it.
_SHAPING = frozenset({"to_event", "independent", "expand", "expand_by", "mask"})


@dataclass(frozen=True)
class Loss:
    """One ELBO that is spelled in the source, and what it is given to."""

    made: Made
    kind: str
    """``Trace_ELBO``."""
    svis: tuple[Svi, ...]


def losses(program: Program, kinds: Collection[str]) -> Iterator[Loss]:
    """Every ELBO of these classes that an SVI object uses; one whose class depends on a branch is left out."""
    by_node: dict[int, list[Made]] = defaultdict(list)
    for made in program.made:
        if made.name.startswith("pyro.infer."):
            by_node[id(made.node)].append(made)
    for found in by_node.values():
        kind = found[0].name.removeprefix("pyro.infer.")
        svis = {id(svi): svi for made in found for svi in program.makers_of(made)}
        if kind in kinds and svis and all(made.name == found[0].name for made in found):
            yield Loss(found[0], kind, tuple(svis.values()))


@dataclass(frozen=True)
class Family:
    """What a site's distribution is, as far as the source spells it."""

    made: Made
    distribution: Distribution
    methods: tuple[str, ...]
    """Its shaping methods, outermost first."""

    @property
    def events(self) -> int:
        """How many times dimensions are declared to belong together."""
        return sum(method in ("to_event", "independent") for method in self.methods)


def family(value: Value | None) -> Family | None:
    """The family of a distribution, through ``.to_event(1)`` and its like; ``None`` when it is not spelled."""
    methods: list[str] = []
    while isinstance(value, Applied) and isinstance(value.callee, Attribute) and value.callee.name in _SHAPING:
        methods.append(value.callee.name)
        value = value.callee.base
    if not isinstance(value, Made) or value.spread or not value.name.startswith("pyro.distributions."):
        return None
    known = distributions.lookup(value.name.rpartition(".")[2])
    return Family(value, known, tuple(methods)) if known is not None else None


def is_enumerable(site: Site) -> bool:
    """Whether Pyro can sum over the values of a site, as far as the source spells its distribution."""
    found = family(site.distribution)
    if found is None or not found.distribution.enumerable or found.distribution.name in NOT_PLAIN:
        return False
    return set(found.methods) <= {"expand", "expand_by", "mask"}  # Pyro does not enumerate products


def nodes(side: Side) -> list[ast.AST]:
    """The functions of a model or guide as they stand in the source."""
    return [function.node for function in side.functions]


def by_name(program: Program, side: Side) -> dict[str, Site] | None:
    """The latents of a model or guide in their order; ``None`` where the source does not tell them all.

    One site a name, each with a name of its own, and no other latents than those that are spelled.
    """
    if program.unspelled_in(nodes(side)):
        return None
    found: dict[str, Site] = {}
    for site in side.sites:
        if site.name is None or "{}" in site.name:
            return None
        known = found.setdefault(site.name, site)
        if known.call is not site.call:
            return None
    return found
