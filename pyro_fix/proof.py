"""What a program is worth as it is and with all included fixes, both trained to their end.

Losses are in nats, un-normalised: what a program's scale has done to its ELBO is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Word = Literal["better", "as good", "worse", "cannot tell", "as it is"]
"""The last one of a program that no fix has changed: there is nothing to compare it with."""


@dataclass(frozen=True)
class Point:
    """The objective on the way, after some steps."""

    step: int
    losses: Mapping[int, float]
    """By seed; NaN where the parameters cannot be evaluated."""


@dataclass(frozen=True)
class Side:
    """One program, trained to its end under every seed."""

    steps: int
    """The most that it made."""
    losses: Mapping[int, float] = field(default_factory=dict)
    """Of the last tenth of the steps, by seed; those that went wrong are missing."""
    endings: Mapping[int, str] = field(default_factory=dict)
    """How a training went wrong, by seed; those that did not are missing."""
    way: tuple[Point, ...] = ()
    step_seconds: float | None = None
    """CPU seconds of a step."""
    gradient_noise: float | None = None
    """Median norm of the gradient over the last tenth of the steps, in nats: what is left there is mostly noise."""
    khat: float | None = None
    """Pareto k̂ of the importance weights of 1,000 draws from the fit (Yao et al. 2018); above 0.7 the approximation is
    not to be trusted.  None where it was not looked at: ``khat_missing`` says why."""
    khat_missing: str = ""
    rise: tuple[float, int] | None = None
    """Nats by which the ELBO still rises, and over how many of the last steps; None where it is not seen to."""


@dataclass(frozen=True)
class Proof:
    """Of one SVI object of one program."""

    program: str
    """The command."""
    svi: int
    seeds: tuple[int, ...]
    verdict: Word
    reason: str
    """The verdict as a sentence."""
    before: Side | None = None
    after: Side | None = None
    gain: tuple[float, float, float] | None = None
    """How much the ELBO is higher with the fixes, in nats: mean, and the ends of its paired 95 % interval."""
    data: int | None = None
    """How many observations the model has, to have the gain per datum by."""
    reached: int | None = None
    """The steps after which the program with the fixes is where the original ends."""
    judge: str = ""
    """Whose objective it was."""
    most: int = 0
    """Steps that a training might have made; one that made fewer came to its end."""
    seconds: float = 0.0
    """CPU seconds that both trainings take, by what their steps took: an estimate."""

    @property
    def compares(self) -> bool:
        """Whether fixes have changed the program, so that there are two to compare."""
        return self.verdict != "as it is"


#: Nats: what differs by less is as good, however surely it differs by so much.
EQUAL = 0.1
#: The judge of most proofs.
ORIGINALS = "the original's objective"
