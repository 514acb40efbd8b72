"""SVI051."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Param, Program
from pyro_fix.analysis.requirements import Requirement, is_structured, requirement, starts_inside
from pyro_fix.analysis.values import Const
from pyro_fix.transform import Candidate, Promise, Proposal, Transform


class UnconstrainedParam(Transform):
    """Constrain parameters that need it.

    ## What it does
    Finds a `pyro.param` without `constraint=` whose value is used, unchanged, as a distribution's argument that has
    one, and adds the constraint that the argument asks for: positive, unit interval, simplex, lower Cholesky.
    Where the program was run, the run has the last word on what arrives unchanged.

    ## Why
    The optimiser moves an unconstrained parameter anywhere. A scale that crosses zero, or a probability above one,
    raises an error in the middle of training, or turns the loss into NaN (tip 5).

    ## Example
    ```python
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(0.0, scale))
    ```
    becomes
    ```python
    scale = pyro.param("scale", torch.tensor(0.1), constraint=dist.constraints.positive)
    pyro.sample("z", dist.Normal(0.0, scale))
    ```
    Every call that initialises the same name gets the same constraint. A saved parameter store holds the value
    before its constraint, so a checkpoint of the old program does not fit the new one.

    ## Holds back when
    - the value goes through exp, softplus, abs, clamp, `+ eps` or anything else on its way: it is made valid there;
    - the program changes the value in place (`.data.clamp_`), or a plain torch optimiser holds it;
    - the initial value violates the constraint: then the value means something else;
    - the same name has a different constraint elsewhere, or its uses ask for different things;
    - being a simplex or a Cholesky factor depends on a shape that changes on the way.

    ## Promise
    Same start (every parameter begins at its old value, the first losses agree), and the patched program runs clean.
    """

    code, name, tip = "SVI051", "unconstrained-param", 5
    promise = Promise.SAME_START | Promise.RUNS_CLEAN
    kind = "param"

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a name; the edits cover every call that initialises it."""
        seen: set[int] = set()
        for param in program.params:
            if param.kind != self.kind or param.initial is None or param.constraint is not None or id(param) in seen:
                continue
            needed = requirement(program, param)
            if needed is None or not _is_bare(program, param, needed):
                continue
            seen.update(id(call) for call in needed.calls)
            shown = f"{self.kind} {param.name!r}" if param.name else f"this {self.kind}"
            message = f"{shown} has no constraint, but it is {needed.wish()}"
            fix = needed.doubt or _doubt(needed) or self._candidate(needed)
            if isinstance(fix, str):
                yield self.finding(param.module, param.call, message, held_back=fix, source=needed.source)
            else:
                yield self.finding(param.module, param.call, message, (fix,), source=needed.source)

    def _candidate(self, needed: Requirement) -> Candidate | str:
        changes = []
        for call in needed.calls:
            if call.constraint is not None:
                continue
            there = imports.reference(call.module, call.scope, imports.CONSTRAINTS, call.call)
            text = distributions.constraint_source(needed.required, there.text) if there else None
            if there is None or text is None:
                return f"there is no way to write the constraint {needed.required} here"
            changes += [*there.edits, edits.add_keyword(call.module, call.call, "constraint", text)]
        unknown = needed.source == "seen" or any(starts_inside(c, needed.required) is None for c in needed.calls)
        return Candidate(tuple(changes), self.promise, f"constraint {needed.required}", needs_run=unknown)


def _is_bare(program: Program, param: Param, needed: Requirement) -> bool:
    """Whether it is a call without a constraint that is asked: one that gives its own is safe where it is used."""
    bare = {id(use) for call in program.same_name(param) if call.constraint is None for use in call.uses}
    return any(id(use) in bare for use in needed.uses)


def _doubt(needed: Requirement) -> str:
    for call in needed.calls:
        if call.constraint is not None:
            return "another call gives the same name a constraint of its own; the first one to run would win"
        if isinstance(call.initial, Const):
            return "its initial value is a plain number, which pyro.param does not take"
        inside = starts_inside(call, needed.required)
        if inside is False:
            return "its initial value would violate the constraint, so it may mean something else"
        if inside is None and is_structured(needed.required):
            return "its initial value is not known to satisfy the constraint"
    return ""
