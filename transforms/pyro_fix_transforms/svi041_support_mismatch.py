"""SVI041."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions, flow
from pyro_fix.analysis.health import agreements
from pyro_fix.analysis.pairing import Pair, looks, pairs, verdict
from pyro_fix.analysis.program import Param, Program, Site
from pyro_fix.analysis.requirements import (
    HELD,
    constraint_node,
    constraint_text,
    is_passed_in,
    is_structured,
    starts_inside,
)
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.supports import Support, supports
from pyro_fix.analysis.tensors import extent, requires_grad
from pyro_fix.analysis.values import Const, Made, Value
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform

#: Families on the whole real line whose median is their ``loc``.
REAL_LINE = frozenset(
    {"Normal", "Laplace", "StudentT", "Cauchy", "Logistic", "SoftLaplace"}
    | {"MultivariateNormal", "LowRankMultivariateNormal", "MultivariateStudentT"}
)


@dataclass
class _Mismatch:
    """A guide's site that leaves the support of the model's."""

    site: Site
    name: str
    guide: str
    """The class of the guide's distribution."""
    model: str
    """That of the model's."""
    shown: str
    """The model's support, for people."""
    wanted: list[str]
    """The model's support as the source tells it, once for each place that says something of it."""
    source: Literal["static", "seen"]
    others: list[Pair] = field(default_factory=list)
    """Pairs of the same ``pyro.sample`` with models that it does suit, as far as is known."""


@dataclass(frozen=True)
class _Family:
    """How a guide's distribution is written on the model's support."""

    made: Made
    support: str
    label: str
    edits: tuple[Edit, ...]
    transform: str
    """Source of the transform onto the support; empty where it is the exponential."""

    def pulled_back(self, module: Module, node: ast.expr, cut: bool = False) -> tuple[Edit, ...]:
        """Map an expression on the support to the real line; ``cut``: outside of autograd's graph."""
        is_plain = isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
        before, after = ("", "") if is_plain else ("(", ")")
        if self.transform and not cut:
            return edits.wrap(module, node, f"{self.transform}.inv(", ")")
        after += ".detach()" if cut else ""
        if self.transform:
            return edits.wrap(module, node, f"{self.transform}.inv({before}", f"{after})")
        changes = edits.wrap(module, node, before, f"{after}.log()")
        return changes[1:] if is_plain else changes


