"""Whether the steps of an SVI object stay on their way, and if not, where they leave it (tips 1 and 16).

Losses of ONE program are compared with each other here, never those of two programs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pyro_fix.analysis.health import DIVERGENCE, LEVEL_STEPS, diverged
from pyro_fix.observation import Look, SviObservation, Trajectory

#: Above its start by this many standard deviations of the loss there, over the common seeds, and by one of these
#: shares of the log-probabilities that the loss is made of, a loss was thrown out of where it began: for good ...
THROWN, FOR_GOOD = 5.0, 0.1
#: ... or until it came back.
FOR_A_WHILE = 0.5
#: A gradient this many times as long as those shortly before it is a spike ...
SPIKE = 1000.0
#: ... if it is also longer than this: gradients that grow from nothing harm nobody.
LONG = 1e4
#: How many steps "shortly before" are at most, and at least: the first gradients are no yardstick yet.
BEFORE, FEWEST_BEFORE = 20, 5


@dataclass(frozen=True)
class Derailment:
    """Where a trajectory left its way."""

    step: int
    words: str
    recovered: bool = False
    """Whether its loss came back by the end of the run."""
    updated: bool = False
    """Whether it was the step's own update that did it: loss and gradient were finite, and a parameter then was not."""


def derailed(svi: SviObservation) -> dict[int, Derailment]:
    """Seed -> where its loss left the way: not finite, running away, or thrown above its start, for good or a while.

    Exceptions alone do not count: there are many reasons for one.  A single run may get above where it began by bad
    luck; that counts where at least half of them do.
    """
    found: dict[int, Derailment] = {}
    above: dict[int, Derailment] = {}
    for trajectory in svi.trajectories:
        first = trajectory.first_nonfinite
        if first is not None:
            of_param = trajectory.nonfinite not in ("", "loss")
            what = trajectory.nonfinite if of_param else "the loss"
            updated = of_param and all(map(math.isfinite, trajectory.gradient_norms[first : first + 1]))
            found[trajectory.seed] = Derailment(first, f"{what} is not finite at step {first}", updated=updated)
        elif diverged(trajectory):
            step = _beyond(trajectory, _divergence(trajectory))
            found[trajectory.seed] = Derailment(step, f"the loss runs away, {_way(trajectory)}")
        elif (thrown := _thrown(svi, trajectory)) is not None:
            above[trajectory.seed] = thrown
    return found | (above if 2 * (len(above) + len(found)) >= len(svi.trajectories) else {})


def spikes(svi: SviObservation) -> dict[int, Derailment]:
    """Seed -> the first step whose gradient overflows, or is out of all proportion to those shortly before it.

    None where the optimiser clamps gradients, so that a spike does not get through.
    """
    if svi.optimizer == "ClippedAdam":
        return {}
    found = {}
    for trajectory in svi.trajectories:
        if (step := _spike(trajectory)) is not None:
            words = f"the gradient spikes to {trajectory.gradient_norms[step]:.2g} at step {step}"
            found[trajectory.seed] = Derailment(step, words)
    return found


def travelled(trajectory: Trajectory, steps: int | None = None) -> float:
    """The sum of the learning rates of the first ``steps`` steps: how far Adam's kin may have moved a parameter."""
    return math.fsum(max(rates, default=0.0) for rates in trajectory.rates[:steps])


def lowest(trajectory: Trajectory, steps: int | None = None) -> float:
    """The lowest level of the loss within the first ``steps`` steps; infinite where there is none."""
    losses = [loss for loss in trajectory.losses[:steps] if math.isfinite(loss)]
    return min(_levels(losses)) if losses else math.inf


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


def _thrown(svi: SviObservation, trajectory: Trajectory) -> Derailment | None:
    losses, look = trajectory.losses, svi.look
    at_start = look.losses if look is not None else ()
    if look is None or len(losses) < 2 * LEVEL_STEPS or len(at_start) < 2 or not all(map(math.isfinite, at_start)):
        return None
    mean, deviation = statistics.fmean(at_start), statistics.stdev(at_start)
    size = max(abs(mean), _terms(look))
    limit = mean + max(THROWN * deviation, FOR_GOOD * size)
    if statistics.median(losses[-LEVEL_STEPS:]) > limit:
        return Derailment(_beyond(trajectory, limit), f"the loss ends above its start, {_way(trajectory)}")
    limit = mean + max(THROWN * deviation, FOR_A_WHILE * size)
    levels = _levels(losses)
    if max(levels) <= limit:
        return None
    words = f"the loss leaps from {losses[0]:.4g} to {max(levels):.4g} before it comes back"
    return Derailment(_beyond(trajectory, limit), words, recovered=True)


def _terms(look: Look) -> float:
    """Sum of the magnitudes of the log-probabilities that the loss is the difference of."""
    sites = (*look.guide.values(), *look.model.values())
    return math.fsum(
        abs(s.log_prob * (1.0 if s.scale is None else s.scale)) for s in sites if math.isfinite(s.log_prob)
    )


def _beyond(trajectory: Trajectory, limit: float) -> int:
    """The first step beyond a limit; step 0 is made before the first update."""
    return next(step for step, loss in enumerate(trajectory.losses) if step and loss > limit)


def _way(trajectory: Trajectory) -> str:
    losses = trajectory.losses
    return f"from {losses[0]:.4g} to {statistics.median(losses[-LEVEL_STEPS:]):.4g} in {len(losses)} steps"


def _levels(losses: Sequence[float]) -> list[float]:
    """Medians over windows of a few neighbouring steps; over all of them where there are fewer."""
    return [
        statistics.median(losses[step : step + LEVEL_STEPS]) for step in range(max(1, len(losses) - LEVEL_STEPS + 1))
    ]
