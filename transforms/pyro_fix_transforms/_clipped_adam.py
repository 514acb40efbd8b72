"""What the transforms of tips 2 and 3 share: writing ``ClippedAdam`` and its decay."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Candidate, Edit, Number, Promise, Rate
from pyro_fix_transforms import _classes
from pyro_fix_transforms._rates import LARGEST, SMALLEST, literal_rate, only_rate, runs_of

#: The final learning rate's share of the initial one.  Source: tip 3, ``gamma = 0.1``.
GAMMA = 0.1
#: Options that ``ClippedAdam`` has.
UNDERSTOOD = frozenset({"lr", "betas", "eps", "weight_decay", "clip_norm", "lrd", "centered_variance"})
#: A decay to a tenth leaves 39 % of the sum of the rates, which is how far Adam can go.  With a first rate of two and a
#: half times the old one it comes as far.  Source: (1 - GAMMA) / log(1 / GAMMA).
RAISED = 2.5
#: A rate that comes from elsewhere is multiplied by no more.
MOST_RAISED = 10.0
#: The least and the greatest share of the rate that a decay may leave: with less it is too fast (SVI032), with more it
#: is hardly one.
LEAST_LEFT, MOST_LEFT = 0.01, 0.5
#: A rate from this on is not raised any more: that it is large is what the decay mends.
LARGE = 0.1
#: Adam's own rate, where none is given.
DEFAULT_RATE = 0.001
#: With it ``ClippedAdam`` clamps nothing.
NO_CLAMP = 'float("inf")'
#: Causes come first: what a decay is worth depends on the rate, and on how large and how noisy the gradients are.
AFTER = (
    *("SVI01", "SVI021", "SVI04", "SVI05", "SVI06", "SVI07", "SVI08", "SVI09", "SVI10", "SVI11", "SVI13", "SVI14"),
    *("SVI15", "SVI16"),
)
#: Fewer steps than this are a smoke test, not a training run: a decay over them would only stop it short.
FEWEST_STEPS = 50


def decay_of(count: StepCount, left: float = GAMMA) -> str:
    """Source of the decay factor that brings the rate to a share (``left``) of its start."""
    return f"{left:g} ** (1 / {count.source})"


def declared(count: StepCount, options: Options, left: float = GAMMA) -> Rate:
    """The path of the learning rate that the new options declare."""
    return Rate(options.number("lr"), _factor(count, left))


def _factor(count: StepCount, left: float) -> float | None:
    return left ** (1 / count.literal) if count.literal else None


def left_over(value: float, written: Callable[[float], Candidate | None]) -> Number:
    """The share of the rate that a decay leaves, of a candidate that can be written with another one."""
    return Number("share of the rate at the last step", value, LEAST_LEFT, MOST_LEFT, written, late=True)


def decaying(
    program: Program, made: Made, options: Options, count: StepCount, promise: Promise, rename: tuple[Edit, ...] = ()
) -> tuple[Candidate, ...]:
    """Let the rate decay; where the optimiser becomes one that clamps (``rename``), and a run shows it to, without
    a clamp.  What it is worth nobody can tell from the source: a run to the end does."""

    def candidate(more: dict[str, str], words: str, only_after: Promise, start: _Start, left: float) -> Candidate:
        decay = decay_of(count, left)
        parts = [*([f"lr = {start.words}"] if start.words else []), f"lrd = {decay}"]
        label = f"{'ClippedAdam with ' if rename else ''}{' and '.join(parts)}{words}"
        edit = edits.add_options(made.module, options.node, {**start.entries, "lrd": decay, **more})
        rate = replace(start.rate, lrd=_factor(count, left))
        numbers = [left_over(left, lambda other: candidate(more, words, only_after, start, other))]
        first = start.number
        if first is not None:
            again = first.again
            numbers.insert(0, first.of(lambda other: candidate(more, words, only_after, again(other), left)))
        return Candidate(
            (*rename, *start.changes, edit),
            promise,
            label,
            rate,
            needs_run=True,
            only_after=only_after,
            steps=count.literal,
            numbers=tuple(numbers),
        )

    start = _start(program, made, options)
    if not rename:
        return (candidate({}, "", Promise(0), start, GAMMA),)
    clamped = ", each element of the gradient clamped at 10"
    return (
        candidate({}, clamped, Promise(0), start, GAMMA),
        candidate({"clip_norm": NO_CLAMP}, ", clamping no gradient", Promise.WHOLE_GRADIENT, start, GAMMA),
    )


@dataclass(frozen=True)
class _First:
    """The number that makes the first rate what it is."""

    name: str
    value: float
    low: float
    high: float
    again: Callable[[float], _Start]

    def of(self, written: Callable[[float], Candidate | None]) -> Number:
        """The number of a candidate."""
        return Number(self.name, self.value, self.low, self.high, written)


@dataclass(frozen=True)
class _Start:
    """The first rate, and what makes it so."""

    rate: Rate
    words: str = ""
    """What it becomes; empty where it stays."""
    entries: Mapping[str, str] = field(default_factory=dict)
    """Options to add for it."""
    changes: tuple[Edit, ...] = ()
    number: _First | None = None


def _start(program: Program, made: Made, options: Options) -> _Start:
    """The rate is raised so that the decay takes nothing of the way, unless it is large.

    One that comes from elsewhere is the user's to set, and stays so: it is multiplied where it is used, if all runs
    show one and the same.
    """
    if "lr" not in options.items:
        return _given(float(f"{RAISED * DEFAULT_RATE:.12g}"))
    rate, expression, literal = options.number("lr"), options.node_of("lr"), literal_rate(program, made, options)
    known = rate if rate is not None else only_rate(runs_of(program, made))
    if known is None or known >= LARGE or expression is None:
        return _Start(Rate(rate))
    if not isinstance(literal, str):
        return _written(made, literal, float(f"{RAISED * known:.12g}"))
    return _multiplied(made, expression, RAISED)


def _given(rate: float) -> _Start:
    number = _First("learning rate", rate, SMALLEST, LARGEST, _given)
    return _Start(Rate(rate), f"{rate:g}", {"lr": repr(rate)}, number=number)


def _written(made: Made, literal: ast.expr, rate: float) -> _Start:
    number = _First("learning rate", rate, SMALLEST, LARGEST, partial(_written, made, literal))
    return _Start(Rate(rate), f"{rate:g}", changes=(edits.replace(made.module, literal, repr(rate)),), number=number)


def _multiplied(made: Made, expression: ast.expr, times: float) -> _Start:
    text = edits.text_of(made.module, expression)
    if not isinstance(expression, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
        text = f"({text})"
    text = f"{times:g} * {text}"
    number = _First("factor of the learning rate", times, 1.0, MOST_RAISED, partial(_multiplied, made, expression))
    change = edits.replace(made.module, expression, text)
    return _Start(Rate(times=times), text, changes=(change,), number=number)


def renamed(program: Program, made: Made) -> tuple[Edit, ...] | None:
    """Edits that turn an optimiser into ``ClippedAdam``; ``None`` where that name cannot be reached."""
    return _classes.renamed(program, made, "pyro.optim.ClippedAdam")