class SupportMismatch(Transform):
    """Give a guide's site the support that the model's has.

    ## What it does
    Finds a latent for which the guide can propose values outside the model's support, such as a `Normal` guide for a
    positive scale, and moves the guide's distribution onto it: `LogNormal` for positive latents, and
    `TransformedDistribution(..., biject_to(support))` for intervals and half-lines. The initial median stays.

    ## Why
    A value outside the support has no log-probability: the loss is NaN, or an exception ends the program, at a step
    that depends on the draw (tip 4). A short run that passes proves nothing, so the supports themselves are compared.

    ## Example
    ```python
    def model(data):
        sigma = pyro.sample("sigma", dist.HalfCauchy(1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(0.0, sigma), obs=data)

    def guide(data):
        loc = pyro.param("loc", torch.tensor(2.0))
        pyro.sample("sigma", dist.Normal(loc, 0.1))
    ```
    becomes
    ```python
    def model(data):
        sigma = pyro.sample("sigma", dist.HalfCauchy(1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(0.0, sigma), obs=data)

    def guide(data):
        loc = pyro.param("loc", torch.tensor(2.0).log())
        pyro.sample("sigma", dist.LogNormal(loc, 0.1))
    ```
    A location that is read elsewhere by its name, or that is constrained already, keeps its meaning: then it is
    constrained to the support, and the distribution gets its logarithm. A location that starts outside the support
    stays as it is, as there is no median to keep. A guide inside the model's support without being equal to it is
    sound.

    ## Holds back when
    - the guide's family is none of the real line, or the support is a simplex, a matrix or discrete: another family
      is a choice, and a simplex changes the shape of the parameters (`AutoNormal` for that latent may do);
    - the bounds of the support are not known where the guide is written;
    - the location is computed, serves other sites as well, or has a constraint of its own and starts outside;
    - the distribution, or the site, serves other names or other models.

    ## Promise
    The patched program runs clean: supports and arguments are valid at every site.
    """

    code, name, tip = "SVI041", "support-mismatch", 4
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a ``pyro.sample`` of a guide."""
        for found in _mismatches(program):
            message = (
                f"the guide draws {found.name!r} from a {found.guide}, which leaves the support of the model's "
                f"{found.model}: {found.shown.replace(distributions.UNKNOWN, '…')}"
            )
            fix = self._fix(program, found)
            reason = fix if isinstance(fix, str) else ""
            candidates = () if isinstance(fix, str) else fix
            yield self.finding(found.site.module, found.site.call, message, candidates, reason, found.source)

    def _fix(self, program: Program, found: _Mismatch) -> tuple[Candidate, ...] | str:
        if found.others:
            return "the guide serves another model as well, where it may be right"
        if len({_plain(text) for text in found.wanted}) > 1:
            return "the model's distribution depends on a branch"
        known = supports(found.site.distribution)
        if known is None or len(known) != 1:
            return "the guide's distribution is not known, or depends on a branch"
        made = known[0].made
        if any(_uses(site, made) and site.name != found.site.name for site in program.sites):
            return "the guide's distribution serves other sites as well"
        family = _family(known[0], _plain(found.wanted[0]), found.source)
        if isinstance(family, str):
            return family
        starts = _starts(program, family)
        if isinstance(starts, str):
            return starts
        return tuple(
            Candidate(imports.merged((*family.edits, *changes)), self.promise, f"{family.label}{kept}", needs_run=run)
            for changes, kept, run in starts
        )


def _mismatches(program: Program) -> Iterator[_Mismatch]:
    """Those of latents that the source pairs, then those that only a run shows."""
    found: dict[int, _Mismatch] = {}
    suited: dict[int, list[Pair]] = {}
    for one in program.together:
        for pair in pairs(program, one):
            judged = verdict(program, pair)
            supported = [support for site in pair.model for support in supports(site.distribution) or ()]
            for site in pair.guide:
                if judged.inside is not False:
                    suited.setdefault(id(site.call), []).append(pair)
                elif judged.source == "static":
                    guide = (supports(site.distribution) or ())[0].family
                    model = supported[0]
                    made = _Mismatch(site, pair.name, guide, model.family, model.constraint, [], "static")
                    found.setdefault(id(site.call), made).wanted += [support.constraint for support in supported]
    for site in program.sites:
        shown = [(seen, look) for seen, look in looks(program, site) if agreements(look).get(seen.name) is False]
        if shown and id(site.call) not in found:
            seen, look = shown[0]
            model_look = look.model[seen.name]
            wanted = _wanted(program, site) or [model_look.support]
            found[id(site.call)] = _Mismatch(
                site,
                seen.name,
                look.guide[seen.name].distribution,
                model_look.distribution,
                model_look.support,
                wanted,
                "seen",
            )
    for place, mismatch in found.items():
        mismatch.others = suited.get(place, []) if mismatch.source == "static" else []
        yield mismatch


def _wanted(program: Program, site: Site) -> list[str]:
    """What the source says of the supports that the model has at a guide's site."""
    return [
        support.constraint
        for one in program.together
        for pair in pairs(program, one)
        if any(mine.call is site.call for mine in pair.guide)
        for other in pair.model
        for support in supports(other.distribution) or ()
    ]


def _plain(support: str) -> str:
    """One name for supports that differ in their bounds' being closed."""
    return "positive" if support in ("nonnegative", "softplus_positive", "greater_than(0)") else support


def _uses(site: Site, made: Made) -> bool:
    return any(known.made.node is made.node for known in supports(site.distribution) or ())


def _family(guide: Support, support: str, source: str) -> _Family | str:
    """The distribution that takes the guide's place; or why there is none."""
    made = guide.made
    if guide.family not in REAL_LINE or made.spread:
        return f"{guide.family} is no family of the real line that could be moved onto {support}"
    if is_structured(support):
        return "on such a support the parameters have another shape; AutoNormal for this latent may do"
    if distributions.implies(support, "integer"):
        return "the model's distribution is discrete, and a continuous guide cannot be moved onto it"
    if (source == "seen" and "(" in support) or distributions.UNKNOWN in support:
        return "the bounds of the support are not known where the guide is written"
    if support == "positive" and guide.family == "Normal":
        there = imports.reference(made.module, made.scope, "pyro.distributions.LogNormal", made.node)
        if there is None:
            return "the name LogNormal is taken here"
        change = edits.replace(made.module, made.node.func, there.text)
        return _Family(made, support, "LogNormal", (*there.edits, change), "")
    names = ("pyro.distributions.TransformedDistribution", "torch.distributions.biject_to", imports.CONSTRAINTS)
    found = [imports.reference(made.module, made.scope, name, made.node) for name in names]
    outer, biject, constraints = found
    text = distributions.constraint_source(support, constraints.text) if constraints else None
    if outer is None or biject is None or constraints is None or text is None:
        return "there is no way to write the transform onto the support here"
    transform = f"{biject.text}({text})"
    changes = edits.wrap(made.module, made.node, f"{outer.text}(", f", {transform})")
    imported = (edit for reference in (outer, biject, constraints) for edit in reference.edits)
    return _Family(made, support, "TransformedDistribution", (*imported, *changes), transform)


_Start = tuple[tuple[Edit, ...], str, bool]
"""Edits that choose where the guide starts, what they do in words, and whether only a run can vouch for them."""
_KEPT = ", the same initial median"
_UNMAPPED = ", the location as it was: it starts outside the support"


