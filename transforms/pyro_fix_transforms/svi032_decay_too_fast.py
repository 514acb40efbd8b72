"""SVI032."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options, given_to_svi, kind_of, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount, step_count
from pyro_fix.analysis.values import Arithmetic, Const, Made, Value, is_small
from pyro_fix.transform import Candidate, Number, Promise, Proposal, Rate, Threshold, Transform
from pyro_fix_transforms._clipped_adam import AFTER, FEWEST_STEPS, GAMMA, decay_of, declared, left_over
from pyro_fix_transforms._rates import runs_of

#: Optimisers whose rate falls by a factor -> the option that says how fast.
FACTORS = {
    "ClippedAdam": "lrd",
    "ExponentialLR": "gamma",
    "StepLR": "step_size",
}
#: What ``StepLR`` multiplies by where it is not told.
DEFAULT_FACTOR = 0.1
#: ... and into how many parts of the training its steps may be put: of fewest steps each has some.
MOST_PARTS = 10
#: Factors from step to step differ by less where they are one: schedulers may go through float32.
STEADY = 1e-5
_OPERATORS = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Pow": operator.pow,
}


class DecayTooFast(Transform):
    """Let the learning rate last to the end.

    ## What it does
    Finds a `ClippedAdam` whose `lrd` brings the learning rate below a thousandth of its start before the last step, and
    makes it `0.1 ** (1 / num_steps)`, so that the last step has a tenth of the first one's rate. The same goes for the
    `gamma` of an `ExponentialLR`, and for the `step_size` of a `StepLR` (`num_steps // 4` where `gamma` is a half),
    that a run shows to be stepped as often as the SVI object. `--tune` tries decays that leave 0.01 to 0.5 of the
    rate, or have 2 to 10 equal parts.

    ## Why
    `lrd` multiplies the rate at every step, not at every epoch: `0.95` looks gentle and leaves a 170th after 100 steps;
    so does `gamma` where `scheduler.step()` stands in the loop over the batches. From then on the program runs and
    learns nothing (tip 3). Whether it had arrived by then shows only when the training is over, so the program is
    trained to its end with both decays, and where nothing is gained, the rewrite is a suggestion and not applied.

    ## Example
    ```python
    optim = ClippedAdam({"lr": 0.01, "lrd": 0.95})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data)
    ```
    becomes
    ```python
    optim = ClippedAdam({"lr": 0.01, "lrd": 0.1 ** (1 / 2000)})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data)
    ```

    ## Holds back when
    - the number of steps is not known where the optimiser is built (a run may show the decay all the same);
    - the loop may end early, or several SVI calls are given the optimiser;
    - `lrd`, `gamma` or `step_size` is not a number that is written at the call;
    - the scheduler is stepped at some steps only;
    - there are fewer than 50 steps (then nothing is found at all);
    - no run is possible: the source alone cannot tell what another decay is worth.

    ## Promise
    Declared rate: loss and gradients of the first step are unchanged, the rate follows `lr * lrd ** t`, and nothing
    diverges (of a scheduler: same start). Better end: trained to its own end, the program ends with a lower loss, as
    the original program sees it, by more than the noise of several pairs of runs. Where that takes too long, `--steps`
    with the number of steps allows for it.
    """

    code, name, tip = "SVI032", "decay-too-fast", 3
    by_the_end = True
    promise = Promise.DECLARED_RATE | Promise.BETTER_END
    promises = (promise, Promise.SAME_START | Promise.BETTER_END)
    after = AFTER
    least = Threshold(1e-3, "the last step's share of the initial learning rate below which the decay is too fast")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program):
            key = FACTORS.get(kind_of(made), "")
            scheduler = key in ("gamma", "step_size")
            options = options_of(made, may_clip=True, schedule=scheduler)
            if isinstance(options, str) or key not in options.items:
                continue
            count = step_count(program, made, options.scope)
            found = self._by_source(options, count) if key == "lrd" else self._by_pattern(program, made, key, count)
            found = found or self._by_runs(program, made)
            if found is None:
                continue
            steps, share, source = found
            message = (
                f"{key} leaves {share:.1g} of the learning rate after {steps} steps, and nothing is learnt from there"
            )
            node, doubt = options.node_of(key), count.reason
            if not doubt and not _is_written(node):
                doubt = f"{key} is not a number that is written at the call"
            if not doubt and scheduler and any(_falls(rates, key) is None for rates in _paths(program, made)):
                doubt = "the scheduler is not stepped at every step, whose number alone is known"
            parts = _parts(options) if key == "step_size" and not doubt else 1
            if parts is None:
                doubt = "gamma is no number that brings the rate to a tenth in a few falls"
            if doubt or node is None or parts is None:
                yield self.finding(made.module, made.node, message, held_back=doubt, source=source)
                continue
            written = _Written(made, options, count, key, node, self.promise)
            candidate = written.in_parts(parts) if key == "step_size" else written.falling_to(GAMMA)
            yield self.finding(made.module, made.node, message, (candidate,), source=source)

    def _by_source(self, options: Options, count: StepCount) -> tuple[int, float, Literal["static"]] | None:
        lrd, steps = _number(options.items["lrd"]), count.literal
        if lrd is None or steps is None or not 0 < lrd < 1 or steps < FEWEST_STEPS:
            return None
        share = lrd**steps
        return (steps, share, "static") if share < self.least else None

    def _by_pattern(
        self, program: Program, made: Made, key: str, count: StepCount
    ) -> tuple[int, float, Literal["seen"]] | None:
        """What is left at the end if the rate of a scheduler goes on falling as a run shows it to."""
        falls = [_falls(rates, key) for rates in _paths(program, made) if len(rates) >= FEWEST_STEPS]
        if count.literal is None or count.literal < FEWEST_STEPS or not falls or falls[0] is None or None in falls:
            return None
        every, factor = falls[0]
        share = factor ** (count.literal // every)
        return (count.literal, share, "seen") if 0 < factor < 1 and share < self.least else None

    def _by_runs(self, program: Program, made: Made) -> tuple[int, float, Literal["seen"]] | None:
        """What is left of the rate within the steps of a run: the program may make more, but the rate cannot rise."""
        for rates in _paths(program, made):
            if len(rates) >= FEWEST_STEPS and 0 < rates[-1] < self.least * rates[0]:
                return len(rates), rates[-1] / rates[0], "seen"
        return None


@dataclass(frozen=True)
class _Written:
    """Writes another decay in the place of one (``node``)."""

    made: Made
    options: Options
    count: StepCount
    key: str
    node: ast.expr
    promise: Promise

    def falling_to(self, left: float) -> Candidate:
        """A factor with which so much of the rate is left at the last step."""
        rate = declared(self.count, self.options, left) if self.key == "lrd" else None
        return self._candidate(decay_of(self.count, left), rate, left_over(left, self.falling_to))

    def in_parts(self, parts: float) -> Candidate:
        """A size of the steps with which the rate is the same in so many parts of the training."""
        number = Number("number of equal parts", parts, 2, MOST_PARTS, self.in_parts, whole=True, late=True)
        return self._candidate(f"{self.count.source} // {parts:g}", None, number)

    def _candidate(self, text: str, rate: Rate | None, number: Number) -> Candidate:
        change = edits.replace(self.made.module, self.node, text)
        promise = self.promise if self.key == "lrd" else Promise.SAME_START | Promise.BETTER_END
        label, steps = f"{self.key} = {text}", self.count.literal
        return Candidate((change,), promise, label, rate, needs_run=True, steps=steps, numbers=(number,))


def _paths(program: Program, made: Made) -> Iterator[list[float]]:
    """The rates of every trajectory that was seen, as far as the program went by itself."""
    for seen in runs_of(program, made):
        for trajectory in seen.svi.trajectories:
            yield [max(step) for step in trajectory.rates[: trajectory.own] if step]


def _falls(rates: Sequence[float], key: str) -> tuple[int, float] | None:
    """After how many steps the rate is multiplied, always, and by what; ``None`` where there is no such pattern."""
    shares = [after / before for before, after in pairwise(rates) if before]
    drops = [at for at, share in enumerate(shares, 1) if abs(share - 1) > STEADY] if key == "step_size" else [1]
    factors = [shares[at - 1] for at in drops] if key == "step_size" else shares
    gaps = {after - before for before, after in pairwise([0, *drops])}
    if not factors or max(factors) - min(factors) >= STEADY or len(gaps) != 1:
        return None
    return gaps.pop(), factors[0]


def _parts(options: Options) -> int | None:
    """Into how many equal parts a ``StepLR`` has to put the training to come to about ``GAMMA`` of its start."""
    factor = options.number("gamma") if "gamma" in options.items else DEFAULT_FACTOR
    if factor is None or not 0 < factor < 1:
        return None
    parts = 1 + max(1, int(math.log(GAMMA) / math.log(factor) + STEADY))
    return parts if parts <= MOST_PARTS else None


def _is_written(node: ast.expr | None) -> bool:
    """Whether an expression is made of literals alone."""
    parts = (ast.Constant, ast.BinOp, ast.operator)
    return node is not None and all(isinstance(part, parts) for part in ast.walk(node))


def _number(value: Value) -> float | None:
    """The number that a literal or arithmetic of literals is."""
    return _computed(value) if is_small(value) else None


def _computed(value: Value) -> float | None:
    if isinstance(value, Const):
        is_number = isinstance(value.value, (int, float)) and not isinstance(value.value, bool)
        return float(value.value) if is_number else None  # type: ignore[arg-type]
    if not isinstance(value, Arithmetic) or value.operator not in _OPERATORS or len(value.operands) != 2:
        return None
    left, right = (_computed(operand) for operand in value.operands)
    if left is None or right is None:
        return None
    try:
        result = _OPERATORS[value.operator](left, right)
    except (ArithmeticError, ValueError):
        return None
    return result if isinstance(result, float) else None
