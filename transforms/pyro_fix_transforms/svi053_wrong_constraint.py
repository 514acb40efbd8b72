"""SVI053."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Param, Program, Use
from pyro_fix.analysis.requirements import (
    Requirement,
    constraint_node,
    constraint_text,
    is_passed_in,
    is_structured,
    readable,
    requirement,
    starts_inside,
)
from pyro_fix.analysis.shapes import shape
from pyro_fix.analysis.tensors import extent, requires_grad
from pyro_fix.analysis.values import Arithmetic, Made
from pyro_fix.transform import Candidate, Promise, Proposal, Transform

#: Distributions that divide their ``probs`` by the sum, so that these only have to be positive.
NORMALISING = frozenset(
    {"Categorical", "OneHotCategorical", "OneHotCategoricalStraightThrough", "Multinomial", "RelaxedOneHotCategorical"}
)
#: What is nearer to a bound than this lies on it.
NEAR = 1e-6


class WrongConstraint(Transform):
    """Replace a constraint that does not keep a parameter valid.

    ## What it does
    Finds a param whose constraint does not imply what the distribution's argument asks for, such as `positive` for a
    probability, and writes the constraint that does. Probabilities that start as a simplex and are held by
    `unit_interval` become a `simplex`: the distribution divides them by their sum, so they train, but what the
    parameter says is no probability. A param that does not start inside its own constraint is told; where it has to be
    positive and its start is negative, which is NaN from the first step on, the start is taken for a logarithm.

    ## Why
    A wrong constraint looks like protection and is none: a `positive` probability still grows beyond one, and the
    program dies where it does (tip 5).

    ## Example
    ```python
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("y", dist.Bernoulli(p), obs=y)
    ```
    becomes
    ```python
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    pyro.sample("y", dist.Bernoulli(p), obs=y)
    ```

    ## Holds back when
    - the value is changed on its way to the argument, or in place;
    - the initial value violates the constraint that is needed;
    - the constraint is computed, or the same name has different ones, or a plain torch optimiser holds the value;
    - for constraints on whole vectors and matrices, the initial value is not known to satisfy the new one;
    - a start lies outside in another way: which one is meant is not for a tool to say.

    ## Promise
    Same start (every parameter begins at its old value, the first losses agree), and the patched program runs clean. Of
    probabilities that were divided by their sum also no worse end, as far as it can be afforded. Of a start that was
    NaN only a clean run.
    """

    code, name, tip = "SVI053", "wrong-constraint", 5
    promise = Promise.SAME_START | Promise.RUNS_CLEAN
    promises = (promise, promise | Promise.NO_WORSE_END, Promise.RUNS_CLEAN)

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a name; the edits cover every call that initialises it."""
        seen: set[int] = set()
        for param in program.params:
            given = constraint_text(param.constraint)
            if given is None or param.initial is None or id(param) in seen:
                continue
            needed = requirement(program, param)
            loose = needed is not None and _is_loose(needed, given)
            if (
                needed is None
                or (
                    not loose
                    and all(_is_enough(given, use) or _is_one_number(param, given, use) for use in needed.kinds)
                )
                or _is_each_enough(program, needed, loose)
            ):
                if _starts_outside(param, given):
                    seen.add(id(param))
                    shown = f"param {param.name!r}" if param.name else "this param"
                    start = self._logarithm(program, param, given)
                    message = f"{shown} {_fault(param, given)}"
                    doubt = "" if start else "which start is meant is not for a tool to say"
                    yield self.finding(param.module, param.call, message, (start,) if start else (), doubt)
                continue
            seen.update(id(call) for call in needed.calls)
            message = f"the constraint {given} of {param.name or 'this param'} is not enough: it is {needed.wish()}"
            message += "; the distribution divides it by its sum" if loose else ""
            fix = needed.doubt or _doubt(needed, given) or self._candidate(needed, loose)
            if isinstance(fix, str):
                yield self.finding(param.module, param.call, message, held_back=fix, source=needed.source)
            else:
                yield self.finding(param.module, param.call, message, (fix,), source=needed.source)

    def _logarithm(self, program: Program, param: Param, given: str) -> Candidate | None:
        """A start below a constraint without an upper bound: people give ``-3`` and mean a scale of ``exp(-3)``."""
        known, node, others = extent(param.initial), param.initial_node, program.same_name(param)
        if known is None or node is None or not isinstance(param.initial, (Made, Arithmetic)) or known.high >= 0:
            return None
        unbounded = distributions.implies(given, "nonnegative") is True and distributions.satisfies(1e9, given) is True
        if not unbounded or not math.isfinite(known.low):
            return None
        inside = [distributions.satisfies(math.exp(bound), given) for bound in (known.low, known.high)]
        if not all(inside) or len([call for call in others if call.initial is not None]) > 1:
            return None
        if known.structure or param.mutated or param.held or requires_grad(param.initial):
            return None
        there = imports.reference(param.module, param.scope, "torch.exp", param.call)
        if there is None:
            return None
        changes = (*there.edits, *edits.wrap(param.module, node, f"{there.text}(", ")"))
        return Candidate(changes, Promise.RUNS_CLEAN, "a start of exp(...), its logarithm", needs_run=True)

    def _candidate(self, needed: Requirement, loose: bool) -> Candidate | str:
        changes = []
        for call in needed.calls:
            node = constraint_node(call)
            there = imports.reference(call.module, call.scope, imports.CONSTRAINTS, call.call)
            text = distributions.constraint_source(needed.required, there.text) if there else None
            if node is None or there is None or text is None:
                return f"there is no way to write the constraint {readable(needed.required)} here"
            changes += [*there.edits, edits.replace(call.module, node, text)]
        unknown = needed.source == "seen" or any(starts_inside(c, needed.required) is None for c in needed.calls)
        promise = self.promise | Promise.NO_WORSE_END if loose else self.promise
        return Candidate(tuple(changes), promise, f"constraint {needed.required}", needs_run=unknown or loose)


