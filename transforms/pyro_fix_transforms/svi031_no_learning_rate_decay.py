"""SVI031."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix.analysis.optimizers import given_options, given_to_svi, kind_of, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import step_count
from pyro_fix.analysis.values import Mapping
from pyro_fix.transform import Promise, Proposal, Transform
from pyro_fix_transforms._clipped_adam import AFTER, FEWEST_STEPS, decaying


class NoLearningRateDecay(Transform):
    """Let `ClippedAdam`'s learning rate decay.

    ## What it does
    Adds `lrd` to a `ClippedAdam` that is given to an `SVI` whose number of steps is known, so that the last step has a
    tenth of the first one's learning rate. A decay to a tenth leaves the parameters 39 % of the way that they could go.
    So a rate that is written there, and is below 0.1, is raised to two and a half times as much, and they come as far
    as before; one that comes from elsewhere (`args.lr`) is multiplied where it is used, if the runs show it to be below
    0.1. `--tune` tries other first rates, from 0.0001 to 1 (or up to ten times what comes from elsewhere), and decays
    that leave 0.01 to 0.5 of the rate.

    ## Why
    A constant rate keeps the parameters jumping round the optimum in the end (tip 3). Whether a decay is worth anything
    shows only when the training is over: programs whose steps are just enough do not arrive any more. So the program is
    trained to its end with and without it, and where nothing is gained, the rewrite is a suggestion and not applied.

    ## Example
    ```python
    optim = ClippedAdam({"lr": 0.01})
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
    - the options are a dict that has other uses;
    - no run is possible: the source alone cannot tell what a decay is worth.

    It says nothing where the options cannot be read (a function of the parameter, a dict put together at run time):
    they may hold an `lrd` already.

    ## Promise
    Declared rate: loss and gradients of the first step are unchanged, the rate follows `lr * lrd ** t`, and nothing
    diverges. Better end: trained to its own end, the program ends with a lower loss, as the original program sees it,
    by more than the noise of several pairs of runs. Where that takes too long, `--steps` with the number of steps
    allows for it.
    """

    code, name, tip = "SVI031", "no-learning-rate-decay", 3
    by_the_end = True
    promise = Promise.DECLARED_RATE | Promise.BETTER_END
    after = AFTER

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program):
            if kind_of(made) != "ClippedAdam":
                continue
            given = given_options(made)
            if made.spread or not (given is None or (isinstance(given, Mapping) and given.whole)):
                continue  # the decay may be in what cannot be read
            if given is not None and "lrd" in given.items:
                continue
            options = options_of(made)
            count = step_count(program, made, made.scope if isinstance(options, str) else options.scope)
            if count.literal is not None and count.literal < FEWEST_STEPS:
                continue
            message = "ClippedAdam without lrd keeps its learning rate to the end"
            if isinstance(options, str) or count.source is None:
                doubt = options if isinstance(options, str) else count.reason
                yield self.finding(made.module, made.node, message, held_back=doubt)
                continue
            yield self.finding(made.module, made.node, message, decaying(program, made, options, count, self.promise))
