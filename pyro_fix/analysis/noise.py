"""How noisy gradients and losses are, and whether the loss makes progress: judgements of one observation by itself."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

from pyro_fix.analysis.health import LEVEL_STEPS, breakdown
from pyro_fix.observation import Look, Trajectory

#: Common seeds below which the mean gradient is mostly noise itself.
FEWEST_SEEDS = 16
#: The median of a normal number's magnitude is this share of its standard deviation.
_NORMAL = 0.6745


def gradient_noise(look: Look) -> float | None:
    """Standard deviation of the gradient over the common seeds, in units of its mean's length.

    Of ``n`` gradients without any signal the mean is still noise divided by the root of ``n``: no value far above that
    root (5.7 for 32 seeds) can be seen.  None where there are too few seeds, or a gradient is not finite or zero.
    """
    seeds = min(map(len, look.gradients.values()), default=0)
    if look.error or seeds < FEWEST_SEEDS:
        return None
    columns = [column for rows in look.gradients.values() for column in zip(*rows, strict=True)]
    if not all(math.isfinite(value) for column in columns for value in column):
        return None
    signal = math.hypot(*map(statistics.fmean, columns))
    noise = math.sqrt(math.fsum(map(statistics.variance, columns)))
    return noise / signal if signal > 0 else None


def loss_noise(trajectory: Trajectory) -> float | None:
    """Standard deviation of a step's loss: from differences of neighbouring steps, so that progress does not count.

    The second half of the run, where the loss moves least; None for a run that is short or breaks.
    """
    if not _is_whole(trajectory):
        return None
    late = trajectory.losses[len(trajectory.losses) // 2 :]
    steps = [abs(b - a) for a, b in pairwise(late)]
    return statistics.median(steps) / (_NORMAL * math.sqrt(2))


def progress(trajectory: Trajectory) -> float | None:
    """By how much the level of the loss falls over the run; None for a run that is short or breaks."""
    if not _is_whole(trajectory):
        return None
    losses = trajectory.losses
    return statistics.median(losses[:LEVEL_STEPS]) - statistics.median(losses[-LEVEL_STEPS:])


def _is_whole(trajectory: Trajectory) -> bool:
    losses = trajectory.losses
    return len(losses) >= 2 * LEVEL_STEPS and breakdown(trajectory) is None and all(map(math.isfinite, losses))
