"""SVI071."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Param, Program, Use
from pyro_fix.analysis.requirements import constraint_text
from pyro_fix.analysis.tensors import extent
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._scales import LADDER, constants, shrunk

#: Initial standard deviations above this are wide.  Exactly 1 is common and no error.
WIDEST = 1.0
#: Distributions whose ``scale`` is a standard deviation, or one times a constant.
WITH_SCALE = frozenset({"Normal", "LogNormal", "Laplace", "StudentT", "Logistic", "SoftLaplace"})


class WideInitialScale(Transform):
    """Initialise guide distributions with low variance.

    ## What it does
    Finds a param of the guide whose initial value is a literal above 1 and that is the standard deviation of a guide's
    site, and makes it 0.1, or 0.05, or 0.01: the first that keeps its promise. Shape and dtype stay.

    ## Why
    A wide guide samples latents from all over the place, so the first gradients are mostly noise, and the optimiser
    loses its way, or the loss becomes NaN (tip 7).

    ## Example
    ```python
    def guide(data):
        loc = pyro.param("loc", torch.tensor(0.0))
        scale = pyro.param("scale", torch.tensor(100.0), constraint=constraints.positive)
        pyro.sample("z", dist.Normal(loc, scale))
    ```
    becomes
    ```python
    def guide(data):
        loc = pyro.param("loc", torch.tensor(0.0))
        scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
        pyro.sample("z", dist.Normal(loc, scale))
    ```

    ## Holds back when
    - the param is used in a model too: a learned noise is no guide scale;
    - it feeds a concentration or a rate as well, where smaller means wider;
    - the initial value is not a literal at the call, or the same name starts in several places;
    - the new value would violate the param's constraint.

    ## Promise
    Less variance (the gradient's variance at the first step falls) and no worse (by the original program's objective).
    """

    code, name, tip = "SVI071", "wide-initial-scale", 7
    promise = Promise.LESS_VARIANCE | Promise.NO_WORSE

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a param."""
        for param in program.params:
            known = extent(param.initial)
            if known is None or known.low <= WIDEST or param.kind != "param":
                continue
            same_name = program.same_name(param)
            uses = [use for call in same_name for use in call.uses]
            scales = [use for use in uses if use.unchanged and _is_deviation(use)]
            roles = [_roles(program, use) for use in uses]
            if not scales or any(r != {"guide"} for r in roles):
                continue
            message = f"{param.name or 'this param'} starts {known.high:g} wide; a wide guide makes noisy gradients"
            literals = constants(param.initial_node) if param.initial_node is not None else None
            doubt = _doubt(uses, scales, same_name)
            if not doubt and literals is None:
                doubt = "its initial value is not a literal at the call"
            sizes = [size for size in LADDER if _allowed(param, size)]
            if doubt or literals is None or not sizes:
                yield self.finding(
                    param.module, param.call, message, held_back=doubt or "its constraint allows no smaller value"
                )
                continue
            candidates = tuple(
                Candidate(shrunk(param.module, literals, size), self.promise, f"initial value {size}") for size in sizes
            )
            yield self.finding(param.module, param.call, message, candidates)


def _doubt(uses: list[Use], scales: list[Use], same_name: list[Param]) -> str:
    if len(scales) < len(uses):
        return "it is used for something else than a standard deviation as well"
    if sum(call.initial is not None for call in same_name) > 1:
        return "the same name is given an initial value in several places"
    if any(call.mutated for call in same_name):
        return "the program changes its value in place"
    return ""


def _is_deviation(use: Use) -> bool:
    return use.argument == "scale" and use.distribution.name.rpartition(".")[2] in WITH_SCALE


def _roles(program: Program, use: Use) -> set[str]:
    return set().union(*(program.roles(function) for function in use.functions))


def _allowed(param: Param, size: float) -> bool:
    if param.constraint is None:
        return True
    text = constraint_text(param.constraint)
    return text is not None and distributions.satisfies(size, text) is True
