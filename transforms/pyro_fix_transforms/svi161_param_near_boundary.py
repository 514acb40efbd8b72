"""SVI161."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pyro_fix import edits, imports
from pyro_fix.analysis.program import Param, Program, Use
from pyro_fix.analysis.requirements import constraint_node, constraint_text, is_passed_in, requirement
from pyro_fix.analysis.tensors import extent
from pyro_fix.transform import Candidate, Promise, Proposal, Transform

#: How far parameters are kept from zero.  Source: tip 16, ``constraints.greater_than(0.001)``.
BOUND = 1e-3
#: Arguments whose densities and gradients overflow near zero.
SENSITIVE = {
    "Gamma": ("concentration", "rate"),
    "InverseGamma": ("concentration", "rate"),
    "GammaPoisson": ("concentration", "rate"),
    "Beta": ("concentration0", "concentration1"),
    "BetaBinomial": ("concentration0", "concentration1"),
    "Dirichlet": ("concentration",),
    "DirichletMultinomial": ("concentration",),
}


class ParamNearBoundary(Transform):
    """Keep numerically sensitive parameters away from the boundary.

    ## What it does
    Finds a param that is constrained merely `positive` and feeds a concentration or a rate of a Gamma, InverseGamma,
    Beta or Dirichlet distribution (or of their compounds), and bounds it by 0.001 from below.

    Where the program was run, the finding says how near to zero the parameter came.

    ## Why
    Near zero these densities and their gradients overflow: a concentration of 1e-8 samples exact zeros, whose
    logarithm is minus infinity (tip 16).

    ## Example
    ```python
    alpha = pyro.param("alpha", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("rate", dist.Gamma(alpha, 1.0))
    ```
    becomes
    ```python
    alpha = pyro.param("alpha", torch.tensor(2.0), constraint=constraints.greater_than(0.001))
    pyro.sample("rate", dist.Gamma(alpha, 1.0))
    ```

    ## Holds back when
    - the initial value is not above the new bound;
    - the value is changed on its way to the argument, or in place;
    - the same name has different constraints.

    ## Promise
    Same start (every parameter begins at its old value, the first losses agree), and the patched program runs clean.
    """

    code, name, tip = "SVI161", "param-near-boundary", 16
    promise = Promise.SAME_START | Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a name; the edits cover every call that initialises it."""
        seen: set[int] = set()
        for param in program.params:
            if constraint_text(param.constraint) != "positive" or param.initial is None or id(param) in seen:
                continue
            needed = requirement(program, param)
            sensitive = next((u for u in needed.uses if _is_sensitive(u)), None) if needed else None
            if needed is None or sensitive is None:
                continue
            seen.update(id(call) for call in needed.calls)
            kind = sensitive.distribution.name.rpartition(".")[2]
            message = f"{param.name or 'this param'} is {kind}'s {sensitive.argument} and may come arbitrarily near 0"
            nearest = _nearest(program, needed.calls)
            if nearest is not None:
                message += f"; in the run it came down to {nearest:.3g}"
            doubt = needed.doubt
            changes = []
            for call in needed.calls:
                node = constraint_node(call)
                known = extent(call.initial)
                there = imports.reference(call.module, call.scope, imports.CONSTRAINTS, call.call)
                if node is None or constraint_text(call.constraint) != "positive":
                    doubt = doubt or "the same name has different constraints; the first one to run would win"
                elif is_passed_in(call):
                    doubt = doubt or "its constraint is an argument of the function around it"
                elif there is None:
                    doubt = doubt or "there is no way to write the constraint here"
                elif known is not None and known.low <= BOUND and known.low != known.high:
                    doubt = doubt or f"its initial value may lie below the bound {BOUND}"
                elif known is not None and known.low <= BOUND:
                    doubt = doubt or f"its initial value is not above the bound {BOUND}"
                else:
                    changes += [*there.edits, edits.replace(call.module, node, f"{there.text}.greater_than({BOUND})")]
            unknown = sensitive.source == "seen" or any(extent(call.initial) is None for call in needed.calls)
            candidate = Candidate(tuple(changes), self.promise, f"greater_than({BOUND})", needs_run=unknown)
            yield self.finding(param.module, param.call, message, (candidate,), doubt, sensitive.source)


def _nearest(program: Program, calls: tuple[Param, ...]) -> float | None:
    """How near to 0 any element came in any run; None where no run made the param."""
    lows = [
        trajectory.ranges[seen.name][0]
        for call in calls
        for seen in program.seen.param(call)
        for trajectory in seen.svi.trajectories
        if seen.name in trajectory.ranges
    ]
    finite = [low for low in lows if math.isfinite(low)]
    return min(finite, default=None)


def _is_sensitive(use: Use) -> bool:
    return use.argument in SENSITIVE.get(use.distribution.name.rpartition(".")[2], ())
