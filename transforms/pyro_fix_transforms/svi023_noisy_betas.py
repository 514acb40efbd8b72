"""SVI023."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis.health import unwell
from pyro_fix.analysis.noise import gradient_noise
from pyro_fix.analysis.optimizers import CHOSEN, Options, given_to_svi, is_chosen, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import step_count
from pyro_fix.analysis.values import Collection, Const, Made
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._rates import runs_of

#: Optimisers of ``pyro.optim`` whose default is ``betas=(0.9, 0.999)``.
WITH_BETAS = frozenset({"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ClippedAdam"})
DEFAULT = (0.9, 0.999)
#: For very noisy models.  Source: tip 2.
STEADIER = "(0.95, 0.999)"


class NoisyBetas(Transform):
    """Average very noisy gradients over more steps.

    ## What it does
    Finds an SVI whose gradient is, in a run, mostly noise, and whose optimiser has the default
    `betas=(0.9, 0.999)`, and makes them `(0.95, 0.999)`. It is off unless it is selected.

    ## Why
    The first of the betas says over how many steps the gradient is averaged: 0.9 over about ten, 0.95 over about
    twenty (tip 2). It costs agility, so it is worth it for very noisy models alone.

    ## Example
    ```python
    optim = Adam({"lr": 0.01})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```
    becomes
    ```python
    optim = Adam({"lr": 0.01, "betas": (0.95, 0.999)})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```

    ## Holds back when
    - betas other than the default ones are given: then nothing is found at all;
    - the options are a function of the parameter, or put together at run time.

    ## Promise
    Same start: parameters, sites and losses of the first step are the original's, since other betas change no
    objective. No worse: judged by the original program's objective, the parameters that the patched program ends with
    are not worse. No worse end: the same where both programs end, if training them so long can be afforded.
    """

    code, name, tip, default = "SVI023", "noisy-betas", 2, False
    promise = Promise.SAME_START | Promise.NO_WORSE | Promise.NO_WORSE_END
    after = ("SVI01", "SVI02", "SVI03", "SVI04", "SVI05", "SVI06", "SVI07", "SVI08", "SVI09", "SVI1")
    noise = Threshold(
        2.5,
        "the gradient's standard deviation at the first step in units of its mean's length; 32 seeds show up to 5.7",
    )

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program, chosen=True):
            if made.name.rpartition(".")[2] not in WITH_BETAS:
                continue
            runs = [seen.svi for seen in runs_of(program, made) if seen.svi.look is not None]
            noises = [gradient_noise(svi.look) for svi in runs if svi.look is not None and not unwell(svi)]
            measured = [noise for noise in noises if noise is not None]
            if not measured or len(measured) < len(runs) or min(measured) < self.noise:
                continue
            options = CHOSEN if is_chosen(program, made) else options_of(made, may_clip=True)
            message = f"the gradient's noise is {min(measured):.2g} times its mean; the default betas average ten steps"
            if isinstance(options, str):
                yield self.finding(made.module, made.node, message, held_back=options, source="seen")
                continue
            change = _change(made, options)
            if change is not None:
                steps = step_count(program, made, options.scope).literal
                candidate = Candidate((change,), self.promise, f"betas={STEADIER}", needs_run=True, steps=steps)
                yield self.finding(made.module, made.node, message, (candidate,), source="seen")


def _change(made: Made, options: Options) -> Edit | None:
    """Set the betas; ``None`` where others than the default ones are given."""
    given, node = options.items.get("betas"), options.node_of("betas")
    if given is None:
        return edits.add_option(made.module, options.node, "betas", STEADIER)
    values = (
        tuple(item.value for item in given.items if isinstance(item, Const)) if isinstance(given, Collection) else ()
    )
    if values != DEFAULT or not isinstance(node, (ast.Tuple, ast.List)):
        return None
    return edits.replace(made.module, node, STEADIER)
