"""SVI011."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.health import mismatches
from pyro_fix.analysis.optimizers import CHOSEN, given_to_svi, is_chosen, kind_of, options_of
from pyro_fix.analysis.program import Program, Svi, functions_of
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.analysis.spell import step_count
from pyro_fix.analysis.stability import Derailment, derailed
from pyro_fix.analysis.values import Applied, Attribute, Made, Value, options
from pyro_fix.observation import Look
from pyro_fix.transform import Candidate, Number, Promise, Proposal, Rate, Threshold, Transform
from pyro_fix_transforms._rates import SMALLEST, literal_rate, runs_of, shown_rate

#: Optimisers whose steps are as long as the rate, whatever the gradient: where a number alone says how large it is.
ADAPTIVE = frozenset({"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "ClippedAdam"})
#: Who lets the rate of an optimiser decay, after which nothing in the source says that it is large.
DECAYS = {"Adam": "SVI022", "ClippedAdam": "SVI031"}


class LearningRateTooLarge(Transform):
    """Start with a small learning rate.

    ## What it does
    Finds an SVI whose loss diverges, becomes NaN or is thrown far above its start in a run, and lowers the learning
    rate of its optimiser: to a tenth, a hundredth and so on, down to 0.001 and 0.0001, the first that keeps its
    promise. The source alone makes a finding of a literal rate of 0.1 or more that a noisy ELBO is to follow for
    500 steps and longer; a run in which nothing goes wrong takes that back, and where a decay is proposed for the same
    optimiser (SVI022, SVI031), which leaves nothing of it, the decay's finding tells it. `--tune` tries other rates,
    from 0.0001 up to the one that is too large.

    ## Why
    The gradient of the ELBO is noisy, and a large rate throws parameters into regions where numbers overflow. Once a
    small rate is stable, larger ones can be tried (tip 1). Large rates are often right all the same, for maximum a
    posteriori estimates and for short runs; this is why a run has the last word.

    ## Example
    ```python
    optim = Adam({"lr": 0.5})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data)
    ```
    becomes
    ```python
    optim = Adam({"lr": 0.05})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data)
    ```

    ## Holds back when
    - the rate is an argument, a default, an option of the command line, or a variable with other uses;
    - the options are a function of the parameter, or put together at run time; the program sets the rate by hand;
    - the run shows another defect first: invalid arguments, supports that do not match, no finite loss before the
      first update, an exception without a NaN (then nothing is found at all);
    - no run is possible.

    ## Promise
    Declared rate: loss and gradients of the first step are unchanged, and the rate is the stated share of the
    original's at every step. Stable: the original diverged, was not finite or was thrown above its start, and the
    patched run is none of these, after it has moved at least as far as the original had when it went wrong. No worse,
    where the original came back by itself: by its objective, the patched parameters are not worse. No worse end: the
    same where both programs end, if training them so long can be afforded.
    """

    code, name, tip = "SVI011", "learning-rate-too-large", 1
    by_the_end = True
    promise = Promise.DECLARED_RATE | Promise.STABLE | Promise.NO_WORSE_END
    promises = (promise, promise | Promise.NO_WORSE)
    after = ("SVI021", "SVI04", "SVI05", "SVI062", "SVI07", "SVI10", "SVI12", "SVI13", "SVI14", "SVI16")
    large = Threshold(0.1, "learning rates from this on are large where no run says otherwise")
    long = Threshold(500, "numbers of steps from this on are long enough for a small rate")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program, chosen=True):
            runs = runs_of(program, made)
            if not runs:
                rate, message = self._by_source(program, made)
                troubles = []
            else:
                rate, troubles = shown_rate(runs), [trouble for seen in runs for trouble in _troubles(seen)]
                message = f"{troubles[0].words}, at a learning rate of {rate:g}" if troubles and rate else ""
            if message and rate is not None and rate > SMALLEST:
                proposal = self._proposal(program, made, rate, message, troubles)
                yield proposal if troubles else replace(proposal, part_of=DECAYS.get(kind_of(made), ""))

    def _by_source(self, program: Program, made: Made) -> tuple[float | None, str]:
        """The rate that the source shows, and what is to be said of it."""
        chosen = options_of(made, may_clip=True)
        if (
            is_chosen(program, made)
            or isinstance(chosen, str)
            or kind_of(made) not in ADAPTIVE
            or "lrd" in chosen.items
        ):
            return None, ""
        rate, steps = chosen.number("lr"), step_count(program, made, chosen.scope).literal
        noisy = all(_is_noisy(program, svi) for svi in program.makers_of(made))
        if rate is None or rate < self.large or steps is None or steps < self.long or not noisy:
            return None, ""
        message = f"a learning rate of {rate:g} that does not decay is large for {steps} steps along a noisy gradient"
        return rate, message

    def _proposal(
        self, program: Program, made: Made, rate: float, message: str, troubles: Sequence[Derailment]
    ) -> Proposal:
        source: Literal["static", "seen"] = "seen" if troubles else "static"
        chosen = options_of(made, may_clip=True)
        node = chosen if isinstance(chosen, str) else literal_rate(program, made, chosen)
        node = CHOSEN if is_chosen(program, made) else node
        if isinstance(node, str) or isinstance(chosen, str):
            return self.finding(made.module, made.node, message, held_back=str(node), source=source)
        written = chosen.number("lr")
        # ClippedAdam makes its first step with lr * lrd
        if written is None or abs(written - rate) > 0.1 * rate:
            why = "the run used another learning rate than the one that is written there"
            return self.finding(made.module, made.node, message, held_back=why, source=source)
        # A run that came back may have ended well because of its rate.
        ends_well = bool(troubles) and all(trouble.recovered for trouble in troubles)
        promise = self.promise | Promise.NO_WORSE if ends_well else self.promise
        steps = step_count(program, made, chosen.scope).literal

        def candidate(smaller: float) -> Candidate | None:
            if smaller >= written:  # that one is too large
                return None
            return Candidate(
                (edits.replace(made.module, node, repr(smaller)),),
                promise,
                f"learning rate {smaller:g}",
                Rate(share=smaller / written),
                needs_run=True,
                steps=steps,
                numbers=(Number("learning rate", smaller, SMALLEST, written, candidate),),
            )

        candidates = tuple(filter(None, map(candidate, ladder(written))))
        return self.finding(made.module, made.node, message, candidates, source=source)


def ladder(rate: float) -> tuple[float, ...]:
    """The rates to try in the place of ``rate``, largest first: by tenths, and the two of tip 1."""
    tried = {1e-3, SMALLEST}
    tenth = float(f"{rate / 10:.12g}")
    while tenth > 1e-3:
        tried.add(tenth)
        tenth = float(f"{tenth / 10:.12g}")
    return tuple(sorted((smaller for smaller in tried if smaller < rate), reverse=True))


def _troubles(seen: SeenSvi) -> list[Derailment]:
    """What a run shows of a rate that is too large; nothing where another defect may be to blame."""
    if seen.svi.look is None or _has_other_defect(seen.svi.look):
        return []
    # the loss of step 0 comes before the first update
    return [trouble for trouble in derailed(seen.svi).values() if trouble.step > 0 or trouble.updated]


def _has_other_defect(look: Look) -> bool:
    """Whether the first step is invalid as it is, so that the rate cannot be to blame."""
    sites = (*look.guide.values(), *look.model.values())
    bare = any(
        feed.unchanged and feed.required not in ("?", "real") and look.params[feed.param].constraint == "real"
        for site in sites
        for feed in site.feeds
        if feed.param in look.params
    )
    return bare or bool(look.error or mismatches(look) or any(site.violations for site in sites))


def _is_noisy(program: Program, svi: Svi) -> bool:
    """Whether the guide is known to draw its latents: with one value at every site the gradient has no noise."""
    guides = options(svi.guide)
    return bool(guides) and all(_draws(program, guide) for guide in guides)


def _draws(program: Program, guide: Value) -> bool:
    if isinstance(guide, Made):
        head, _, kind = guide.name.rpartition(".")
        if head == "pyro.poutine" or kind == "config_enumerate":
            return bool(guide.arguments) and _draws(program, guide.arguments[0])
        return head == "pyro.infer.autoguide" and "init_scale" in distributions.AUTOGUIDES.get(kind, ())
    drawn = [_innermost(site.distribution) for site in program.sites_of(functions_of(guide)) if not site.observed]
    return bool(drawn) and all(isinstance(d, Made) and d.name != "pyro.distributions.Delta" for d in drawn)


def _innermost(distribution: Value | None) -> Value | None:
    """A distribution without ``.to_event(…)`` and its like."""
    while isinstance(distribution, Applied) and isinstance(distribution.callee, Attribute):
        distribution = distribution.callee.base
    return distribution
