"""What a pull request says of trainings to their end, read with care: nobody vouches for the shape of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyro_fix.bot import escape, plot, runs
from pyro_fix.bot.runs import Run, Trajectory

#: Proofs that are told.
MOST = 8


def told(proofs: Sequence[Mapping[str, Any]]) -> str:
    """A sentence for each program that was trained to its end, and the curves of both; empty where there is none."""
    parts = [part for proof in proofs[:MOST] for part in _of(proof)]
    return "\n".join(["\n### Trained to the end\n", *parts]) if parts else ""


def _of(proof: Mapping[str, Any]) -> Iterator[str]:
    program, reason = runs.words(proof.get("program")), runs.words(proof.get("reason"))
    if not program or not reason:
        return
    yield f"{escape.code(runs.cut(program))}: {escape.text(runs.cut(reason))}.\n"
    sides = [tuple(_trajectories(runs.table(proof.get(side)))) for side in ("before", "after")]
    chart = plot.mermaid(Run(0, sides[0], sides[1], None))
    if chart:
        yield f"{chart}\n"


def _trajectories(side: Mapping[str, Any]) -> Iterator[Trajectory]:
    """The objective on the way, by seed."""
    way = side.get("way")
    points = [point for point in way if isinstance(point, dict)] if isinstance(way, list) else []
    points = [point for point in points if runs.whole(point.get("step"))]
    seeds = sorted({seed for point in points for seed in runs.table(point.get("losses")) if seed.isdecimal()})
    for seed in seeds[:16]:
        losses = tuple(runs.number(runs.table(point.get("losses")).get(seed)) for point in points)
        yield Trajectory(int(seed[:9]), tuple(point["step"] for point in points), losses, "")
