"""What the transforms of tips 2 and 3 share: writing ``ClippedAdam`` and its decay."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Candidate, Edit, Promise, Rate
from pyro_fix_transforms import _classes
from pyro_fix_transforms._rates import literal_rate, only_rate, runs_of

#: The final learning rate's share of the initial one.  Source: tip 3, ``gamma = 0.1``.
GAMMA = 0.1
#: Options that ``ClippedAdam`` has.
UNDERSTOOD = frozenset({"lr", "betas", "eps", "weight_decay", "clip_norm", "lrd", "centered_variance"})
#: A decay to a tenth leaves 39 % of the sum of the rates, which is how far Adam can go.  With a first rate of two and a
#: half times the old one it comes as far.  Source: (1 - GAMMA) / log(1 / GAMMA).
RAISED = 2.5
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


def decay_of(count: StepCount) -> str:
    """Source of the decay factor that brings the rate to ``GAMMA`` of its start."""
    return f"{GAMMA} ** (1 / {count.source})"


def declared(count: StepCount, options: Options) -> Rate:
    """The path of the learning rate that the new options declare."""
    lrd = GAMMA ** (1 / count.literal) if count.literal else None
    return Rate(options.number("lr"), lrd)


def decaying(
    program: Program, made: Made, options: Options, count: StepCount, promise: Promise, rename: tuple[Edit, ...] = ()
) -> tuple[Candidate, ...]:
    """Let the rate decay; where the optimiser becomes one that clamps (``rename``), and a run shows it to, without
    a clamp.  What it is worth nobody can tell from the source: a run to the end does."""
    start = _start(program, made, options)
    entries = {**start.entries, "lrd": decay_of(count)}
    words = [*([f"lr = {start.words}"] if start.words else []), f"lrd = {decay_of(count)}"]
    label = ("ClippedAdam with " if rename else "") + " and ".join(words)

    def candidate(more: dict[str, str], label: str, only_after: Promise) -> Candidate:
        edit = edits.add_options(made.module, options.node, entries | more)
        declares = replace(start.rate, lrd=declared(count, options).lrd)
        whole = (*rename, *start.changes, edit)
        return Candidate(whole, promise, label, declares, needs_run=True, only_after=only_after, steps=count.literal)

    if not rename:
        return (candidate({}, label, Promise(0)),)
    return (
        candidate({}, f"{label}, each element of the gradient clamped at 10", Promise(0)),
        candidate({"clip_norm": NO_CLAMP}, f"{label}, clamping no gradient", Promise.WHOLE_GRADIENT),
    )


@dataclass(frozen=True)
class _Start:
    """The first rate, and what makes it so."""

    rate: Rate
    words: str = ""
    """What it becomes; empty where it stays."""
    entries: Mapping[str, str] = field(default_factory=dict)
    """Options to add for it."""
    changes: tuple[Edit, ...] = ()


def _start(program: Program, made: Made, options: Options) -> _Start:
    """The rate is raised so that the decay takes nothing of the way, unless it is large.

    One that comes from elsewhere is the user's to set, and stays so: it is multiplied where it is used, if all runs
    show one and the same.
    """
    if "lr" not in options.items:
        raised = RAISED * DEFAULT_RATE
        return _Start(Rate(raised), f"{raised:g}", {"lr": repr(raised)})
    rate, expression, literal = options.number("lr"), options.node_of("lr"), literal_rate(program, made, options)
    known = rate if rate is not None else only_rate(runs_of(program, made))
    if known is None or known >= LARGE or expression is None:
        return _Start(Rate(rate))
    if not isinstance(literal, str):
        raised = float(f"{RAISED * known:.12g}")
        return _Start(Rate(raised), f"{raised:g}", changes=(edits.replace(made.module, literal, repr(raised)),))
    text = edits.text_of(made.module, expression)
    if not isinstance(expression, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
        text = f"({text})"
    text = f"{RAISED} * {text}"
    return _Start(Rate(times=RAISED), text, changes=(edits.replace(made.module, expression, text),))


def renamed(program: Program, made: Made) -> tuple[Edit, ...] | None:
    """Edits that turn an optimiser into ``ClippedAdam``; ``None`` where that name cannot be reached."""
    return _classes.renamed(program, made, "pyro.optim.ClippedAdam")
