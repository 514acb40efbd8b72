"""SVI022."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix.analysis.optimizers import Options, given_to_svi, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount, step_count
from pyro_fix.transform import Promise, Proposal, Transform
from pyro_fix_transforms._clipped_adam import AFTER, FEWEST_STEPS, UNDERSTOOD, decaying, renamed


class AdamToClippedAdam(Transform):
    """Let the learning rate decay: `Adam` becomes `ClippedAdam` with `lrd`.

    ## What it does
    Rewrites `pyro.optim.Adam` that is given to an `SVI` whose number of steps is known to `ClippedAdam`, keeps its
    options, and adds `lrd`, the factor by which the rate falls at every step, so that the last step has a tenth of
    the first one's rate. A decay to a tenth leaves the parameters 39 % of the way that they could go. So a rate that is
    written there, and is below 0.1, is raised to two and a half times as much, and they come as far as before; one that
    comes from elsewhere (`args.lr`) is multiplied where it is used, if the runs show it to be below 0.1.
    `--tune` tries other first rates, from 0.0001 to 1 (or up to ten times what comes from elsewhere), and decays that
    leave 0.01 to 0.5 of the rate.

    `ClippedAdam` also clamps each element of the gradient at 10 (`clip_norm`), which makes a vote of signs of gradients
    that are larger. Where a run shows that it would, `clip_norm` is set to infinity, and nothing is clamped.

    ## Why
    The gradient of the ELBO is noisy. A rate that is right in the beginning keeps the parameters jumping round the
    optimum in the end; a decaying one lets them settle (tips 2 and 3). Whether that is worth anything shows only when
    the training is over: programs whose steps are just enough do not arrive any more. So the program is trained to its
    end with and without the decay, and where nothing is gained, the rewrite is a suggestion and not applied.

    ## Example
    ```python
    optim = Adam({"lr": 0.01})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(num_steps):
        svi.step(data)
    ```
    becomes
    ```python
    optim = ClippedAdam({"lr": 0.025, "lrd": 0.1 ** (1 / num_steps)})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(num_steps):
        svi.step(data)
    ```

    ## Holds back when
    - the number of steps is not known, or not at the place where the optimiser is built;
    - the loop may end early, or several SVI calls are given the optimiser;
    - there are fewer than 50 steps;
    - an option has no counterpart (`amsgrad=True`), or the options are a function of the parameter;
    - a scheduler is in charge already;
    - no run is possible: the source alone cannot tell what a decay is worth.

    ## Promise
    Declared rate: loss and gradients of the first step are unchanged, the rate follows `lr * lrd ** t`, and nothing
    diverges. Whole gradient: none is clamped. Better end: trained to its own end, the program ends with a lower loss,
    as the original program sees it, by more than the noise of several pairs of runs. Where that takes too long,
    `--steps` with the number of steps allows for it.
    """

    code, name, tip = "SVI022", "adam-to-clipped-adam", 2
    by_the_end = True
    promise = Promise.DECLARED_RATE | Promise.WHOLE_GRADIENT | Promise.BETTER_END
    after = AFTER

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
            candidates = decaying(program, made, options, count, self.promise, rename)
            yield self.finding(made.module, made.node, message, candidates)


def _doubt(options: Options, count: StepCount) -> str:
    lost = [key for key in options.items if key not in UNDERSTOOD]
    if lost:
        return f"ClippedAdam has no option {', '.join(lost)}"
    return count.reason