def _starts(program: Program, family: _Family) -> list[_Start] | str:
    """How the location starts in the new family, best first; or why that is not known."""
    made = family.made
    value, node = _location(made)
    if value is None or node is None:
        return "its location is not given where the distribution is made"
    if isinstance(value, Const):
        return _constant_start(family, value, node)
    origins = list(flow.origins(value))
    if len(origins) != 1 or not origins[0].unchanged:
        return "its location is computed, so where it starts on the new support is not known"
    same_name = program.same_name(origins[0].param.param)
    makers = [call for call in same_name if call.initial is not None]
    if len(makers) != 1 or isinstance(makers[0].initial, Const) or makers[0].initial_node is None:
        return "its location gets no initial value, or gets one in several places"
    maker = makers[0]
    if any(call.mutated or call.reassigned for call in same_name):
        return "the program changes its location in place"
    if any(call.held for call in same_name):
        return f"its location: {HELD}"
    if any(use.distribution.node is not made.node or use.argument != "loc" for call in same_name for use in call.uses):
        return "its location is used for something else as well"
    return _param_start(family, maker, node, _is_read_elsewhere(same_name))


def _location(made: Made) -> tuple[Value | None, ast.expr | None]:
    known = distributions.lookup(made.name.rpartition(".")[2])
    position = known.arguments.index("loc") if known is not None else 0
    node = next((keyword.value for keyword in made.node.keywords if keyword.arg == "loc"), None)
    if node is None and len(made.node.args) > position:
        node = made.node.args[position]
    return made.argument(position, "loc"), node


def _constant_start(family: _Family, value: Const, node: ast.expr) -> list[_Start] | str:
    known = extent(value)
    if known is None:
        return "its location is not a number"
    if not distributions.satisfies(known.low, family.support):
        return [((), _UNMAPPED, False)]
    if family.transform:
        return "its location is a plain number, which the transform does not take"
    change = edits.replace(family.made.module, node, repr(round(math.log(known.low), 6)))
    return [((change,), _KEPT, False)]


def _param_start(family: _Family, maker: Param, node: ast.expr, is_read: bool) -> list[_Start] | str:
    made, given = family.made, constraint_text(maker.constraint)
    is_constrained = maker.constraint is not None and (
        given is None or distributions.implies("real", given) is not True
    )
    if given is not None and distributions.implies(given, family.support):
        return [(family.pulled_back(made.module, node), _KEPT, False)]
    inside = starts_inside(maker, family.support)
    if is_constrained and (inside is False or given is None or is_structured(given)):
        return "its location has a constraint of its own, and does not start inside the support"
    starts: list[_Start] = []
    if inside is not False and (is_read or is_constrained):
        constraint = _constrained(maker, family.support)
        if isinstance(constraint, str):
            return constraint
        starts.append(((*constraint, *family.pulled_back(made.module, node)), _KEPT, inside is None))
    elif inside is not False and maker.initial_node is not None:
        initial = maker.initial_node
        while isinstance(initial, ast.Lambda):
            initial = initial.body
        cut = requires_grad(maker.initial)  # what the logarithm makes of a leaf is none, and cannot be trained
        starts.append((family.pulled_back(maker.module, initial, cut), _KEPT, inside is None))
    if inside is not True and not is_read and not is_constrained:
        starts.append(((), _UNMAPPED, inside is None))
    return starts or "its location starts outside the support, and is read elsewhere by its name"


def _constrained(maker: Param, support: str) -> tuple[Edit, ...] | str:
    """Keep a param on the support by a constraint."""
    there = imports.reference(maker.module, maker.scope, imports.CONSTRAINTS, maker.call)
    text = distributions.constraint_source(support, there.text) if there else None
    node = constraint_node(maker)
    if there is None or text is None or (node is None) != (maker.constraint is None) or is_passed_in(maker):
        return "there is no way to write the constraint that its location needs"
    if node is None:
        return (*there.edits, edits.add_keyword(maker.module, maker.call, "constraint", text))
    return (*there.edits, edits.replace(maker.module, node, text))


def _is_read_elsewhere(same_name: list[Param]) -> bool:
    """Whether something may read the param by its name, or as an attribute, and expect a location."""
    names = {call.name for call in same_name}
    if any(call.kind != "param" or call.name is None or "{}" in call.name for call in same_name):
        return True
    feeding = {id(call.call) for call in same_name if call.uses or call.initial is not None}
    own = {
        id(inner)
        for call in same_name
        if id(call.call) in feeding
        for inner in call.call.args[:1] + [k.value for k in call.call.keywords if k.arg == "name"]
    }
    return any(
        isinstance(node, ast.Constant) and node.value in names and id(node) not in own
        for module in {id(call.module): call.module for call in same_name}.values()
        for node in ast.walk(module.tree)
    )
