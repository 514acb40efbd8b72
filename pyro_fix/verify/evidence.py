"""What a verdict rests on, as plain data that a reader can check: curves, gradients, what each promise asks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyro_fix.analysis.health import breakdown, diverged
from pyro_fix.observation import Look, Observation, SviObservation, Trajectory
from pyro_fix.transform import Promise
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import common, finite, flat
from pyro_fix.verify.promises import LIMITS
from pyro_fix.verify.stats import norm, total_variance
from pyro_fix.verify.wording import name as spelled

#: Losses of one trajectory that are kept: of longer ones every n-th.
MOST_POINTS = 400
#: Significant digits of a loss: those of float32.
_DIGITS = 7


def judged(judgements: Mapping[str, Judgement], promise: Promise) -> dict[str, object]:
    """By promise: whether it was kept, what was measured, and what that has to be."""
    return {
        title: {
            "kept": judgement.kept,
            "reason": judgement.reason,
            **({"waits": True} if judgement.waits else {}),
            "kept when": _limits(title, promise),
            **judgement.evidence,
        }
        for title, judgement in judgements.items()
    }


def _limits(title: str, promise: Promise) -> dict[str, str]:
    parts = [part for part in LIMITS if part in promise and spelled(part) == title]
    if title == spelled(Promise.NO_WORSE):  # the referee gives one answer to all that is asked of it
        parts = [part for part in (Promise.NO_WORSE, Promise.BETTER_START) if part in promise]
    return {statistic: limit for part in parts for statistic, limit in LIMITS[part].items()}


def curves(
    original: Observation, patched: Observation, alone: Observation | None, ordinals: Iterable[int]
) -> list[dict[str, object]]:
    """The two programs side by side, by SVI object: every seed's losses, and the gradient's noise at step 0.

    ``alone`` is the run in which nothing but the fix differs from the original: gradients are compared with that one.
    """
    rows: list[dict[str, object]] = []
    for ordinal in sorted(ordinals):
        before, after, single = (_svi(run, ordinal) for run in (original, patched, alone))
        if before is None and after is None:
            continue
        row: dict[str, object] = {"svi": ordinal}
        for side, svi in (("original", before), ("patched", after)):
            if svi is not None:
                row[side] = {
                    "where": svi.where,
                    "elbo": svi.elbo,
                    "particles": svi.num_particles,
                    "optimizer": svi.optimizer,
                    "guide": svi.guide,
                    "trajectories": [_trajectory(t) for t in svi.trajectories],
                }
        if before is not None and single is not None and before.look is not None and single.look is not None:
            row |= _gradients(before.look, single.look)
        rows.append(row)
    return rows


def files(observation: Observation) -> list[str]:
    """The project's sources and notebooks that the run read, absolute."""
    paths = (Path(observation.cwd or Path.cwd()) / name for name in observation.loaded)
    return [str(path) for path in paths if path.suffix in (".py", ".ipynb")]


def substitutes(*observations: Observation | None) -> dict[str, object]:
    """What took the place of something that the machine lacks, a sentence each; nothing where nothing did."""
    runs = [run for run in observations if run is not None]
    found = {(one.kind, one.what): one for run in runs for one in run.substitutes}
    # That something of it was used weighs more than that it was not in another run.
    found |= {(one.kind, one.what): one for run in runs for one in run.substitutes if one.reached}
    return {"substitutes": [found[key].sentence for key in sorted(found)]} if found else {}


def on_device(original: Observation | None, patched: Observation, ordinals: Iterable[int]) -> dict[str, object]:
    """What both programs took of a device that is not the CPU; nothing where they used none."""
    sides = {"original": original, "patched": patched}
    runs = {side: run for side, run in sides.items() if run is not None and run.device_memory is not None}
    told: dict[str, object] = {}
    if runs:
        told["device memory"] = {side: run.device_memory for side, run in runs.items()}
    found = {
        f"svi {ordinal}": times
        for ordinal in sorted(ordinals)
        if (times := {side: s for side, run in runs.items() if (s := _step_seconds(_svi(run, ordinal))) is not None})
    }
    if found:
        told["device seconds a step"] = found
    return told


def _step_seconds(svi: SviObservation | None) -> float | None:
    """The median over the seeds, by the device's own clock."""
    times = [t.step_seconds for t in svi.trajectories if t.clock == "device"] if svi is not None else []
    return statistics.median(times) if times else None


def steps(*observations: Observation | None) -> int:
    """The most steps that a trajectory made."""
    seen = (svi for run in observations if run is not None for svi in run.svis)
    return max((len(t.losses) for svi in seen for t in svi.trajectories), default=0)


def _svi(observation: Observation | None, ordinal: int) -> SviObservation | None:
    return next((svi for svi in observation.svis if svi.ordinal == ordinal), None) if observation is not None else None


def _trajectory(trajectory: Trajectory) -> dict[str, object]:
    losses = trajectory.losses
    every = max(1, math.ceil(len(losses) / MOST_POINTS))
    bad = breakdown(trajectory)
    row: dict[str, object] = {
        "seed": trajectory.seed,
        "steps": len(losses),
        "end": bad[1] if bad else "the loss diverges" if diverged(trajectory) else "",
        "losses": [_rounded(loss) for loss in losses[::every]],
    }
    if trajectory.own is not None and trajectory.own < len(losses):
        row["own"] = trajectory.own
    if every > 1:
        row |= {"every": every, "last": _rounded(losses[-1])}
    return row


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _gradients(before: Look, after: Look) -> dict[str, object]:
    """Size and noise of both gradients at step 0, over the seeds that both were evaluated under."""
    seeds = common(before, after)
    return {"gradient at step 0": {"original": _gradient(before, seeds), "patched": _gradient(after, seeds)}}


def _gradient(look: Look, seeds: int) -> dict[str, object]:
    """``noise`` is the standard deviation over the seeds in units of the mean's length: a scale leaves it alone."""
    norms = look.gradient_norms[:seeds]
    row: dict[str, object] = {"seeds": seeds, "norm": statistics.fmean(norms) if norms else None}
    names = sorted(look.gradients)
    whole = min((len(look.gradients[name]) for name in names), default=0)
    rows = [list(flat(look, names, seed)) for seed in range(min(seeds, whole))]
    if len(rows) < 2 or not all(map(finite, rows)):
        return {**row, "variance": None, "noise": None}
    signal = norm([statistics.fmean(column) for column in zip(*rows, strict=True)])
    variance = total_variance(rows, range(len(rows)))
    return {**row, "variance": variance, "noise": math.sqrt(variance) / signal if signal > 0 else None}
