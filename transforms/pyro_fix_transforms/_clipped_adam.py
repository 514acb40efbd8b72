"""What the transforms of tips 2 and 3 share: writing ``ClippedAdam`` and its decay."""

from __future__ import annotations

from pyro_fix.analysis.optimizers import Options
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.spell import StepCount
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Edit, Rate
from pyro_fix_transforms import _classes

#: The final learning rate's share of the initial one.  Source: tip 3, ``gamma = 0.1``.
GAMMA = 0.1
#: Options that ``ClippedAdam`` has.
UNDERSTOOD = frozenset({"lr", "betas", "eps", "weight_decay", "clip_norm", "lrd", "centered_variance"})
#: Fewer steps than this are a smoke test, not a training run: a decay over them would only stop it short.
FEWEST_STEPS = 50


def decay_of(count: StepCount) -> str:
    """Source of the decay factor that brings the rate to ``GAMMA`` of its start."""
    return f"{GAMMA} ** (1 / {count.source})"


def declared(count: StepCount, options: Options) -> Rate:
    """The path of the learning rate that the new options declare."""
    lrd = GAMMA ** (1 / count.literal) if count.literal else None
    return Rate(options.number("lr"), lrd)


def renamed(program: Program, made: Made) -> tuple[Edit, ...] | None:
    """Edits that turn an optimiser into ``ClippedAdam``; ``None`` where that name cannot be reached."""
    return _classes.renamed(program, made, "pyro.optim.ClippedAdam")