def _is_enough(given: str, use: Use) -> bool:
    if distributions.implies(given, use.required) is not False:
        return True
    kind = use.distribution.name.rpartition(".")[2]
    return use.argument == "probs" and kind in NORMALISING and distributions.implies(given, "nonnegative") is True


def _is_one_number(param: Param, given: str, use: Use) -> bool:
    """Whether it is a matrix of one row and column: of those each positive one is its own Cholesky factor."""
    sizes = shape(param.initial)
    is_matrix = "cholesky" in use.required or "definite" in use.required
    return is_matrix and sizes is not None and set(sizes) == {1} and distributions.implies(given, "positive") is True


def _is_loose(needed: Requirement, given: str) -> bool:
    """Whether probabilities that start as a simplex are only kept between 0 and 1 each.

    Weights that have to be positive, and no more, are nobody's mistake.
    """
    return (
        distributions.implies(given, "unit_interval") is True
        and needed.required == "simplex"
        and distributions.implies(given, "simplex") is False
        and all(starts_inside(call, "simplex") for call in needed.calls)
    )


def _starts_outside(param: Param, given: str) -> bool:
    """Whether some element of the initial value lies outside; bounds of a simplex or a matrix need not be reached."""
    known = extent(param.initial)
    return known is not None and known.structure in ("", "draw") and starts_inside(param, given) is False


def _fault(param: Param, given: str) -> str:
    known = extent(param.initial)
    assert known is not None
    ends = [end for end in (known.low, known.high) if distributions.satisfies(end, given) is False]
    if all(any(distributions.satisfies(end + by, given) for by in (-NEAR, NEAR)) for end in ends):
        return f"starts on a bound of its own constraint {given}, where it is infinite or hardly moves"
    return f"may start outside its own constraint {given}, which makes something else of it"


def _is_each_enough(program: Program, needed: Requirement, loose: bool) -> bool:
    """Whether every call gives the constraint that its own uses need: two guides, of which one runs, share a name."""
    if loose:
        return False
    readers = {id(use) for call in program.same_name(needed.calls[0]) if call.initial is None for use in call.uses}
    for call in needed.calls:
        given = "real" if call.constraint is None else constraint_text(call.constraint)
        own = [use for use in needed.uses if id(use) in readers or any(use is mine for mine in call.uses)]
        if given is None or not all(_is_enough(given, use) for use in own):
            return False
    return True


def _doubt(needed: Requirement, given: str) -> str:
    for call in needed.calls:
        if constraint_text(call.constraint) != given:
            return "the same name has different constraints; the first one to run would win"
        if is_passed_in(call):
            return "its constraint is an argument of the function around it"
        inside = starts_inside(call, needed.required)
        if inside is False:
            return "its initial value would violate the constraint that is needed"
        if inside is None and is_structured(needed.required):
            return "its initial value is not known to satisfy the constraint that is needed"
    return ""
