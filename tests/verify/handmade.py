"""Observations made by hand, and a runner that makes them from a program's text."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pyro_fix.observation import (
    Failure,
    Look,
    Observation,
    ParamLook,
    SiteLook,
    SliceReplay,
    Substitute,
    SviObservation,
    Trajectory,
)
from pyro_fix.runner.model import RunRequest, Target


def param(*values: float, constraint: str = "real") -> ParamLook:
    return ParamLook((len(values),), constraint, values, min(values), max(values))


def site(
    distribution: str = "Normal",
    support: str = "real",
    *,
    observed: bool = False,
    log_prob: float = -10.0,
    scale: float | None = 1.0,
    violations: tuple[str, ...] = (),
    shape: tuple[int, ...] = (),
) -> SiteLook:
    return SiteLook(distribution, support, observed, shape, log_prob, scale, violations)


def gradient(seed: int, size: int, spread: float = 1.0, shift: float = 0.0) -> tuple[float, ...]:
    generator = random.Random(seed)
    return tuple(3.0 + shift + spread * generator.gauss(0, 1) for _ in range(size))


def look(seeds: int = 4, *, factor: float = 1.0, spread: float = 1.0, shift: float = 0.0, **changes: object) -> Look:
    gradients = {
        name: tuple(tuple(factor * g for g in gradient(s + 100 * i, 3, spread, shift)) for s in range(seeds))
        for i, name in enumerate(("loc", "scale"))
    }
    made = Look(
        params={"loc": param(0.0, 0.0, 0.0), "scale": param(1.0, 1.0, 1.0)},
        guide={"z": site(scale=factor, log_prob=-20.0)},
        model={"z": site(scale=factor, log_prob=-30.0), "x": site(observed=True, scale=factor, log_prob=-100.0)},
        losses=tuple(factor * (110.0 + s) for s in range(seeds)),
        gradients=gradients,
        gradient_norms=tuple(8.0 for _ in range(seeds)),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def trajectory(
    seed: int = 0,
    steps: int = 100,
    *,
    lr: float = 0.01,
    lrd: float = 1.0,
    failure: Failure | None = None,
    first_nonfinite: int | None = None,
    seconds: float = 0.002,
    losses: tuple[float, ...] | None = None,
) -> Trajectory:
    if losses is None:
        losses = tuple(110.0 * math.exp(-t / 50) for t in range(steps))
    rates = tuple((lr * lrd ** (t + 1),) if lrd != 1.0 else (lr,) for t in range(len(losses)))
    return Trajectory(seed, losses, rates, tuple(8.0 for _ in losses), seconds, first_nonfinite, failure)


def svi(ordinal: int = 0, *, seeds: tuple[int, ...] = (0, 1, 2, 3), **changes: object) -> SviObservation:
    made = SviObservation(
        ordinal, "train.py:20", "Trace_ELBO", "Adam", 1, tuple(trajectory(seed) for seed in seeds), look()
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def observation(*svis: SviObservation, **changes: object) -> Observation:
    made = Observation(
        "python train.py",
        "/usr/bin/python3",
        {"python": "3.11", "torch": "2.13.0", "pyro": "1.9.2"},
        "cpu",
        svis,
        {},
        (),
        None,
        (),
        1.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


#: Where a moment's parameters lie: of late steps there are the last ones alone here.
FILES = {"first": "first", "last": "last", "late": "last"}


class FakeRunner:
    """Runs "programs" whose lines are ``name = JSON``; what they show follows from these settings.

    ``init``/``lr``/``lrd``: start and rates; ``factor``: scale of the objective; ``bias``: where the run ends, in the
    referee's eyes; ``noise``: how much that varies; ``fails``: step of a ValueError; ``hot``: seeds that are NaN from step 10 on, or from ``first``, where a parameter is; ``support``: the guide's;
    ``spread``: of gradients; ``broken``: an exception before any step, of the class ``broken_as``; ``unreached``: lines that never run;
    ``late``: lines that only runs of 100 steps reach; ``objective``: what it adds to the loss at parameters that it is given;
    ``length``: how many steps the program makes by itself (more than anybody waits for, unless its ``end`` is said), and ``end``:
    the bias of a run to its end; ``clamped``: from which step on the optimiser clamps the gradient; ``lacks``: modules that stand-ins
    take the place of, with what was made of them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[RunRequest] = []
        self._lock = threading.Lock()

    def program(self, name: str, **settings: object) -> Path:
        path = self.root / name
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        return path

    def __call__(self, request: RunRequest) -> Observation:
        with self._lock:
            self.requests.append(request)
        script = request.target.cwd / request.target.name
        files = [script]
        settings: dict[str, object] = {}
        for file in files:
            data = request.overlay.get(file)
            text = (data if data is not None else file.read_bytes()).decode()
            for line in text.splitlines():
                key, _, value = line.partition(" = ")
                settings[key] = json.loads(value)
                if key == "imports":
                    files.append(script.parent / str(settings[key]))
        unreached = set(settings.get("unreached", []))  # type: ignore[call-overload]
        if request.steps < 100:
            unreached |= set(settings.get("late", []))  # type: ignore[call-overload]
        hits = {
            f"{path}:{line}": 4
            for path, lines in request.marks.items()
            if path in files
            for line in lines
            if line not in unreached
        }
        base = observation(hits=hits, loaded=tuple(str(file) for file in files), substitutes=_substitutes(settings))
        if settings.get("broken"):
            kind = str(settings.get("broken_as", "ModuleNotFoundError"))
            return replace(base, failure=Failure(kind, str(settings["broken"]), "train.py:1"))
        if request.referee is not None:
            return replace(base, svis=(self._judge(request, settings),))
        return replace(base, svis=(self._svi(request, settings),))

    def _svi(self, request: RunRequest, s: Mapping[str, object]) -> SviObservation:
        number = lambda key, default: float(s.get(key, default))  # type: ignore[arg-type]  # noqa: E731
        trajectories = []
        steps, bias = request.steps, number("bias", 0)
        if request.to_the_end:
            steps, bias = min(steps, int(number("length", 1000 if "end" in s else 10**9))), number("end", bias)
        for seed in request.seeds:
            noise = random.Random(f"{seed}{s.get('bias')}{s.get('end')}").gauss(0, number("noise", 0.1))
            end = 50.0 + bias + noise
            losses = tuple(110.0 + (end - 110.0) * t / (steps - 1) for t in range(steps))
            fails = s.get("fails")
            failure = None
            if fails is not None and int(fails) < request.steps:  # type: ignore[call-overload]
                failure = Failure("ValueError", "Expected parameter scale", "train.py:3", int(fails))  # type: ignore[call-overload]
                losses = losses[: failure.step]
            first = None
            begin = int(number("first", 10))
            if seed in s.get("hot", []) and request.steps > begin:  # type: ignore[operator]
                losses, first = (*losses[: max(begin, 1)], math.nan), begin
            one = trajectory(
                seed, lr=number("lr", 0.01), lrd=number("lrd", 1), losses=losses, failure=failure, first_nonfinite=first
            )
            if first == 0:
                one = replace(one, nonfinite="scale")
            if s.get("optimizer") == "ClippedAdam":
                one = replace(one, clamped=max(0, len(losses) - int(number("clamped", 10**9))))
            trajectories.append(one)
            if request.save_states is not None:
                folder = request.save_states / str(seed)
                folder.mkdir(parents=True)
                (folder / "svi-0-first.pt").write_text("110")
                (folder / "svi-0-last.pt").write_text(str(losses[-1] if failure is None else math.nan))
        looked = None
        if request.deep is not None:
            looked = look(
                request.deep.seeds,
                factor=number("factor", 1),
                spread=number("spread", 1),
                params={"loc": param(0.0, 0.0, 0.0), "scale": param(number("init", 1))},
            )
            guide = {"z": replace(looked.guide["z"], support=str(s.get("support", "real")))}
            model = {**looked.model, "z": replace(looked.model["z"], support=str(s.get("prior", "real")))}
            slices = SliceReplay(4, number("slices", 0), "z") if request.deep.slices else None
            looked = replace(looked, guide=guide, model=model, slices=slices)
        return SviObservation(
            0, "train.py:20", "Trace_ELBO", str(s.get("optimizer", "Adam")), 1, tuple(trajectories), looked
        )

    def _judge(self, request: RunRequest, s: Mapping[str, object]) -> SviObservation:
        assert request.referee is not None
        factor, more = (float(s.get(key, default)) for key, default in (("factor", 1), ("objective", 0)))  # type: ignore[arg-type]
        seen = {
            f"{label}/{which}": (more + factor * float((folder / f"svi-0-{FILES[which]}.pt").read_text()),)
            * request.referee.evaluations
            for label, folder in request.referee.states.items()
            for which in request.referee.moments
            if (folder / f"svi-0-{FILES[which]}.pt").exists()
        }
        return SviObservation(0, "train.py:20", "Trace_ELBO", "Adam", 1, (), None, seen)


