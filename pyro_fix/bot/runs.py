"""What the evidence of a fix says of both programs' runs, read with care: nobody vouches for its shape."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyro_fix.analysis.sayings import shortened

#: Characters of a sentence.
LONGEST_WORDS = 400
#: Losses that a first and a last value are the median of: one loss is noise.
FEW = 10


@dataclass(frozen=True)
class Trajectory:
    """One run with one seed."""

    seed: int
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    """Minus the ELBO at ``steps``, in nats times the scale that the program gives it; NaN and infinity included."""
    end: str
    """How it broke; empty where it did not."""
    own: int | None = None
    """How many steps the program made by itself, where its calls were made again after that."""

    @property
    def first(self) -> float:
        """The loss of the first step."""
        return self.losses[0]

    @property
    def last(self) -> float:
        """The median of the last ten losses; the last one where that is not finite."""
        if not math.isfinite(self.losses[-1]):
            return self.losses[-1]
        return statistics.median(filter(math.isfinite, self.losses[-FEW:]))


@dataclass(frozen=True)
class Run:
    """Both programs with one SVI object."""

    svi: int
    original: tuple[Trajectory, ...]
    patched: tuple[Trajectory, ...]
    noise: tuple[float, float] | None
    """The gradient's standard deviation at step 0 in units of its mean's length: original, patched."""


def of(evidence: Mapping[str, Any]) -> list[Run]:
    """Every SVI object's runs; what is not of the form that it should have is left out."""
    rows = evidence.get("runs")
    found = []
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and whole(row.get("svi")):
            sides = [tuple(_trajectories(row.get(side))) for side in ("original", "patched")]
            found.append(Run(row["svi"], sides[0], sides[1], _noise(row.get("gradient at step 0"))))
    return found


def words(value: object) -> str:
    """A value of the evidence that ought to be text."""
    return value if isinstance(value, str) else ""


def table(value: object) -> dict[str, Any]:
    """A value of the evidence that ought to be an object."""
    return value if isinstance(value, dict) else {}


def whole(value: object) -> bool:
    """Whether a value of the evidence is a whole number of a sensible size."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _trajectories(side: object) -> Iterator[Trajectory]:
    told = table(side).get("trajectories")
    for row in told if isinstance(told, list) else []:
        if not isinstance(row, dict) or not isinstance(row.get("losses"), list) or not whole(row.get("seed")):
            continue
        every, losses = row.get("every", 1), [number(loss) for loss in row["losses"]]
        if not losses or not whole(every) or every < 1:
            continue
        steps, own = tuple(range(0, len(losses) * every, every)), row.get("own")
        yield Trajectory(row["seed"], steps, tuple(losses), words(row.get("end")), own if whole(own) else None)


def _noise(gradients: object) -> tuple[float, float] | None:
    sides = [number(table(table(gradients).get(side)).get("noise")) for side in ("original", "patched")]
    return (sides[0], sides[1]) if all(map(math.isfinite, sides)) else None


def number(value: object) -> float:
    """A value of the evidence that ought to be a number.  Numbers that JSON cannot hold are words there."""
    try:
        return float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def cut(words: str) -> str:
    """What a sentence has room for."""
    return shortened(words, LONGEST_WORDS)
