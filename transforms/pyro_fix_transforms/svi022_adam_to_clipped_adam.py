"""SVI022."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options, given_to_svi, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount, step_count
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._clipped_adam import FEWEST_STEPS, UNDERSTOOD, decay_of, declared, renamed


class AdamToClippedAdam(Transform):
    """Let the learning rate decay, and clip gradients: `Adam` becomes `ClippedAdam` with `lrd`.

    ## What it does
    Rewrites `pyro.optim.Adam` that is given to an `SVI` whose number of steps is known to `ClippedAdam`, keeps its
    options, and adds `lrd`, the factor by which the rate falls at every step, so that the last step has a tenth of
    the first one's rate.

    ## Why
    The gradient of the ELBO is noisy. A rate that is right in the beginning keeps the parameters jumping round the
    optimum in the end; a decaying one lets them settle (tips 2 and 3). `ClippedAdam` also clamps each element of the
    gradient at 10 (`clip_norm`).

    ## Example
    ```python
    optim = Adam({"lr": 0.01})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(num_steps):
        svi.step(data)
    ```
    becomes
    ```python
    optim = ClippedAdam({"lr": 0.01, "lrd": 0.1 ** (1 / num_steps)})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(num_steps):
        svi.step(data)
    ```

    ## Holds back when
    - the number of steps is not known, or not at the place where the optimiser is built;
    - the loop may end early, or several SVI calls are given the optimiser;
    - there are fewer than 50 steps;
    - an option has no counterpart (`amsgrad=True`), or the options are a function of the parameter;
    - a scheduler is in charge already.

    ## Promise
    Declared rate: loss and gradients of the first step are unchanged, the rate follows `lr * lrd ** t`, and nothing
    diverges.
    """

    code, name, tip = "SVI022", "adam-to-clipped-adam", 2
    promise = Promise.DECLARED_RATE

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program):
            if made.name != "pyro.optim.Adam":
                continue
            options = options_of(made)
            count = step_count(program, made, made.scope if isinstance(options, str) else options.scope)
            if not isinstance(options, str) and count.source and count.literal and count.literal < FEWEST_STEPS:
                continue
            message = "Adam keeps its learning rate to the end; ClippedAdam with lrd lets it decay"
            doubt = options if isinstance(options, str) else _doubt(options, count)
            if doubt or isinstance(options, str):
                yield self.finding(made.module, made.node, message, held_back=doubt)
                continue
            rename = renamed(program, made)
            if rename is None:
                yield self.finding(made.module, made.node, message, held_back="the name ClippedAdam is taken here")
                continue
            changes = [*rename, edits.add_option(made.module, options.node, "lrd", decay_of(count))]
            label = f"ClippedAdam with lrd = {decay_of(count)}"
            yield self.finding(
                made.module,
                made.node,
                message,
                (Candidate(tuple(changes), self.promise, label, declared(count, options)),),
            )


def _doubt(options: Options, count: StepCount) -> str:
    lost = [key for key in options.items if key not in UNDERSTOOD]
    if lost:
        return f"ClippedAdam has no option {', '.join(lost)}"
    return count.reason
