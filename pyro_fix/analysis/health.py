"""How a run went, and what it says of supports: judgements of one observation by itself."""

from __future__ import annotations

import statistics

from pyro_fix.analysis.distributions import implies
from pyro_fix.observation import Failure, Look, SviObservation, Trajectory

STOPS = frozenset({"timeout", "killed"})
"""Failures that say more of the machine than of the program."""
#: A loss that ends this many times further above its start than the start is from zero has diverged.
DIVERGENCE = 10.0
#: Losses are noisy: levels are medians over this many steps.
LEVEL_STEPS = 10


def one_line(text: str, limit: int = 160) -> str:
    """The first line of a message, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def describe(failure: Failure) -> str:
    """A failure in one line."""
    step = "" if failure.step is None else f" at step {failure.step}"
    message = f": {one_line(failure.message)}" if failure.message.strip() else ""
    return f"{failure.kind}{step}{message}" + (f" ({failure.where})" if failure.where else "")


def breakdown(trajectory: Trajectory) -> tuple[str, str] | None:
    """The kind of a trajectory's end, if it is a bad one, and the same in words.

    A NaN at one step makes an exception at the next one, of whatever kind: then the NaN is what counts.
    """
    failure, first = trajectory.failure, trajectory.first_nonfinite
    if first is not None and (failure is None or failure.step is None or failure.step >= first):
        return "not finite", f"NaN or infinity at step {first}"
    if failure is not None and failure.kind not in STOPS:
        return failure.kind, f"{failure.kind}{'' if failure.step is None else f' at step {failure.step}'}"
    return None


def diverged(trajectory: Trajectory) -> bool:
    """Whether a finite trajectory's loss ran away: its last level is far above its first one.

    Levels of ONE program's loss are compared here, never those of two programs.
    """
    losses = trajectory.losses
    if len(losses) < 2 * LEVEL_STEPS:
        return False
    start, end = statistics.median(losses[:LEVEL_STEPS]), statistics.median(losses[-LEVEL_STEPS:])
    spread = max(losses[:LEVEL_STEPS]) - min(losses[:LEVEL_STEPS])
    return end - start > DIVERGENCE * max(abs(start), spread, 1.0)


def unwell(svi: SviObservation) -> bool:
    """Whether a trajectory of an SVI object breaks or diverges."""
    return any(breakdown(trajectory) or diverged(trajectory) for trajectory in svi.trajectories)


def mismatches(look: Look) -> dict[str, str]:
    """Latent sites whose guide can propose values outside the model's support (tip 4)."""
    found = {}
    for name, site in look.guide.items():
        model = look.model.get(name)
        if model is None or model.observed or "Delta" in (site.distribution, model.distribution):
            continue  # a Delta's support is the whole line, and its one value is judged by the model's own check
        if implies(site.support, model.support) is False:
            found[name] = (
                f"latent '{name}': the guide's {site.distribution} has support {site.support}, "
                f"the model's {model.distribution} {model.support}"
            )
    return found