def _substitutes(settings: Mapping[str, object]) -> tuple[Substitute, ...]:
    lacks = settings.get("lacks", {})
    return tuple(Substitute("module", name, name, "train.py:1", told) for name, told in lacks.items())  # type: ignore[attr-defined]


def looking(fake: FakeRunner, change: Callable[[Look, bytes], Look]) -> Callable[[RunRequest], Observation]:
    """The fake runner, whose looks at the first step follow from the programs' texts in another way as well."""

    def run(request: RunRequest) -> Observation:
        seen, text = fake(request), b"".join(request.overlay.values())
        found = seen.svis[0].look if seen.svis else None
        if found is None:
            return seen
        return replace(seen, svis=(replace(seen.svis[0], look=change(found, text)),))

    return run


def script(path: Path) -> Target:
    return Target("script", path.name, (), path.parent, f"{path.name} steps an SVI")


def far(optimizer: str, steps: int) -> str:
    """A program whose guide has to move from 0 to 20 in so many steps."""
    return f"""\
import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO

data = 20 + torch.randn(40, generator=torch.Generator().manual_seed(1))


def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 50.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(loc, 1.0), obs=data)


def guide(data):
    loc = pyro.param("loc_q", torch.tensor(0.0))
    scale = pyro.param("scale_q", torch.tensor(0.3), constraint=dist.constraints.positive)
    pyro.sample("loc", dist.Normal(loc, scale))


svi = SVI(model, guide, {optimizer}, Trace_ELBO())
for step in range({steps}):
    svi.step(data)
"""
