"""SVI162."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis.optimizers import CHOSEN, Options, given_to_svi, is_chosen, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import step_count
from pyro_fix.analysis.stability import spikes
from pyro_fix.transform import Candidate, Promise, Proposal, Rate, Threshold, Transform
from pyro_fix_transforms._clipped_adam import UNDERSTOOD, renamed
from pyro_fix_transforms._rates import runs_of, shown_rate

#: ``ClippedAdam``'s own default: each element of the gradient is clamped to this on both sides.
CLIP_NORM = "10.0"


class ExplodingGradient(Transform):
    """Clip gradients that explode: `Adam` becomes `ClippedAdam` with `clip_norm`.

    ## What it does
    Finds an SVI whose gradient overflows in a run, or is all at once more than a thousand times as long as in the steps
    before (and longer than 10,000), under an `Adam` that does not clip, and makes it a `ClippedAdam` with its options
    kept and `clip_norm` of 10. In spite of its name, `clip_norm` clamps each element of the gradient.

    ## Why
    Adam divides by a running mean of the squared gradient. After one huge gradient that mean is huge for thousands of
    steps, so that nothing moves any more; after one that overflows it is infinite or NaN for ever (tip 16).

    ## Example
    ```python
    optim = Adam({"lr": 0.01})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```
    becomes
    ```python
    optim = ClippedAdam({"lr": 0.01, "clip_norm": 10.0})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```

    ## Holds back when
    - an option has no counterpart (`amsgrad=True`), or the options are a function of the parameter;
    - a scheduler holds the optimiser;
    - the learning rate is 0.1 or more: that is to be mended first (SVI011; then nothing is found at all);
    - it clips already, through `clip_args`.

    ## Promise
    Declared rate: loss and gradients of the first step and the learning rate at every step are unchanged. Stable: where
    the original's gradients spiked or its numbers were not finite, no spike gets through to the patched program's
    parameters, and it stays finite. No worse: by the original program's objective, its parameters are not worse. No
    worse end: the same where both programs end, if training them so long can be afforded.
    """

    code, name, tip = "SVI162", "exploding-gradient", 16
    promise = Promise.DECLARED_RATE | Promise.STABLE | Promise.NO_WORSE | Promise.NO_WORSE_END
    after = ("SVI021", "SVI04", "SVI05", "SVI062", "SVI07", "SVI10", "SVI12", "SVI13", "SVI14", "SVI161")
    large = Threshold(0.1, "from this learning rate on it is the rate that is to blame for a spike")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program, chosen=True):
            runs = runs_of(program, made)
            found = [spike.words for seen in runs for spike in spikes(seen.svi).values()]
            rate = shown_rate(runs)
            # SVI021 replaces the optimisers that have no momentum.
            if not found or rate is None or rate >= self.large or made.name != "pyro.optim.Adam":
                continue
            message = f"{found[0]}, and Adam does not clip"
            options = CHOSEN if is_chosen(program, made) else options_of(made)
            doubt = options if isinstance(options, str) else _doubt(options)
            rename = renamed(program, made)
            if not doubt and rename is None:
                doubt = "the name ClippedAdam is taken here"
            if doubt or rename is None or isinstance(options, str):
                yield self.finding(made.module, made.node, message, held_back=doubt, source="seen")
                continue
            change = edits.add_option(made.module, options.node, "clip_norm", CLIP_NORM)
            candidate = Candidate(
                (*rename, change),
                self.promise,
                f"ClippedAdam, each element of the gradient clamped at {CLIP_NORM}",
                Rate(share=1.0),
                needs_run=True,
                steps=step_count(program, made, options.scope).literal,
            )
            yield self.finding(made.module, made.node, message, (candidate,), source="seen")


def _doubt(options: Options) -> str:
    lost = [key for key in options.items if key not in UNDERSTOOD]
    return f"ClippedAdam has no option {', '.join(lost)}" if lost else ""
