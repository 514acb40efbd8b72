"""SVI053."""

from __future__ import annotations

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
from pyro_fix.analysis.tensors import extent
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
    probability, and writes the constraint that does. A param that does not start inside its own constraint is told.

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
    - for constraints on whole vectors and matrices, the initial value is not known to satisfy the new one.

    ## Promise
    Same start (every parameter begins at its old value, the first losses agree), and the patched program runs clean.
    """

    code, name, tip = "SVI053", "wrong-constraint", 5
    promise = Promise.SAME_START | Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a name; the edits cover every call that initialises it."""
        seen: set[int] = set()
        for param in program.params:
            given = constraint_text(param.constraint)
            if given is None or param.initial is None or id(param) in seen:
                continue
            needed = requirement(program, param)
            if (
                needed is None
                or all(_is_enough(given, use) or _is_one_number(param, given, use) for use in needed.kinds)
                or _is_each_enough(program, needed)
            ):
                if _starts_outside(param, given):
                    seen.add(id(param))
                    shown = f"param {param.name!r}" if param.name else "this param"
                    message = f"{shown} {_fault(param, given)}"
                    doubt = "which start is meant is not for a tool to say"
                    yield self.finding(param.module, param.call, message, held_back=doubt)
                continue
            seen.update(id(call) for call in needed.calls)
            message = f"the constraint {given} of {param.name or 'this param'} is not enough: it is {needed.wish()}"
            fix = needed.doubt or _doubt(needed, given) or self._candidate(needed)
            if isinstance(fix, str):
                yield self.finding(param.module, param.call, message, held_back=fix, source=needed.source)
            else:
                yield self.finding(param.module, param.call, message, (fix,), source=needed.source)

    def _candidate(self, needed: Requirement) -> Candidate | str:
        changes = []
        for call in needed.calls:
            node = constraint_node(call)
            there = imports.reference(call.module, call.scope, imports.CONSTRAINTS, call.call)
            text = distributions.constraint_source(needed.required, there.text) if there else None
            if node is None or there is None or text is None:
                return f"there is no way to write the constraint {readable(needed.required)} here"
            changes += [*there.edits, edits.replace(call.module, node, text)]
        unknown = needed.source == "seen" or any(starts_inside(c, needed.required) is None for c in needed.calls)
        return Candidate(tuple(changes), self.promise, f"constraint {needed.required}", needs_run=unknown)


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


def _is_each_enough(program: Program, needed: Requirement) -> bool:
    """Whether every call gives the constraint that its own uses need: two guides, of which one runs, share a name."""
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
