"""Let a transform see what a run might have shown, without a run: observations made by hand for a program's SVI objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pyro_fix import engine
from pyro_fix.analysis.program import Program, Svi
from pyro_fix.config import Options
from pyro_fix.judge import Static
from pyro_fix.observation import Failure, InputLook, Look, Observation, ParamLook, SviObservation, Trajectory
from pyro_fix.proof import Proof
from pyro_fix.result import Result
from pyro_fix.transform import Proposal, Verdict

SEEDS = 32


def trajectory(
    losses: Sequence[float] = (),
    *,
    seed: int = 0,
    rates: Sequence[float] = (0.01,) * 100,
    norms: Sequence[float] = (8.0,) * 100,
    nonfinite: int | None = None,
    what: str = "loss",
    failure: Failure | None = None,
) -> Trajectory:
    """A hundred steps along a loss that falls, unless told otherwise."""
    losses = tuple(losses) or tuple(100.0 + 900.0 * math.exp(-t / 20) for t in range(100))
    steps = len(losses)
    path = tuple((rate,) for rate in rates)[:steps]
    nan = what if nonfinite is not None else ""
    return Trajectory(seed, losses, path, tuple(norms)[:steps], 0.002, nonfinite, failure, nonfinite=nan)


def look(noise: float = 0.1, losses: Sequence[float] = (990.0, 1000.0, 1010.0), **changes: object) -> Look:
    """The gradient's standard deviation at the first step is ``noise`` times its mean's length."""
    deviation = noise * math.sqrt((SEEDS - 1) / SEEDS)
    gradient = tuple((1.0 + deviation * (-1) ** seed,) for seed in range(SEEDS))
    arguments: dict[str, object] = {
        "params": {},
        "guide": {},
        "model": {},
        "losses": tuple(losses),
        "gradients": {"m": gradient},
        "gradient_norms": tuple(abs(g) for (g,) in gradient),
    }
    return Look(**(arguments | changes))  # type: ignore[arg-type]


@dataclass
class Shown:
    """A judge in whose runs every SVI object of the program did the same; what needs a run stays unverified."""

    trajectories: Sequence[Trajectory] = (trajectory(),)
    look: Look | None = None
    optimizer: str = "Adam"
    particles: int = 1
    params: Mapping[str, float] | None = None
    """Names of the ``pyro.param`` calls in the source that the run made -> their values."""
    can_run: ClassVar[bool] = True

    def observe(self, program: Program, base: object) -> tuple[Observation]:
        made = {param.name: param for param in program.params if param.initial is not None}
        params = {
            name: ParamLook((), "positive", (v,), v, v, f"{made[name].module.path}:{made[name].call.lineno}")
            for name, v in (self.params or {}).items()
        }
        looked = self.look or look()
        if params:
            looked = Look(**(vars(looked) | {"params": params}))
        svis = tuple(
            SviObservation(
                ordinal,
                f"{svi.module.path}:{svi.call.lineno}",
                "Trace_ELBO",
                self.optimizer,
                self.particles,
                tuple(self.trajectories),
                replace(looked, inputs=tuple(_handed_over(given, svi) for given in looked.inputs)),
            )
            for ordinal, svi in enumerate(program.svis)
        )
        versions = {"python": "3.11", "torch": "2.13.0", "pyro": "1.9.2"}
        return (Observation("python main.py", "python", versions, "cpu", svis, {}, (), None, (), 1.0),)

    def prove(self) -> list[Proof]:
        return []

    def decide(self, program: Program, base: object, proposals: Sequence[Proposal]) -> list[Verdict]:
        return Static().decide(program, {}, proposals)


def _handed_over(given: InputLook, svi: Svi) -> InputLook:
    """An input with the place of the first ``svi.step``."""
    step = svi.steps[0] if svi.steps else svi
    return replace(given, where=f"{step.module.path}:{step.call.lineno}")


def check(path: Path, code: str, judge: Shown) -> Result:
    """The findings of one transform in a file, given what the runs showed."""
    return engine.check(Options(paths=(path,), select=(code,), root=path.parent), lambda _: None, judge)
