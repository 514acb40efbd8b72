"""Whether the steps of an SVI object stay on their way, and if not, where they leave it (tips 1 and 16).

Losses of ONE program are compared with each other here, never those of two programs.
"""

from __future__ import annotations

import math
import statistics

from pyro_fix.analysis.health import DIVERGENCE, LEVEL_STEPS, diverged
from pyro_fix.observation import SviObservation, Trajectory

#: Above its start by this many standard deviations of the loss there, over the common seeds ...
THROWN = 5.0
#: ... and by this share of the start itself, a loss has been thrown out of where it began.
THROWN_SHARE = 0.1
#: A gradient this many times as long as those shortly before it is a spike ...
SPIKE = 1000.0
#: ... if it is also longer than this: gradients that grow from nothing harm nobody.
LONG = 1e4
#: How many steps "shortly before" are at most, and at least: the first gradients are no yardstick yet.
BEFORE, FEWEST_BEFORE = 20, 5


def derailed(svi: SviObservation) -> dict[int, tuple[int, str]]:
    """Seed -> the step at which its loss left the way, and how: not finite, running away, or thrown above its start.

    Exceptions alone do not count: there are many reasons for one.  A single run may end above where it began by bad
    luck; that counts where at least half of them do.
    """
    found: dict[int, tuple[int, str]] = {}
    above: dict[int, tuple[int, str]] = {}
    for trajectory in svi.trajectories:
        first = trajectory.first_nonfinite
        if first is not None:
            what = trajectory.nonfinite if trajectory.nonfinite not in ("", "loss") else "the loss"
            found[trajectory.seed] = first, f"{what} is not finite at step {first}"
        elif diverged(trajectory):
            found[trajectory.seed] = (
                _beyond(trajectory, _divergence(trajectory)),
                f"the loss runs away, {_way(trajectory)}",
            )
        elif (limit := _start(svi)) is not None and _end(trajectory) > limit:
            above[trajectory.seed] = _beyond(trajectory, limit), f"the loss ends above its start, {_way(trajectory)}"
    return found | (above if 2 * (len(above) + len(found)) >= len(svi.trajectories) else {})


def spikes(svi: SviObservation) -> dict[int, tuple[int, str]]:
    """Seed -> the first step whose gradient overflows, or is out of all proportion to those shortly before it.

    None where the optimiser clamps gradients, so that a spike does not get through.
    """
    if svi.optimizer == "ClippedAdam":
        return {}
    found = {}
    for trajectory in svi.trajectories:
        if (step := _spike(trajectory)) is not None:
            found[trajectory.seed] = (
                step,
                f"the gradient spikes to {trajectory.gradient_norms[step]:.2g} at step {step}",
            )
    return found


def travelled(trajectory: Trajectory, steps: int | None = None) -> float:
    """The sum of the learning rates of the first ``steps`` steps: how far Adam's kin may have moved a parameter."""
    return math.fsum(max(rates, default=0.0) for rates in trajectory.rates[:steps])


def _spike(trajectory: Trajectory) -> int | None:
    norms = trajectory.gradient_norms
    for step, (loss, length) in enumerate(zip(trajectory.losses, norms, strict=False)):
        if not math.isfinite(loss):
            return None  # what comes now is a consequence
        recent = [norm for norm in norms[max(0, step - BEFORE) : step] if math.isfinite(norm)]
        usual = statistics.median(recent) if len(recent) >= FEWEST_BEFORE else math.inf
        if math.isinf(length) or length > max(LONG, SPIKE * usual):
            return step
    return None


def _divergence(trajectory: Trajectory) -> float:
    first = trajectory.losses[:LEVEL_STEPS]
    start = statistics.median(first)
    return start + DIVERGENCE * max(abs(start), max(first) - min(first), 1.0)


def _start(svi: SviObservation) -> float | None:
    """The loss above which a run has left its start, by the losses at the initial parameters under common seeds."""
    losses = svi.look.losses if svi.look is not None else ()
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return None
    mean = statistics.fmean(losses)
    return mean + max(THROWN * statistics.stdev(losses), THROWN_SHARE * abs(mean), 1.0)


def _end(trajectory: Trajectory) -> float:
    losses = trajectory.losses
    return statistics.median(losses[-LEVEL_STEPS:]) if len(losses) >= 2 * LEVEL_STEPS else -math.inf


def _beyond(trajectory: Trajectory, limit: float) -> int:
    return next(step for step, loss in enumerate(trajectory.losses) if loss > limit)


def _way(trajectory: Trajectory) -> str:
    return f"from {trajectory.losses[0]:.4g} to {_end(trajectory):.4g} in {len(trajectory.losses)} steps"
