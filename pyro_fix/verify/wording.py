"""Verdicts in plain words, and evidence that any JSON reader understands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pyro_fix.analysis.health import diverged, is_handled
from pyro_fix.observation import Observation, SviObservation, Trajectory
from pyro_fix.transform import Promise
from pyro_fix.verify.trouble import breakdowns, crashes

NOTHING_LEADS_TO = "no program, test or signature leads to "
STILL_BREAKS = "waits: the program still breaks: "
NO_BOUND = "waits: the loss is no bound as long as the guide samples "
MADE_UP = "only a driver reaches it, and made-up data cannot show what the fix promises; give a command with --run"

AT_MADE_UP = "on data that are made up in part"


def on_made_up(program: str, observation: Observation) -> str:
    """Why nothing that depends on data can be shown by a program in which something stands in for what is missing."""
    return f"{program}: {observation.made_up}, which cannot show what the fix promises"


def breaks_on_made_up(program: str, observation: Observation, words: str) -> str:
    """Why nothing can be said of a program that breaks, where a stand-in may be to blame."""
    return f"{program}: {words}, for which a stand-in may be to blame: {observation.made_up}"


def does_not_run(driver: str) -> str:
    """Why a fix is unverified that only drivers reach, none of which runs; ``driver`` is one, and its trouble."""
    return f"only a driver reaches it, and does not run ({driver}); give a command with --run"


def name(promise: Promise) -> str:
    """``same start`` for ``SAME_START``."""
    return (promise.name or "").lower().replace("_", " ")


def _unhandled(observation: Observation, svi: SviObservation) -> tuple[Trajectory, ...]:
    return tuple(trajectory for trajectory in svi.trajectories if not is_handled(observation, trajectory))


def endings(observation: Observation, ordinals: Iterable[int], whole: int = 0) -> str:
    """How the trajectories of some SVI objects ended: ``first 100 of 2,000 steps finite on 4 seeds``.

    ``whole``: how many steps the program makes, where that is known.
    """
    wanted = set(ordinals)
    svis = [svi for svi in observation.svis if svi.ordinal in wanted and svi.trajectories]
    if not svis:
        words = next(iter(crashes(observation).values()), "no step")
        return words
    left = [replace(svi, trajectories=_unhandled(observation, svi)) for svi in svis]
    bad = [words for svi in left for words in breakdowns(svi).values()]
    if bad:
        return "; ".join(bad)
    caught = [words for svi in svis for words in breakdowns(svi).values()]
    if caught:
        return "; ".join(f"{words}, which the program catches and goes on" for words in caught)
    trajectories = [trajectory for svi in svis for trajectory in svi.trajectories]
    steps = min(len(trajectory.losses) for trajectory in trajectories)
    seeds = len({trajectory.seed for trajectory in trajectories})
    runaway = sum(diverged(trajectory) for trajectory in trajectories)
    made = f"first {steps} of {whole:,} steps" if whole > steps else f"{steps} step{'s' * (steps != 1)}"
    words = f"{made} finite on {seeds} seed{'s' * (seeds != 1)}"
    if len(svis) > 1:
        words += f" for {len(svis)} SVI objects"
    return words + (f", diverging on {runaway}" if runaway else "")


def plain(value: object) -> object:
    """``value`` as strict JSON: NaN and infinities as words, keys as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value
